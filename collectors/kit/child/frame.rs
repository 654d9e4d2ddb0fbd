//! What crosses the pipes between the daemon and its child: both are the same binary, so the bytes are nobody else's.

use super::super::StatFs;
use rustix::io::Errno;
use std::time::Duration;

/// The longest path that the kernel takes, its end not counted.
pub(super) const PATH_MAX: usize = 4095;
/// How many bytes an answer takes.
pub(super) const ANSWER: usize = 8 + 8 + 4 + 6 * 8;
/// The code of an answer that says: nobody was free to ask.
const REFUSED: u32 = u32::MAX;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The call returned, at this time of the monotonic clock.
    Returned(Result<StatFs, Errno>, Duration),
    /// Every thread is stuck: the call was not made.
    Refused,
}

/// Whether a request can carry this path: what it can't carry, the kernel would refuse with the same words.
pub(super) fn check(path: &[u8]) -> Result<(), Errno> {
    match path.len() {
        0 => Err(Errno::NOENT),
        1..=PATH_MAX => Ok(()),
        _ => Err(Errno::NAMETOOLONG),
    }
}

/// Appends a request. An empty path is a mark: it is answered as soon as all requests before it are being worked on.
pub(super) fn request(to: &mut Vec<u8>, number: u64, path: &[u8]) {
    let path = &path[..path.len().min(PATH_MAX)];
    to.extend_from_slice(&number.to_le_bytes());
    to.extend_from_slice(&(path.len() as u16).to_le_bytes());
    to.extend_from_slice(path);
}

/// The number and the length of the path that follows.
pub(super) fn request_head(head: [u8; 10]) -> (u64, usize) {
    let [number @ .., low, high] = head;
    (u64::from_le_bytes(number), usize::from(u16::from_le_bytes([low, high])))
}

/// Appends an answer.
pub(super) fn answer(to: &mut Vec<u8>, number: u64, outcome: Outcome) {
    let (code, at, size) = match outcome {
        Outcome::Returned(Ok(size), at) => (0, at, size),
        Outcome::Returned(Err(errno), at) => (errno.raw_os_error() as u32, at, StatFs::default()),
        Outcome::Refused => (REFUSED, Duration::ZERO, StatFs::default()),
    };
    to.extend_from_slice(&number.to_le_bytes());
    to.extend_from_slice(&u64::try_from(at.as_nanos()).unwrap_or(u64::MAX).to_le_bytes());
    to.extend_from_slice(&code.to_le_bytes());
    let StatFs { block_size, blocks, blocks_free, blocks_available, files, files_free } = size;
    for field in [block_size, blocks, blocks_free, blocks_available, files, files_free] {
        to.extend_from_slice(&field.to_le_bytes());
    }
}

/// Reads an answer.
pub(super) fn read_answer(frame: &[u8; ANSWER]) -> (u64, Outcome) {
    let eight = |at: usize| frame.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes);
    let code = frame.get(16..20).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes);
    let at = Duration::from_nanos(eight(8));
    let outcome = match code {
        REFUSED => Outcome::Refused,
        0 => Outcome::Returned(
            Ok(StatFs {
                block_size: eight(20),
                blocks: eight(28),
                blocks_free: eight(36),
                blocks_available: eight(44),
                files: eight(52),
                files_free: eight(60),
            }),
            at,
        ),
        // A number outside of what the kernel uses is no reason to fall over.
        errno => Outcome::Returned(Err(Errno::from_raw_os_error(errno.min(4095) as i32)), at),
    };
    (eight(0), outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn answers_cross_the_pipe_unchanged() {
        let size =
            StatFs { block_size: 1, blocks: 2, blocks_free: 3, blocks_available: 4, files: 5, files_free: u64::MAX };
        let at = Duration::new(3, 7);
        let outcomes = [Outcome::Returned(Ok(size), at), Outcome::Returned(Err(Errno::NOTCONN), at), Outcome::Refused];
        for (number, outcome) in [0, 7, u64::MAX].into_iter().zip(outcomes) {
            let mut bytes = Vec::new();
            answer(&mut bytes, number, outcome);
            assert_eq!(read_answer(&bytes.try_into().unwrap()), (number, outcome));
        }
    }

    #[test]
    fn requests_cross_the_pipe_unchanged() {
        let mut bytes = Vec::new();
        request(&mut bytes, 9, b"/mnt/a");
        let (head, path) = bytes.split_first_chunk().unwrap();
        assert_eq!((request_head(*head), path), ((9, 6), &b"/mnt/a"[..]));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), ANSWER)) {
            read_answer(&bytes.try_into().unwrap());
        }
    }
}
