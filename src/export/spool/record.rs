//! A request that waits, and its bytes: a head of 44 bytes with a sum of its own, then the request as gzip.

use super::super::time::BootId;
use crate::encode::Gzip;
use std::time::Duration;

/// How large a request may be before and after compression: whatever says that it is more is not ours.
pub(super) const REQUEST_MAX: usize = 16 << 20;
/// Around the bits of a gzip member as ours writes it: its head, and sum and length at the end.
const GZIP_HEAD: usize = 10;
const GZIP_END: usize = 8;

/// A request, with what dates and counts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When its points were taken, since boot.
    pub taken: Duration,
    /// Which boot that was.
    pub boot: BootId,
    /// How many points it has.
    pub points: u32,
    /// Protobuf, in which all times are nanoseconds since boot.
    pub request: Vec<u8>,
}

/// A number of records and their points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests.
    pub records: u64,
    /// Points in them.
    pub points: u64,
}

impl Tally {
    /// One record.
    pub(super) fn one(points: u32) -> Self {
        Self { records: 1, points: points.into() }
    }

    /// With these as well.
    pub(super) fn add(&mut self, more: Self) {
        self.records += more.records;
        self.points += more.points;
    }

    /// Without these; what is not there can't be taken away.
    pub(super) fn take(&mut self, fewer: Self) {
        self.records = self.records.saturating_sub(fewer.records);
        self.points = self.points.saturating_sub(fewer.points);
    }
}

/// What stands before each record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) taken: Duration,
    pub(super) boot: BootId,
    pub(super) points: u32,
    /// How many bytes follow.
    pub(super) length: u32,
    /// Their sum.
    pub(super) sum: u32,
}

impl Head {
    pub(super) const SIZE: usize = 44;
    /// Before a record.
    pub(super) const RECORD: [u8; 4] = *b"wnR1";
    /// Behind the last record of a segment: how many there are (as `length`), and the first one's time.
    pub(super) const SEAL: [u8; 4] = *b"wnS1";

    /// Magic, length, points, time in nanoseconds, boot, sum of what follows, sum of all these.
    pub(super) fn bytes(&self, magic: [u8; 4]) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let taken = u64::try_from(self.taken.as_nanos()).unwrap_or(u64::MAX);
        let parts: [&[u8]; 6] = [
            &magic,
            &self.length.to_le_bytes(),
            &self.points.to_le_bytes(),
            &taken.to_le_bytes(),
            &self.boot.0,
            &self.sum.to_le_bytes(),
        ];
        let fields = parts.iter().flat_map(|part| part.iter());
        bytes.iter_mut().zip(fields).for_each(|(byte, field)| *byte = *field);
        let sum = crc32fast::hash(&bytes[..Self::SIZE - 4]);
        bytes[Self::SIZE - 4..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// The head that the bytes begin with, if they do.
    pub(super) fn read(bytes: &[u8], magic: [u8; 4]) -> Option<Self> {
        let bytes: &[u8; Self::SIZE] = bytes.first_chunk()?;
        let word = |at: usize| bytes.get(at..)?.first_chunk().map(|four| u32::from_le_bytes(*four));
        if !bytes.starts_with(&magic) || word(Self::SIZE - 4)? != crc32fast::hash(&bytes[..Self::SIZE - 4]) {
            return None;
        }
        let taken = bytes.get(12..)?.first_chunk().map(|eight| u64::from_le_bytes(*eight))?;
        let boot = BootId(*bytes.get(20..)?.first_chunk()?);
        Some(Self { taken: Duration::from_nanos(taken), boot, points: word(8)?, length: word(4)?, sum: word(36)? })
    }

    /// How many bytes the record takes in all.
    pub(super) fn size(&self) -> u64 {
        Self::SIZE as u64 + u64::from(self.length)
    }

    pub(super) fn tally(&self) -> Tally {
        Tally::one(self.points)
    }
}

/// A record as it waits.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    pub(super) head: Head,
    /// gzip.
    pub(super) body: Box<[u8]>,
}

