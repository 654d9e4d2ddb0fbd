//! What crosses the socket between the daemon and its child: both are the same binary, so the bytes are nobody else's.

use super::super::{Btrfs, Quota, StatFs, Walked};
use super::{Answer, Question};
use rustix::io::Errno;
use std::time::Duration;

/// The longest path that the kernel takes, its end not counted.
pub(in crate::kit) const PATH_MAX: usize = 4095;
/// The longest answer; what would be longer is answered with EMSGSIZE. There is room for more than a hundred devices.
pub(super) const ANSWER_MAX: usize = 16 << 10;
const BLOCK_MAX: usize = ANSWER_MAX - 8 - 8 - 1 - 2;

/// Whether a request can carry this path: what it can't carry, the kernel would refuse with the same words.
pub(super) fn check(path: &[u8]) -> Result<(), Errno> {
    match path.len() {
        0 => Err(Errno::NOENT),
        1..=PATH_MAX => Ok(()),
        _ => Err(Errno::NAMETOOLONG),
    }
}

/// Appends a request.
pub(in crate::kit) fn request(to: &mut Vec<u8>, number: u64, question: Question, path: &[u8]) {
    let path = &path[..path.len().min(PATH_MAX)];
    to.extend_from_slice(&number.to_le_bytes());
    to.extend_from_slice(&code(question).to_le_bytes());
    to.extend_from_slice(&(path.len() as u16).to_le_bytes());
    to.extend_from_slice(path);
}

/// A question as a number: its kind, and above that how fast a walk may be.
fn code(question: Question) -> u32 {
    match question {
        Question::Size => 0,
        Question::Devices => 1,
        Question::Quota => 2,
        Question::Walk(rate) => 3 | rate.min(u32::MAX >> 2) << 2,
    }
}

fn question(code: u32) -> Question {
    match code & 3 {
        0 => Question::Size,
        1 => Question::Devices,
        2 => Question::Quota,
        _ => Question::Walk(code >> 2),
    }
}

/// Appends a mark, a request without a path: it is answered as soon as all requests before it are being worked on.
pub(super) fn mark(to: &mut Vec<u8>, number: u64) {
    request(to, number, Question::Size, b"");
}

/// Reads the requests of a packet.
pub(in crate::kit) fn requests(packet: &[u8]) -> impl Iterator<Item = (u64, Question, Vec<u8>)> {
    let mut rest = packet;
    std::iter::from_fn(move || {
        let number = number(&mut rest)?;
        let question = question(u32::from_le_bytes(rest.split_off(..4)?.try_into().ok()?));
        let path = block(&mut rest)?;
        Some((number, question, path.to_vec()))
    })
}

/// Appends an answer: what the calls returned, at which time of the monotonic clock.
pub(in crate::kit) fn answer(to: &mut Vec<u8>, number: u64, result: &Result<Answer, Errno>, at: Duration) {
    let refusal = |errno: Errno| (2, errno.raw_os_error().to_le_bytes().to_vec());
    let (mut kind, mut block) = match result {
        Ok(Answer::Size(size)) => {
            let StatFs { block_size, blocks, blocks_free, blocks_available, files, files_free, readonly } = *size;
            let fields = [block_size, blocks, blocks_free, blocks_available, files, files_free, readonly.into()];
            (0, fields.map(u64::to_le_bytes).concat())
        }
        Ok(Answer::Devices(devices)) => (1, devices.bytes()),
        Ok(Answer::Quota(quota)) => (3, quota.bytes()),
        Ok(Answer::Walked(walked)) => (4, [walked.bytes, walked.inodes].map(u64::to_le_bytes).concat()),
        Err(errno) => refusal(*errno),
    };
    if block.len() > BLOCK_MAX {
        (kind, block) = refusal(Errno::MSGSIZE);
    }
    to.extend_from_slice(&number.to_le_bytes());
    to.extend_from_slice(&u64::try_from(at.as_nanos()).unwrap_or(u64::MAX).to_le_bytes());
    to.push(kind);
    to.extend_from_slice(&(block.len() as u16).to_le_bytes());
    to.extend_from_slice(&block);
}

/// Reads the answers of a packet.
pub(in crate::kit) fn answers(packet: &[u8]) -> impl Iterator<Item = (u64, Result<Answer, Errno>, Duration)> {
    let mut rest = packet;
    std::iter::from_fn(move || {
        let (number, at) = (number(&mut rest)?, number(&mut rest)?);
        let kind = *byte(&mut rest)?;
        let result = read(kind, block(&mut rest)?)?;
        Some((number, result, Duration::from_nanos(at)))
    })
}

