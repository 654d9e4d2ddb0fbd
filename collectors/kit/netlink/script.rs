//! Recorded answers of netlink, in a form that a person can write.
//!
//! `message TYPE` begins a message and `error ERRNO` refuses; `TYPE:` begins an attribute, to which belongs what is
//! indented more. What they hold is written word by word: `u8 1`, `u16 0x8`, `u32 7`, `u64 5`, `i32 -1`, `ip 192.0.2.1`,
//! `hex 02:00:5e`, `pad 4` (bytes of zero), `text eth0` (to the end of the line, with a zero behind it). `#` begins a comment.

use super::HEADER;
use crate::kit::calls::errno;
use std::net::IpAddr;

/// What the kernel would have sent; `Err` is a line that does not read as it should.
pub(in crate::kit) fn script(text: &str) -> Result<Vec<u8>, &str> {
    let mut writer = Writer::default();
    for line in text.lines() {
        let words = line.trim();
        if !words.is_empty() && !words.starts_with('#') {
            writer.line(line.len() - line.trim_start().len(), words).ok_or(line)?;
        }
    }
    writer.close(0);
    Ok(writer.bytes)
}

#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    /// Where messages and attributes begin that have not ended, how far they are indented, how many bytes their length takes.
    open: Vec<(usize, usize, usize)>,
}

impl Writer {
    fn line(&mut self, indent: usize, words: &str) -> Option<()> {
        let (word, rest) = words.split_once(char::is_whitespace).unwrap_or((words, ""));
        match word {
            "message" => self.message(number(rest)?),
            "error" => {
                self.message(2);
                self.bytes.extend_from_slice(&(-errno(rest)?.raw_os_error()).to_ne_bytes());
                Some(())
            }
            word => match word.strip_suffix(':') {
                Some(kind) => {
                    self.close(indent);
                    self.begin(indent, 2)?;
                    self.bytes.extend_from_slice(&number::<u16>(kind)?.to_ne_bytes());
                    self.values(rest)
                }
                None => self.values(words),
            },
        }
    }

    fn message(&mut self, kind: u16) -> Option<()> {
        self.close(0);
        self.open.push((self.bytes.len(), 0, 4));
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; HEADER - 6]);
        Some(())
    }

    /// An attribute, which needs something around it.
    fn begin(&mut self, indent: usize, width: usize) -> Option<()> {
        self.open.last()?;
        self.open.push((self.bytes.len(), indent, width));
        self.bytes.extend_from_slice(&[0; 2]);
        Some(())
    }

    /// Ends what is indented as far or farther. A message is ended by the next one only.
    fn close(&mut self, indent: usize) {
        while let Some(&(start, depth, width)) = self.open.last()
            && (depth >= indent && width == 2 || indent == 0)
        {
            self.open.pop();
            let length = self.bytes.len() - start;
            for (place, byte) in self.bytes.iter_mut().skip(start).zip(length.to_ne_bytes()).take(width) {
                *place = byte;
            }
            self.bytes.resize(start + length.next_multiple_of(4), 0);
        }
    }

    fn values(&mut self, words: &str) -> Option<()> {
        self.open.last()?;
        let mut rest = words.trim();
        while !rest.is_empty() {
            let (kind, behind) = rest.split_once(char::is_whitespace)?;
            let behind = behind.trim_start();
            let (word, next) = behind.split_once(char::is_whitespace).unwrap_or((behind, ""));
            rest = next.trim_start();
            let bytes = &mut self.bytes;
            match kind {
                "u8" => bytes.push(number(word)?),
                "u16" => bytes.extend_from_slice(&number::<u16>(word)?.to_ne_bytes()),
                "u32" => bytes.extend_from_slice(&number::<u32>(word)?.to_ne_bytes()),
                "u64" => bytes.extend_from_slice(&number::<u64>(word)?.to_ne_bytes()),
                "i32" => bytes.extend_from_slice(&word.parse::<i32>().ok()?.to_ne_bytes()),
                "ip" => match word.parse().ok()? {
                    IpAddr::V4(address) => bytes.extend_from_slice(&address.octets()),
                    IpAddr::V6(address) => bytes.extend_from_slice(&address.octets()),
                },
                "pad" => bytes.resize(bytes.len() + usize::from(number::<u8>(word)?), 0),
                "hex" => {
                    let digits: Vec<u32> = word.chars().filter(|c| *c != ':').map_while(|c| c.to_digit(16)).collect();
                    let (pairs, odd) = digits.as_chunks::<2>();
                    if !odd.is_empty() || digits.len() != word.chars().filter(|c| *c != ':').count() {
                        return None;
                    }
                    bytes.extend(pairs.iter().map(|[high, low]| (high << 4 | low) as u8));
                }
                "text" => {
                    bytes.extend_from_slice(behind.as_bytes());
                    bytes.push(0);
                    rest = "";
                }
                _ => return None,
            }
        }
        Some(())
    }
}

fn number<T: TryFrom<u64>>(word: &str) -> Option<T> {
    let number = match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok()?,
        None => word.parse().ok()?,
    };
    T::try_from(number).ok()
}
