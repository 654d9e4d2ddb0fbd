//! Protocol buffers, written straight into the request.
//!
//! What holds others is begun before its length is known. So its length gets four bytes, filled in when it ends: a
//! number in more bytes than it needs reads the same, and nothing has to be measured beforehand or moved afterwards.

/// The bytes that a length takes which is filled in later: it may be up to 2^28.
const LENGTH: usize = 4;

/// The key of a field: its number, and how its value is written.
pub(super) const fn varint_key(field: u8) -> u8 {
    field << 3
}

/// See [`varint_key`].
pub(super) const fn fixed64_key(field: u8) -> u8 {
    field << 3 | 1
}

/// See [`varint_key`].
pub(super) const fn bytes_key(field: u8) -> u8 {
    field << 3 | 2
}

/// Seven bits in each byte, the lowest first.
pub(super) fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// How many bytes [`varint`] takes.
pub(super) fn varint_size(number: usize) -> usize {
    (number.max(1).ilog2() / 7 + 1) as usize
}

/// Writes a number of eight bytes, 0 too.
pub(super) fn fixed64(out: &mut Vec<u8>, field: u8, number: u64) {
    let mut bytes = [fixed64_key(field); 9];
    bytes[1..].copy_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&bytes);
}

/// Writes a text.
pub(super) fn text(out: &mut Vec<u8>, field: u8, text: &str) {
    out.push(bytes_key(field));
    varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Writes a pair of a name and a text, as attributes are.
pub(super) fn attribute(out: &mut Vec<u8>, field: u8, name: &str, value: &str) {
    let value_size = 1 + varint_size(value.len()) + value.len();
    let size = 1 + varint_size(name.len()) + name.len() + 1 + varint_size(value_size) + value_size;
    out.push(bytes_key(field));
    varint(out, size as u64);
    text(out, 1, name);
    out.push(bytes_key(2));
    varint(out, value_size as u64);
    text(out, 1, value);
}

/// A message that was begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun(usize);

/// Begins a message as a field; it ends with [`end`].
pub(super) fn begin(out: &mut Vec<u8>, field: u8) -> Begun {
    out.extend_from_slice(&[bytes_key(field), 0x80, 0x80, 0x80, 0]);
    Begun(out.len())
}

/// Ends what was begun last.
pub(super) fn end(out: &mut [u8], begun: Begun) {
    let size = out.len() - begun.0;
    for (at, byte) in out[begun.0 - LENGTH..begun.0].iter_mut().enumerate() {
        *byte |= (size >> (7 * at)) as u8 & 0x7f;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_numbers() {
        for number in [0, 1, 127, 128, 16_383, 16_384, 1 << 21, usize::MAX] {
            let mut out = Vec::new();
            varint(&mut out, number as u64);
            assert_eq!(varint_size(number), out.len(), "{number}");
        }
    }

    #[test]
    fn what_was_begun_ends_with_its_length() {
        for size in [0, 1, 127, 128, 300_000] {
            let mut out = b"before".to_vec();
            let begun = begin(&mut out, 3);
            out.resize(out.len() + size, b'x');
            end(&mut out, begun);
            let mut fields = collectors::kit::protobuf::fields(&out[6..]);
            let (number, value) = fields.next().unwrap().unwrap();
            assert_eq!((number, value.bytes().len()), (3, size));
            assert!(fields.next().is_none());
        }
    }
}