/// What stands behind the kind of an answer and its length.
fn read(kind: u8, mut block: &[u8]) -> Option<Result<Answer, Errno>> {
    let mut next = || number(&mut block);
    Some(match kind {
        0 => Ok(Answer::Size(StatFs {
            block_size: next()?,
            blocks: next()?,
            blocks_free: next()?,
            blocks_available: next()?,
            files: next()?,
            files_free: next()?,
            readonly: next()? != 0,
        })),
        1 => Ok(Answer::Devices(Btrfs::read(block)?)),
        3 => Ok(Answer::Quota(Quota::read(block)?)),
        4 => Ok(Answer::Walked(Walked { bytes: next()?, inodes: next()? })),
        // A number outside of what the kernel uses is no reason to fall over.
        _ => Err(Errno::from_raw_os_error(i32::from_le_bytes(*block.first_chunk()?).clamp(1, 4095))),
    })
}

/// Takes a number off the front.
pub(in crate::kit) fn number(rest: &mut &[u8]) -> Option<u64> {
    rest.split_off(..8)?.try_into().ok().map(u64::from_le_bytes)
}

fn byte<'a>(rest: &mut &'a [u8]) -> Option<&'a u8> {
    rest.split_off_first()
}

/// Takes a length of two bytes and as many bytes off the front.
pub(in crate::kit) fn block<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u16::from_le_bytes(rest.split_off(..2)?.try_into().ok()?);
    rest.split_off(..usize::from(length))
}

#[cfg(test)]
mod tests {
    use super::super::super::Device;
    use super::*;
    use proptest::prelude::*;

    fn devices(count: usize) -> Answer {
        let device = |at: usize| Device {
            name: format!("mapper-{at}"),
            uuid: "c0ffee00-0000-4000-8000-000000000001".to_owned(),
            size: u64::MAX,
            used: 7,
            errors: at.is_multiple_of(2).then_some([1, 2, 3, 4, u64::MAX]),
        };
        Answer::Devices(Btrfs { uuid: "c0ffee".to_owned(), devices: (0..count).map(device).collect() })
    }

    #[test]
    fn answers_cross_unchanged() {
        let size = StatFs {
            block_size: 1,
            blocks: 2,
            blocks_free: 3,
            blocks_available: 4,
            files: 5,
            files_free: u64::MAX,
            readonly: true,
        };
        let at = Duration::new(3, 7);
        let all = [
            (0, Ok(Answer::Size(size)), at),
            (u64::MAX, Err(Errno::NOTCONN), at),
            (7, Ok(devices(0)), at),
            (8, Ok(devices(100)), at),
            (9, Ok(Answer::Quota(Quota { project: 7, counted: Some([1, 2, 3, 4]), size })), at),
            (10, Ok(Answer::Walked(Walked { bytes: u64::MAX, inodes: 9 })), at),
        ];
        let mut packet = Vec::new();
        all.iter().for_each(|(number, result, at)| answer(&mut packet, *number, result, *at));
        assert_eq!(answers(&packet).collect::<Vec<_>>(), all);
    }

    #[test]
    fn what_is_longer_than_a_packet_is_not_sent() {
        let mut packet = Vec::new();
        answer(&mut packet, 9, &Ok(devices(200)), Duration::ZERO);
        assert_eq!(answers(&packet).collect::<Vec<_>>(), [(9, Err(Errno::MSGSIZE), Duration::ZERO)]);
    }

    #[test]
    fn requests_cross_unchanged() {
        let mut packet = Vec::new();
        request(&mut packet, 9, Question::Devices, b"/mnt/a");
        request(&mut packet, 10, Question::Walk(5000), b"/a\0/b");
        request(&mut packet, 11, Question::Quota, b"/");
        mark(&mut packet, u64::MAX);
        let all: Vec<_> = requests(&packet).collect();
        let walk = (10, Question::Walk(5000), b"/a\0/b".to_vec());
        let ends = [(11, Question::Quota, b"/".to_vec()), (u64::MAX, Question::Size, Vec::new())];
        assert_eq!(all[..2], [(9, Question::Devices, b"/mnt/a".to_vec()), walk]);
        assert_eq!(all[2..], ends);
        assert_eq!(requests(b"n").count(), 0);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            requests(&bytes).for_each(drop);
            answers(&bytes).for_each(drop);
            (0..5).for_each(|kind| drop(read(kind, &bytes)));
        }
    }
}