impl Packed {
    /// Compresses a request; none if it is larger than any of ours.
    pub(super) fn new(record: &Record, gzip: &mut Gzip) -> Option<Self> {
        if record.request.len() > REQUEST_MAX {
            return None;
        }
        let mut body = Vec::with_capacity(record.request.len() / 8 + 64);
        gzip.pack(&record.request, &mut body);
        let head = Head {
            taken: record.taken,
            boot: record.boot,
            points: record.points,
            length: u32::try_from(body.len()).ok()?,
            sum: crc32fast::hash(&body),
        };
        Some(Self { head, body: body.into_boxed_slice() })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head.bytes(Head::RECORD));
        out.extend_from_slice(&self.body);
    }
}

/// The record with this head and body; none if the body is another's or broken.
pub(super) fn unpack(head: &Head, body: &[u8]) -> Option<Record> {
    if crc32fast::hash(body) != head.sum {
        return None;
    }
    let bits = body.get(GZIP_HEAD..body.len().checked_sub(GZIP_END)?)?;
    let request = miniz_oxide::inflate::decompress_to_vec_with_limit(bits, REQUEST_MAX).ok()?;
    Some(Record { taken: head.taken, boot: head.boot, points: head.points, request })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(taken: u64, boot: [u8; 16], points: u32, request: Vec<u8>) -> Record {
        Record { taken: Duration::from_nanos(taken), boot: BootId(boot), points, request }
    }

    proptest! {
        #[test]
        fn records_come_back(taken: u64, boot: [u8; 16], points: u32, request: Vec<u8>, times in 1..400usize) {
            let record = record(taken, boot, points, request.repeat(times));
            let packed = Packed::new(&record, &mut Gzip::default()).unwrap();
            let mut bytes = Vec::new();
            packed.write(&mut bytes);
            let head = Head::read(&bytes, Head::RECORD).unwrap();
            prop_assert_eq!(head, packed.head);
            prop_assert_eq!(head.size(), bytes.len() as u64);
            prop_assert_eq!(unpack(&head, &bytes[Head::SIZE..]), Some(record));
            prop_assert_eq!(Head::read(&bytes, Head::SEAL), None);
        }

        #[test]
        fn no_bit_changes_unnoticed(request: Vec<u8>, bit: prop::sample::Index) {
            let record = record(1, [7; 16], 3, request);
            let mut bytes = Vec::new();
            Packed::new(&record, &mut Gzip::default()).unwrap().write(&mut bytes);
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let back = Head::read(&bytes, Head::RECORD).and_then(|head| unpack(&head, &bytes[Head::SIZE..]));
            prop_assert_eq!(back, None);
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes: Vec<u8>, mut head: [u8; Head::SIZE]) {
            head[..4].copy_from_slice(&Head::RECORD);
            prop_assert_eq!(Head::read(&head, Head::RECORD), None);
            let head = Head { taken: Duration::ZERO, boot: BootId([0; 16]), points: 1, length: 0, sum: crc32fast::hash(&bytes) };
            unpack(&head, &bytes);
        }
    }

    #[test]
    fn what_is_larger_than_any_request_is_not_taken() {
        let taken = |size| Packed::new(&record(1, [7; 16], 3, vec![0; size]), &mut Gzip::default());
        assert!(taken(REQUEST_MAX).is_some() && taken(REQUEST_MAX + 1).is_none());
        // 16 MiB of zeros are some kilobytes: a bomb of more ends at the limit.
        let mut bomb = Vec::new();
        Gzip::default().pack(&vec![0; REQUEST_MAX + 1], &mut bomb);
        let head = Head { sum: crc32fast::hash(&bomb), ..taken(0).unwrap().head };
        assert_eq!(unpack(&head, &bomb), None);
    }
}
