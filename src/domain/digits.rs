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
    // Two digits a division.
    while rest >= 100 {
        start -= 2;
        room[start..start + 2].copy_from_slice(&pair(rest % 100));
        rest /= 100;
    }
    let [tens, ones] = pair(rest);
    start -= 1;
    room[start] = ones;
    if tens != b'0' {
        start -= 1;
        room[start] = tens;
    }
    &room[start..]
}

/// Both digits of a number below a hundred.
fn pair(number: u64) -> [u8; 2] {
    // A tenth, as 103 / 1024: right for every such number, and no division.
    let tens = (number * 103) >> 10;
    [b'0' + tens as u8, b'0' + (number - 10 * tens) as u8]
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
        for number in (0..=1_000).chain([4_096, 999_999, u64::from(u32::MAX), u64::MAX]) {
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
