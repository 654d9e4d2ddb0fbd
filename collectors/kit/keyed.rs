//! Numbers behind words, in files that have the same lines each time.

use super::parse;
use memchr::memchr_iter;
use std::iter::once;

/// Finds the numbers behind these words in texts such as `anon 4096\nfile 8192\n`.
///
/// To tell which word a line begins with costs more than all else that is done with it. A kernel gives the file of each cgroup
/// the same lines, so it is asked first whether they are those of the last text.
#[derive(Debug)]
pub struct Keyed<const N: usize> {
    words: [&'static [u8]; N],
    /// How all lines of the last text began, up to their numbers, one behind the other.
    heads: Vec<u8>,
    /// For each line, where its head ends, and the number of its word, if it is one of ours.
    lines: Vec<(usize, Option<usize>)>,
}

impl<const N: usize> Keyed<N> {
    /// A finder of these words; an empty one is never found.
    pub fn new(words: [&'static [u8]; N]) -> Self {
        Self { words, heads: Vec::new(), lines: Vec::new() }
    }

    /// The numbers of a text that is whole, see [`parse::lines_of_record`].
    pub fn find(&mut self, text: &[u8]) -> [Option<u64>; N] {
        self.find_again(text).unwrap_or_else(|| self.find_anew(text))
    }

    fn find_again(&self, text: &[u8]) -> Option<[Option<u64>; N]> {
        let mut found = [None; N];
        let mut start = 0;
        let mut lines = lines(text);
        for &(end, word) in &self.lines {
            let number = lines.next()?.strip_prefix(self.heads.get(start..end)?)?;
            if let Some(place) = word.and_then(|word| found.get_mut(word)) {
                *place = parse::number(parse::trim(number)).or(*place);
            }
            start = end;
        }
        (start > 0 && lines.next().is_none()).then_some(found)
    }

    fn find_anew(&mut self, text: &[u8]) -> [Option<u64>; N] {
        let mut found = [None; N];
        self.heads.clear();
        self.lines.clear();
        let mut are_known = true;
        for line in lines(text) {
            let Some((key, number)) = parse::entry(line) else {
                are_known = false;
                continue;
            };
            self.heads.extend_from_slice(key);
            self.heads.push(b' ');
            let word = self.words.iter().position(|word| *word == key && !key.is_empty());
            self.lines.push((self.heads.len(), word));
            if let Some(place) = word.and_then(|word| found.get_mut(word)) {
                *place = Some(number);
            }
        }
        if !are_known {
            self.lines.clear();
        }
        found
    }
}

/// [`parse::lines_of_record`], many bytes at a time.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let mut start = 0;
    memchr_iter(b'\n', text).chain(once(text.len())).map(move |end| {
        let line = text.get(start..end).unwrap_or_default();
        start = end + 1;
        line
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WORDS: [&[u8]; 3] = [b"file", b"file_mapped", b"none"];

    /// What is found, now and when the same is asked for once more; it must be what a new finder finds.
    #[track_caller]
    fn found(keyed: &mut Keyed<3>, text: &[u8]) -> [Option<u64>; 3] {
        let found = keyed.find(text);
        assert_eq!(found, Keyed::new(WORDS).find(text), "{}", text.escape_ascii());
        assert_eq!(found, keyed.find(text), "{}", text.escape_ascii());
        found
    }

    #[test]
    fn texts_of_the_same_lines_and_of_others() {
        let mut keyed = Keyed::new(WORDS);
        assert_eq!(found(&mut keyed, b"anon 1\nfile 2\nfile_mapped 3\n"), [Some(2), Some(3), None]);
        assert!(keyed.find_again(b"anon 10\nfile 20\nfile_mapped 30\n").is_some());
        for other in
            [&b"anon 1\nfile 2\n"[..], b"anon 1\nfile 2\nfile_mapped 3\nx 4\n", b"anon 1\nfile 2\nnone 3\n", b"", b"\n"]
        {
            assert_eq!(keyed.find_again(other), None, "{}", other.escape_ascii());
        }
        assert_eq!(found(&mut keyed, b"none 7\nfile_mapped 30\nfile 20"), [Some(20), Some(30), Some(7)]);
        // What is no number is not told, whether it is looked for again or not.
        assert_eq!(found(&mut keyed, b"none 7\nfile_mapped x\nfile 99999999999999999999"), [None, None, Some(7)]);
        assert_eq!(keyed.find(b"none 7\nfile_mapped 1\nfile 2"), [Some(2), Some(1), Some(7)]);
        assert_eq!(keyed.find(b"none 7\nfile_mapped -1\nfile 18446744073709551616"), [None, None, Some(7)]);
        assert_eq!(found(&mut keyed, b"no_blank\nfile 2\n"), [Some(2), None, None]);
        // Of a word that comes twice, the last number.
        assert_eq!(found(&mut keyed, b"file 1\nfile 2\n"), [Some(2), None, None]);
        assert_eq!(found(&mut keyed, b"file 3\nfile x\n"), [Some(3), None, None]);
    }

    proptest! {
        #[test]
        fn a_finder_that_was_used_finds_what_a_new_one_does(
            texts in prop::collection::vec(
                prop::collection::vec(("(file|file_mapped|none|anon|)( |  |)", "([0-9]{0,3}|x|-1)"), 0..5), 1..9),
        ) {
            let mut keyed = Keyed::new(WORDS);
            for text in texts {
                let text: String = text.iter().map(|(word, number)| format!("{word}{number}\n")).collect();
                found(&mut keyed, text.as_bytes());
            }
        }

        #[test]
        fn no_bytes_make_it_panic(texts: Vec<Vec<u8>>) {
            let mut keyed = Keyed::new(WORDS);
            texts.iter().for_each(|text| _ = found(&mut keyed, text));
        }
    }
}
