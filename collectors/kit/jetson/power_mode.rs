//! The power mode of a Jetson board, as nvpmodel leaves it on disk.

use crate::kit::parse;
use std::collections::BTreeMap;

/// The file below the root that says in which mode the board is.
pub const STATUS: &str = "var/lib/nvpmodel/status";
/// The file that says what modes are called; often a link to that of the module.
pub const NAMES: &str = "etc/nvpmodel.conf";
/// How many modes are taken; boards have up to nine.
const MODES_MAX: usize = 64;

/// The mode of the status: `pmode:0002`, or `pmode:0002 fmode:quiet` with that of the fan, is 2. The number is decimal.
pub fn mode(text: &[u8]) -> Option<u64> {
    let mut fields = parse::lines_of_record(text).filter_map(parse::field);
    parse::number(parse::words(fields.find(|(key, _)| *key == b"pmode")?.1).next()?)
}

/// `< POWER_MODEL ID=0 NAME=MAXN >`: the names, by number. What else is in the file uses the same words.
pub fn names(text: &[u8]) -> BTreeMap<u64, String> {
    let mut names = BTreeMap::new();
    for line in parse::lines_of_record(text) {
        let words: Vec<&[u8]> = parse::words(line).take(16).collect();
        if words.first() != Some(&&b"<"[..]) || words.get(1) != Some(&&b"POWER_MODEL"[..]) {
            continue;
        }
        let word = |key: &[u8]| words.iter().find_map(|word| word.strip_prefix(key));
        if let (Some(id), Some(name)) = (word(b"ID=").and_then(parse::number), word(b"NAME="))
            && names.len() < MODES_MAX
        {
            names.insert(id, parse::text(name).into_owned());
        }
    }
    names
}
