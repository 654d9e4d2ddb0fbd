//! A segment: one file of records, read from its start, and removed as a whole when its last record was answered for.
//!
//! `wnspool1`, then the mark (16 bytes: how far it was read, how many records and points that were, their sum), then
//! records, then a seal with their number if the segment was closed in peace. The mark is the only thing that is ever
//! written over. Without a seal the heads are gone through; no body is read before its turn.

use super::super::record::{Head, REQUEST_MAX, Tally};
use super::directory::read;
use crate::export::time::BootId;
use rustix::fd::AsFd;
use rustix::io::Errno;
use std::time::Duration;

const MAGIC: [u8; 8] = *b"wnspool1";
/// Where the mark is, and how long.
pub(super) const MARK: u64 = 8;
const MARK_SIZE: usize = 16;
/// Where the first record is.
pub(super) const START: u64 = MARK + MARK_SIZE as u64;
/// How much is read at a time where records are looked for.
const PIECE: usize = 64 << 10;

/// What is kept in memory of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) number: u64,
    /// When the oldest record that waits was taken, as far as it was looked at.
    pub(super) oldest: (BootId, Duration),
    /// Where the next record is.
    pub(super) at: u64,
    /// Where the last record ends.
    pub(super) end: u64,
    /// How long the file is.
    pub(super) size: u64,
    /// What waits.
    pub(super) left: Tally,
    /// What no longer does.
    pub(super) gone: Tally,
}

/// What a file turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A segment, and what of it is torn.
    Segment(Segment, Tally),
    /// A segment of which nothing was written, or nothing reached the disk.
    Torn,
    /// Somebody else's file.
    Foreign,
}

impl Segment {
    /// One that begins with a record.
    pub(super) fn new(number: u64, first: &Head) -> Self {
        let (left, gone) = Default::default();
        Self { number, oldest: (first.boot, first.taken), at: START, end: START, size: START, left, gone }
    }

    /// What its file begins with.
    pub(super) fn preface() -> Vec<u8> {
        [&MAGIC[..], &[0; MARK_SIZE]].concat()
    }

    /// Looks at a file in bounded memory: its mark and its seal, or else its heads.
    pub(super) fn look(number: u64, file: impl AsFd) -> Result<Found, Errno> {
        let size = u64::try_from(rustix::fs::fstat(&file)?.st_size).unwrap_or(0);
        let preface = read(&file, 0, START as usize)?;
        if !preface.starts_with(&MAGIC) {
            // A file system that lost power may have kept the length alone.
            let is_blank = preface.iter().all(|byte| *byte == 0) || MAGIC.starts_with(&preface);
            return Ok(if is_blank { Found::Torn } else { Found::Foreign });
        }
        let mark =
            unmark(preface.get(MARK as usize..).unwrap_or_default()).filter(|(at, _)| (START..=size).contains(at));
        let (at, gone) = mark.unwrap_or((START, Tally::default()));
        if let Some(end) = size.checked_sub(Head::SIZE as u64).filter(|end| *end >= at)
            && let Some(seal) = Head::read(&read(&file, end, Head::SIZE)?, Head::SEAL)
        {
            let mut left = Tally { records: seal.length.into(), points: seal.points.into() };
            left.take(gone);
            let oldest = (seal.boot, seal.taken);
            return Ok(Found::Segment(Self { number, oldest, at, end, size, left, gone }, Tally::default()));
        }
        let (mut segment, mut torn) = (Self::new(number, &NOBODY), Tally::default());
        (segment.at, segment.end, segment.size, segment.gone) = (at, at, size, gone);
        let mut next = at;
        while next < size {
            match record_at(&file, next, size)? {
                Ok(head) => {
                    if segment.left.records == 0 {
                        segment.oldest = (head.boot, head.taken);
                    }
                    segment.left.add(head.tally());
                    next += head.size();
                    segment.end = next;
                }
                Err(points) => {
                    torn.add(Tally::one(points));
                    next = search(&file, next + 1, size)?.unwrap_or(size);
                }
            }
        }
        let is_torn = segment.left.records == 0 && segment.gone.records == 0 && torn.records == 0;
        Ok(if is_torn { Found::Torn } else { Found::Segment(segment, torn) })
    }

    /// The record is done with.
    pub(super) fn advance(&mut self, head: &Head) {
        self.at += head.size();
        self.left.take(head.tally());
        self.gone.add(head.tally());
    }

    /// How far it was read, as its file has it.
    pub(super) fn mark(&self) -> [u8; MARK_SIZE] {
        let word = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
        let mut bytes = [0; MARK_SIZE];
        let words = [self.at, self.gone.records, self.gone.points].map(word);
        bytes.iter_mut().zip(words.as_flattened()).for_each(|(byte, word)| *byte = *word);
        let sum = crc32fast::hash(&bytes[..12]);
        bytes[12..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// What stands behind its last record.
    pub(super) fn seal(&self) -> [u8; Head::SIZE] {
        let word = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let length = word(self.left.records + self.gone.records);
        let points = word(self.left.points + self.gone.points);
        Head { taken: self.oldest.1, boot: self.oldest.0, points, length, sum: 0 }.bytes(Head::SEAL)
    }
}

const NOBODY: Head = Head { taken: Duration::ZERO, boot: BootId([0; 16]), points: 0, length: 0, sum: 0 };

fn unmark(bytes: &[u8]) -> Option<(u64, Tally)> {
    let (words, _) = bytes.as_chunks::<4>();
    let [at, records, points, sum] = *words.first_chunk::<4>()?;
    let number = |word: [u8; 4]| u64::from(u32::from_le_bytes(word));
    let is_whole = u32::from_le_bytes(sum) == crc32fast::hash(bytes.get(..12)?);
    is_whole.then(|| (number(at), Tally { records: number(records), points: number(points) }))
}

/// The head of the record at this place, if the file is long enough for all of it; else how many points it may have had.
pub(super) fn record_at(file: impl AsFd, at: u64, end: u64) -> Result<Result<Head, u32>, Errno> {
    let Some(head) = Head::read(&read(file, at, Head::SIZE)?, Head::RECORD) else { return Ok(Err(0)) };
    // gzip makes what does not shrink a little longer.
    let is_whole = at + head.size() <= end && head.length as usize <= REQUEST_MAX + REQUEST_MAX / 1024;
    Ok(if is_whole { Ok(head) } else { Err(head.points) })
}

/// Where the next whole record may be found, from a place on.
pub(super) fn search(file: impl AsFd, from: u64, end: u64) -> Result<Option<u64>, Errno> {
    let mut at = from;
    while at < end {
        let piece = read(&file, at, PIECE)?;
        let starts = piece.windows(Head::RECORD.len()).enumerate();
        for (start, _) in starts.filter(|(_, four)| **four == Head::RECORD) {
            let place = at + start as u64;
            if record_at(&file, place, end)?.is_ok() {
                return Ok(Some(place));
            }
        }
        if piece.len() < PIECE {
            break;
        }
        // One may begin in this piece and end in the next.
        at += (PIECE - Head::RECORD.len() + 1) as u64;
    }
    Ok(None)
}
