//! The parsers of bytes that others wrote, each as one function: for the package `fuzz/`, and for the test that goes
//! through its seeds.

use super::child::frame;
use super::exposition::{self, Dialect};
use super::{Options, Replay, glob, itself, netlink, parse, protobuf, span};
use crate::model::{Batch, POINTS_MAX};

/// A parser, under the name of its folder of seeds and of its target.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub static TARGETS: &[Target] = &[
    ("bus", bus),
    ("calls", calls),
    ("exposition", exposition),
    ("frame", frame),
    ("glob", glob),
    ("names", names),
    ("netlink", netlink),
    ("options", options),
    ("parse", parse),
    ("protobuf", protobuf),
];

/// The first line, and the rest.
fn head(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, bytes.get(end + 1..)?))
}

/// A message of D-Bus, or the address of one.
pub fn bus(bytes: &[u8]) {
    super::bus::read_anyhow(bytes);
}

/// A recorded answer: the name of its file in `calls/`, and a line below, the file.
pub fn calls(bytes: &[u8]) {
    let Some((name, rest)) = head(bytes) else { return };
    let text = String::from_utf8_lossy(rest);
    let file = |file: &str| (file == name).then(|| text.clone().into_owned());
    let netlink = name.strip_prefix("netlink/").map(|name| (name.to_owned(), text.clone().into_owned()));
    let _ = Replay::parse("", file, netlink.into_iter().collect());
}

/// A text of metrics, in both dialects.
pub fn exposition(bytes: &[u8]) {
    for dialect in [Dialect::Prometheus, Dialect::OpenMetrics] {
        if let Ok(document) = exposition::parse(bytes, dialect) {
            let mut batch = Batch::new(POINTS_MAX);
            document.put(&mut batch);
            let all = document.len() as u64;
            assert_eq!(batch.len() as u64 + batch.dropped(), all, "every series is put or counted");
        }
    }
}

/// What the daemon and its child send each other.
pub fn frame(bytes: &[u8]) {
    let mut again = Vec::new();
    frame::requests(bytes).for_each(|(number, question, path)| frame::request(&mut again, number, question, &path));
    // Longer paths are cut; they are never sent.
    let is_the_same = frame::requests(&again).eq(frame::requests(bytes));
    assert!(is_the_same || frame::requests(bytes).any(|(_, _, path)| path.len() > frame::PATH_MAX));
    for (number, result, at) in frame::answers(bytes) {
        again.clear();
        frame::answer(&mut again, number, &result, at);
        assert_eq!(frame::answers(&again).count(), 1, "what was read can be sent");
    }
}

/// A pattern for a level of folders, and a line below, the name of a folder.
pub fn glob(bytes: &[u8]) {
    let Some((pattern, name)) = head(bytes) else { return };
    glob::Glob::new(pattern);
    if let Some(regex) = glob::regex(pattern) {
        regex.is_match(&String::from_utf8_lossy(name));
    }
}

/// What a runtime left on disk about a container.
pub fn names(bytes: &[u8]) {
    super::cgroup::read_anyhow(bytes);
}

/// A datagram of the kernel.
pub fn netlink(bytes: &[u8]) {
    let sequence = netlink::u32_at(bytes, 8).unwrap_or(0);
    netlink::messages(bytes, sequence, &mut |message| {
        for size in [0, 4, 16, 20] {
            for (_, value) in message.attributes(size) {
                let _ = (netlink::text(value), netlink::u16_at(value, 0), netlink::u64_at(value, 1));
                netlink::attributes(value).for_each(drop);
            }
        }
    });
}

/// What an option is told.
pub fn options(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = span(&text);
    for opt in OPTIONS {
        let _ = Options::new(OPTIONS, &[(opt.name.to_owned(), vec![text.clone().into_owned()])]);
    }
}

static OPTIONS: &[super::Opt] = &[
    super::Opt { name: "flag", kind: super::OptKind::Flag, default: "", help: "" },
    super::Opt { name: "number", kind: super::OptKind::Number, default: "", help: "" },
    super::Opt { name: "regex", kind: super::OptKind::Regex, default: "", help: "" },
    super::Opt { name: "span", kind: super::OptKind::Span, default: "", help: "" },
    super::Opt { name: "include", kind: super::OptKind::Instead("regex"), default: "", help: "" },
];

/// A file of the kernel.
pub fn parse(bytes: &[u8]) {
    for line in parse::lines(bytes) {
        parse::field(line);
        parse::ranges(line).for_each(drop);
        for word in parse::words(line) {
            let number = parse::number(word);
            assert!(number.is_none() || parse::hex(word).is_some() || word.len() > 16, "digits are hexadecimal too");
            let _ = (parse::signed(word), parse::float(word), parse::text(word));
        }
    }
    let _ = (itself::pages(bytes), itself::start(bytes));
}

/// A message of a container runtime, with messages in it.
pub fn protobuf(bytes: &[u8]) {
    let mut again = Vec::new();
    for (number, value) in protobuf::fields(bytes).map_while(Result::ok) {
        match value {
            protobuf::Value::Number(figure) => protobuf::put_number(&mut again, number, figure),
            protobuf::Value::Bytes(inside) => {
                protobuf::fields(inside).for_each(drop);
                protobuf::put_bytes(&mut again, number, inside);
            }
        }
    }
    let whole = |bytes| protobuf::fields(bytes).map_while(Result::ok);
    assert!(whole(&again).eq(whole(bytes)), "what was read can be written");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// What a fuzzer found once goes among the seeds, and stays mended.
    #[test]
    fn every_parser_stands_its_seeds() {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
        for (name, target) in TARGETS {
            let seeds = std::fs::read_dir(fuzz.join("seeds").join(name)).unwrap();
            let seeds: Vec<Vec<u8>> = seeds.map(|seed| std::fs::read(seed.unwrap().path()).unwrap()).collect();
            assert!(!seeds.is_empty(), "{name} has no seeds");
            for seed in &seeds {
                // Whole, cut short anywhere, and with one byte changed.
                (0..=seed.len()).for_each(|length| target(&seed[..length]));
                for at in 0..seed.len().min(512) {
                    let mut other = seed.clone();
                    other[at] ^= 1 << (at % 8);
                    target(&other);
                }
            }
            assert!(fuzz.join("targets").join(name).with_extension("rs").exists(), "{name} has no target");
        }
    }
}
