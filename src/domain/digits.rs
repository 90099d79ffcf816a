//! Numbers as text without the machinery of formatting: they stand in every log line, header and request id.

/// Room for any `u64` in decimal.
pub const DECIMAL_BYTES: usize = 20;

/// A number in decimal.
#[must_use]
pub fn decimal(number: u64, room: &mut [u8; DECIMAL_BYTES]) -> &str {
    std::str::from_utf8(decimal_bytes(number, room)).unwrap_or_default()
}

/// The same as bytes, for where bytes are written.
#[must_use]
pub fn decimal_bytes(number: u64, room: &mut [u8; DECIMAL_BYTES]) -> &[u8] {
    let mut start = room.len();
    let mut rest = number;
    while start > 0 {
        start -= 1;
        room[start] = digit(rest % 10);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    &room[start..]
}

/// Appends a number in decimal.
pub fn push(out: &mut String, number: u64) {
    out.push_str(decimal(number, &mut [0; DECIMAL_BYTES]));
}

/// Appends the last `WIDTH` decimal digits of a number, with leading zeros.
pub fn push_padded<const WIDTH: usize>(out: &mut String, number: u64) {
    push_in::<WIDTH>(out, number, 10);
}

/// Appends the last `WIDTH` hexadecimal digits of a number, with leading zeros.
pub fn push_hex<const WIDTH: usize>(out: &mut String, number: u64) {
    push_in::<WIDTH>(out, number, 16);
}

fn push_in<const WIDTH: usize>(out: &mut String, number: u64, base: u64) {
    let mut room = [b'0'; WIDTH];
    let mut rest = number;
    for place in room.iter_mut().rev() {
        *place = digit(rest % base);
        rest /= base;
    }
    out.push_str(std::str::from_utf8(&room).unwrap_or_default());
}

fn digit(value: u64) -> u8 {
    b"0123456789abcdef"[usize::from((value & 15) as u8)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_as_formatting_would_have_them() {
        for number in [0, 9, 10, 255, 4_096, 999_999, u64::from(u32::MAX), u64::MAX] {
            assert_eq!(decimal(number, &mut [0; DECIMAL_BYTES]), format!("{number}"));
            let mut hex = String::new();
            push_hex::<16>(&mut hex, number);
            assert_eq!(hex, format!("{number:016x}"));
        }
        let mut text = String::from("a");
        push(&mut text, 7);
        push_padded::<3>(&mut text, 12);
        push_padded::<2>(&mut text, 123);
        assert_eq!(text, "a701223");
    }
}
