//! What crosses the socket between the daemon and its child: both are the same binary, so the bytes are nobody else's.

use super::super::StatFs;
use rustix::io::Errno;
use std::time::Duration;

/// The longest path that the kernel takes, its end not counted.
pub(in crate::kit) const PATH_MAX: usize = 4095;
/// How many bytes an answer takes.
pub(in crate::kit) const ANSWER: usize = 8 + 8 + 4 + 7 * 8;
/// Whether a request can carry this path: what it can't carry, the kernel would refuse with the same words.
pub(in crate::kit) fn check(path: &[u8]) -> Result<(), Errno> {
    match path.len() {
        0 => Err(Errno::NOENT),
        1..=PATH_MAX => Ok(()),
        _ => Err(Errno::NAMETOOLONG),
    }
}

/// Appends a request. An empty path is a mark: it is answered as soon as all requests before it are being worked on.
pub(in crate::kit) fn request(to: &mut Vec<u8>, number: u64, path: &[u8]) {
    let path = &path[..path.len().min(PATH_MAX)];
    to.extend_from_slice(&number.to_le_bytes());
    to.extend_from_slice(&(path.len() as u16).to_le_bytes());
    to.extend_from_slice(path);
}

/// Reads the requests of a packet.
pub(in crate::kit) fn requests(packet: &[u8]) -> impl Iterator<Item = (u64, Vec<u8>)> {
    let mut rest = packet;
    std::iter::from_fn(move || {
        let ([number @ .., low, high], tail) = rest.split_first_chunk::<10>()?;
        let (path, tail) = tail.split_at_checked(usize::from(u16::from_le_bytes([*low, *high])))?;
        rest = tail;
        Some((u64::from_le_bytes(*number), path.to_vec()))
    })
}

/// Appends an answer: what the call returned, at which time of the monotonic clock.
pub(in crate::kit) fn answer(to: &mut Vec<u8>, number: u64, result: Result<StatFs, Errno>, at: Duration) {
    let (code, size) = match result {
        Ok(size) => (0, size),
        Err(errno) => (errno.raw_os_error() as u32, StatFs::default()),
    };
    to.extend_from_slice(&number.to_le_bytes());
    to.extend_from_slice(&u64::try_from(at.as_nanos()).unwrap_or(u64::MAX).to_le_bytes());
    to.extend_from_slice(&code.to_le_bytes());
    let StatFs { block_size, blocks, blocks_free, blocks_available, files, files_free, readonly } = size;
    for field in [block_size, blocks, blocks_free, blocks_available, files, files_free, u64::from(readonly)] {
        to.extend_from_slice(&field.to_le_bytes());
    }
}

/// Reads an answer.
pub(in crate::kit) fn read_answer(frame: &[u8; ANSWER]) -> (u64, Result<StatFs, Errno>, Duration) {
    let eight = |at: usize| frame.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes);
    let code = frame.get(16..20).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes);
    let result = match code {
        0 => Ok(StatFs {
            block_size: eight(20),
            blocks: eight(28),
            blocks_free: eight(36),
            blocks_available: eight(44),
            files: eight(52),
            files_free: eight(60),
            readonly: eight(68) != 0,
        }),
        // A number outside of what the kernel uses is no reason to fall over.
        errno => Err(Errno::from_raw_os_error(errno.min(4095) as i32)),
    };
    (eight(0), result, Duration::from_nanos(eight(8)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
        for (number, result) in [(0, Ok(size)), (u64::MAX, Err(Errno::NOTCONN))] {
            let mut bytes = Vec::new();
            answer(&mut bytes, number, result, at);
            assert_eq!(read_answer(&bytes.try_into().unwrap()), (number, result, at));
        }
    }

    #[test]
    fn requests_cross_unchanged() {
        let mut packet = Vec::new();
        request(&mut packet, 9, b"/mnt/a");
        request(&mut packet, u64::MAX, b"");
        let all: Vec<_> = requests(&packet).collect();
        assert_eq!(all, [(9, b"/mnt/a".to_vec()), (u64::MAX, Vec::new())]);
        assert_eq!(requests(b"n").count(), 0);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), ANSWER)) {
            requests(&bytes).for_each(drop);
            let _ = read_answer(&bytes.try_into().unwrap());
        }
    }
}
