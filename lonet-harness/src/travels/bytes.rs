//! Bytes as a JSON text of hexadecimal digits.
//!
//! Owns both directions. The loops index slices, and nothing else: a test is rarely optimised, and
//! each iterator or `push` would then be several calls a byte.

const DIGITS: &[u8; 16] = b"0123456789abcdef";
/// What a byte that is not a digit stands for.
const NONE: u8 = 0x10;
/// Not a constant, which would be copied at each use.
static VALUES: [u8; 256] = {
    let mut values = [NONE; 256];
    let mut value = 0;
    while value < DIGITS.len() {
        values[DIGITS[value] as usize] = value as u8;
        value += 1;
    }
    values
};

/// The bytes as a JSON text.
pub(super) fn write(bytes: &[u8]) -> String {
    let mut json = vec![b'"'; 2 * bytes.len() + 2];
    let digits = &mut json[1..];
    let mut i = 0;
    while i < bytes.len() {
        let byte = bytes[i] as usize;
        digits[2 * i] = DIGITS[byte >> 4];
        digits[2 * i + 1] = DIGITS[byte & 15];
        i += 1;
    }
    String::from_utf8(json).expect("digits and quotation marks are ASCII")
}

/// The bytes of that JSON text, if it is one of [`write`].
pub(super) fn read(json: &str) -> Option<Vec<u8>> {
    let digits = json.strip_prefix('"')?.strip_suffix('"')?.as_bytes();
    if digits.len() % 2 == 1 {
        return None;
    }
    let mut decoded = vec![0; digits.len() / 2];
    let bytes = &mut decoded[..];
    let (mut i, mut seen) = (0, 0);
    while i < bytes.len() {
        let high = VALUES[digits[2 * i] as usize];
        let low = VALUES[digits[2 * i + 1] as usize];
        seen |= high | low;
        bytes[i] = high << 4 | low;
        i += 1;
    }
    (seen & NONE == 0).then_some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_two_digits() {
        assert_eq!(write(&[]), r#""""#);
        assert_eq!(write(&[0, 0x0f, 0xa9, 0xff]), r#""000fa9ff""#);
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(read(&write(&all)), Some(all));
    }

    #[test]
    fn what_is_not_digits_is_not_read() {
        assert_eq!(read(r#""""#), Some(vec![]));
        for wrong in ["", "\"", "[1]", r#""0""#, r#""0g""#, r#""0F""#, r#""é""#] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
