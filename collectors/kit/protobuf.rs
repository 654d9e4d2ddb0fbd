//! Protocol buffers, field by field: what gRPC carries. Nothing is copied, nothing nests by itself, and no length is believed.

/// A field, and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A number of any kind, as its bits.
    Number(u64),
    /// A text, bytes, or a message with fields of its own.
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The bytes, if they are; else none.
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Value::Bytes(bytes) => bytes,
            Value::Number(_) => &[],
        }
    }

    /// The number, if it is one that fits.
    pub fn number<N: TryFrom<u64>>(self) -> Option<N> {
        match self {
            Value::Number(number) => N::try_from(number).ok(),
            Value::Bytes(_) => None,
        }
    }
}

/// What is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// The fields of a message, in its order; after what is malformed there are no more.
pub fn fields(message: &[u8]) -> Fields<'_> {
    Fields { rest: message }
}

/// See [`fields`].
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.rest = &[];
        }
        Some(field.ok_or(Malformed))
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            1 => Value::Number(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Number(u32::from_le_bytes(self.take(4)?.try_into().ok()?).into()),
            // Groups, which nothing has used since version 2.
            _ => return None,
        };
        let number = key >> 3;
        (1..1 << 29).contains(&number).then_some((number, value))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    /// Seven bits in each byte, the lowest first.
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
}

/// Writes a field of bytes: a text, or a message.
pub fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(out, field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Writes a field that is a number.
pub fn put_number(out: &mut Vec<u8>, field: u64, number: u64) {
    put_varint(out, field << 3);
    put_varint(out, number);
}

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(message: &[u8]) -> Result<Vec<(u64, Value<'_>)>, Malformed> {
        fields(message).collect()
    }

    #[test]
    fn fields_of_every_kind() {
        let message = b"\x08\x96\x01\x12\x02hi\x19\x01\0\0\0\0\0\0\0\x25\x02\0\0\0";
        let expected =
            [(1, Value::Number(150)), (2, Value::Bytes(b"hi")), (3, Value::Number(1)), (4, Value::Number(2))];
        assert_eq!(all(message).unwrap(), expected);
        assert_eq!((Value::Number(300).number::<u8>(), Value::Number(30).number::<u8>()), (None, Some(30)));
        assert_eq!((Value::Number(1).bytes(), Value::Bytes(b"x").number::<u8>()), (&b""[..], None));
    }

    #[test]
    fn what_is_no_message_ends_it() {
        let wrong: &[&[u8]] = &[
            b"\x08",
            b"\x12\x03hi",
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
            b"\x0b\x0c",
            b"\0\0",
            b"\x19\x01",
            b"\x25\x01",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        ];
        for message in wrong {
            assert_eq!(all(message), Err(Malformed), "{message:?}");
            assert!(fields(message).count() <= message.len());
        }
        let largest = all(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01").unwrap();
        assert_eq!(largest, [(1, Value::Number(u64::MAX))]);
    }

    proptest! {
        #[test]
        fn anything_is_read_to_its_end(message: Vec<u8>) {
            prop_assert!(fields(&message).count() <= message.len());
        }

        #[test]
        fn what_is_written_is_read(number: u64, bytes: Vec<u8>, field in 1u64..1 << 29) {
            let mut message = Vec::new();
            put_number(&mut message, field, number);
            put_bytes(&mut message, field, &bytes);
            prop_assert_eq!(all(&message).unwrap(), [(field, Value::Number(number)), (field, Value::Bytes(&bytes))]);
        }
    }
}
