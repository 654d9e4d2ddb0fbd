//! One page out of many files: where two say the same or contradict each other, the earlier one wins.

use super::Kept;
use crate::kit::Error;
use crate::kit::exposition::{Document, Parsed};
use crate::model::{Batch, Family};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// The names that no file may use.
const OWN: &str = "node_textfile_";

/// What to put of which file, until a file changes.
#[derive(Default)]
pub(super) struct Plan {
    /// The families, each with the type and the help that all files share.
    families: Vec<Arc<Family>>,
    files: Vec<(String, Vec<Put>)>,
    /// What is left out, and why.
    pub(super) errors: Vec<Error>,
}

/// A family of a file.
struct Put {
    /// Which of the plan's families.
    family: usize,
    /// Which of the file's.
    at: usize,
    /// The series that are left out.
    skip: HashSet<usize>,
}

/// A family so far.
struct Merged<'a> {
    family: Arc<Family>,
    /// The file that named it first.
    path: &'a str,
    first: &'a Parsed,
    /// The series so far; only from the second file on.
    seen: HashSet<&'a [(String, String)]>,
}

#[derive(Default)]
struct Merge<'a> {
    families: Vec<Merged<'a>>,
    index: HashMap<&'a str, usize>,
    /// The names on the lines of histograms and summaries, each with its file.
    taken: HashMap<String, &'a str>,
}

impl Plan {
    /// The plan for these files, which come in the order of their paths.
    pub(super) fn new<'a>(files: impl Iterator<Item = (&'a String, &'a Document)>) -> Self {
        let mut merge = Merge::default();
        let mut plan = Plan::default();
        for (path, document) in files {
            let mut puts = Vec::new();
            for (at, parsed) in document.families.iter().enumerate() {
                let mut lose = |line, why| plan.errors.push(Error::Other { path: format!("{path}:{line}"), why });
                match merge.take(path, parsed) {
                    Ok((family, skip)) => {
                        // The first in the file is told for all that the family loses.
                        if let Some(line) = skip.iter().filter_map(|&at| Some(parsed.series.get(at)?.line)).min() {
                            lose(
                                line,
                                format!("{} repeats {} series of an earlier file", parsed.family.name, skip.len()),
                            );
                        }
                        puts.push(Put { family, at, skip });
                    }
                    Err(why) => lose(parsed.line, why),
                }
            }
            plan.files.push((path.clone(), puts));
        }
        plan.families = merge.families.into_iter().map(Merged::finish).collect();
        plan
    }

    /// Puts all that is not left out.
    pub(super) fn put(&self, files: &BTreeMap<String, Kept>, out: &mut Batch) {
        for (path, puts) in &self.files {
            let Some(Ok(document)) = files.get(path).map(|kept| &kept.content) else { continue };
            for put in puts {
                let (Some(family), Some(parsed)) = (self.families.get(put.family), document.families.get(put.at))
                else {
                    continue;
                };
                let all = parsed.series.iter().enumerate().filter(|(at, _)| !put.skip.contains(at));
                all.for_each(|(_, series)| series.put(family, out));
            }
        }
    }
}

impl<'a> Merge<'a> {
    /// Which family this is, and which of its series are there already; or why it is left out as a whole.
    fn take(&mut self, path: &'a str, parsed: &'a Parsed) -> Result<(usize, HashSet<usize>), String> {
        let name = parsed.family.name.as_ref();
        if name.starts_with(OWN) {
            return Err(format!("{name} is a name of the collector itself"));
        }
        if let Some(&at) = self.index.get(name)
            && let Some(merged) = self.families.get_mut(at)
        {
            return merged.add(parsed).map(|skip| (at, skip));
        }
        if let Some(other) = self.taken.get(name) {
            return Err(format!("{name} is on the lines of a histogram or summary in {other}"));
        }
        let lines: Vec<_> = parsed.family.kind.suffixes().iter().map(|suffix| format!("{name}{suffix}")).collect();
        let first = |line: &String| self.families.get(*self.index.get(line.as_str())?);
        if let Some(other) = lines.iter().find_map(first) {
            return Err(format!("{name} has lines with the name of {} in {}", other.family.name, other.path));
        }
        self.taken.extend(lines.into_iter().map(|line| (line, path)));
        let at = self.families.len();
        self.index.insert(name, at);
        let family = Arc::clone(&parsed.family);
        self.families.push(Merged { family, path, first: parsed, seen: HashSet::new() });
        Ok((at, HashSet::new()))
    }
}

impl<'a> Merged<'a> {
    fn add(&mut self, parsed: &'a Parsed) -> Result<HashSet<usize>, String> {
        let (here, there) = (&parsed.family, &self.family);
        if here.kind != there.kind {
            let [here_kind, there_kind] = [here.kind, there.kind].map(|kind| format!("{kind:?}").to_lowercase());
            return Err(format!("{} is {here_kind} here and {there_kind} in {}", here.name, self.path));
        }
        if there.help.is_empty() {
            self.family = Arc::clone(here);
        }
        if self.seen.is_empty() {
            self.seen.extend(self.first.series.iter().map(|series| series.labels.as_slice()));
        }
        let series = parsed.series.iter().enumerate();
        let skip = series.filter(|(_, series)| !self.seen.insert(&series.labels)).map(|(at, _)| at).collect();
        Ok(skip)
    }

    fn finish(self) -> Arc<Family> {
        if !self.family.help.is_empty() {
            return self.family;
        }
        let help = format!("Found in {}, which does not say what it means.", self.path);
        Family::at_run_time(self.family.name.to_string(), help, self.family.kind)
    }
}
