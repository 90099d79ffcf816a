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

/// Fills the room with the last hexadecimal digits of a number, with leading zeros.
pub fn hex(room: &mut [u8], number: u64) {
    let mut rest = number;
    for place in room.iter_mut().rev() {
        *place = digit(rest);
        rest >>= 4;
    }
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
            let mut room = [0; 16];
            hex(&mut room, number);
            assert_eq!(room, *format!("{number:016x}").as_bytes());
        }
        let mut room = [0; 2];
        hex(&mut room, 0x123);
        assert_eq!(room, *b"23");
    }
}
