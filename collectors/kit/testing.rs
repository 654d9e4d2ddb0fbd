//! What collectors are tested with: a small file tree that looks like a machine, and the points they put.

use super::{Child, Clock, Host, Machine, Options, Replay, Roots, Script};
use crate::model::{Batch, Snapshot, Value};
use crate::{Collector, Spec};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// A machine made of files: paths begin with `proc/`, `sys/`, `rootfs/`, `udev/`, `cgroup/` or `calls/`.
pub(crate) struct Tree {
    folder: tempfile::TempDir,
}

impl Tree {
    /// A machine with these files. A path that ends in `/` is a folder; text that begins with `-> ` is a link.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let tree = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(tree.folder.path().join("calls")).unwrap();
        files.iter().for_each(|(path, text)| tree.write(path, text));
        tree
    }

    /// Writes, or replaces, a file.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return std::fs::create_dir_all(path).unwrap();
        }
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        match text.strip_prefix("-> ") {
            Some(target) => std::os::unix::fs::symlink(target, path).unwrap(),
            None => std::fs::write(path, text).unwrap(),
        }
    }

    /// Removes a file or folder.
    pub(crate) fn remove(&self, path: &str) {
        let path = self.folder.path().join(path);
        if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }.unwrap();
    }

    /// The folder of the whole tree.
    pub(crate) fn path(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    /// A door to this machine. Its clock stands at what `calls/clock` says.
    pub(crate) fn host(&self) -> Host {
        let folder = self.path();
        let replay = Replay::load(&format!("{folder}/calls")).unwrap();
        let clock = Clock::Scripted(Script::new(replay.clock.1, replay.clock.0));
        let roots = Roots {
            proc: format!("{folder}/proc"),
            sys: format!("{folder}/sys"),
            rootfs: format!("{folder}/rootfs"),
            udev: format!("{folder}/udev"),
            cgroup: format!("{folder}/cgroup"),
            system_bus: None,
        };
        Host::new(Machine::new(roots, clock, Some(replay), Child::none()))
    }

    /// Opens the collector with these options.
    pub(crate) fn open(&self, spec: &'static Spec, options: &[(&str, &str)]) -> Opened {
        let mut host = self.host();
        let given: Vec<_> = options.iter().map(|(name, word)| ((*name).to_owned(), vec![(*word).to_owned()])).collect();
        let options = Options::new(spec.options, &given).unwrap();
        let collector = (spec.open)(&mut host, &options).unwrap();
        Opened { spec, host, collector, batch: Batch::new(spec.points_max) }
    }

    /// Opens the collector, runs one round, and compares all it says with `expected`; see [`Opened::round`].
    #[track_caller]
    pub(crate) fn check(&self, spec: &'static Spec, options: &[(&str, &str)], expected: &str) {
        assert_eq!(self.open(spec, options).round(), expected);
    }
}

/// A collector on its tree.
pub(crate) struct Opened {
    spec: &'static Spec,
    pub(crate) host: Host,
    collector: Option<Box<dyn Collector>>,
    batch: Batch,
}

impl Opened {
    /// One round, as text: `name{label="value"} figure` in the order of the page, then `! reason` for each fault.
    ///
    /// A collector that did not open says `absent`. A label that the family does not declare fails the test.
    pub(crate) fn round(&mut self) -> String {
        let Some(collector) = &mut self.collector else { return "absent\n".to_owned() };
        self.batch.clear();
        if let Err(error) = collector.collect(&mut self.host, &mut self.batch) {
            self.batch.fail(error);
        }
        let snapshot =
            Snapshot::new(vec![Arc::new(std::mem::replace(&mut self.batch, Batch::new(self.spec.points_max)))]);
        assert_eq!(snapshot.losses(), [], "a series twice");
        let mut text = String::new();
        for group in snapshot.groups() {
            let batch = &snapshot.batches()[0];
            let column = snapshot.parts(group)[0].of(snapshot.batches());
            let is_static = self.spec.families.iter().any(|family| std::ptr::eq(*family, &raw const *column.family));
            for sample in &column.samples {
                let labels = batch.labels().all(sample.of);
                // Those of containers are named by strangers.
                let declared = |(name, _): &(&str, &str)| {
                    column.family.labels.contains(name) || name.starts_with("container_label_")
                };
                assert!(!is_static || labels.iter().all(declared), "{}: undeclared label", column.family.name);
                assert!(is_static || !self.spec.run_time.is_empty(), "{}: undeclared family", column.family.name);
                let block: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
                let block = if block.is_empty() { String::new() } else { format!("{{{}}}", block.join(",")) };
                let figure = match sample.value {
                    Value::Distribution(at) => format!("{:?}", batch.distribution(at).unwrap()),
                    value => value.as_f64().unwrap().to_string(),
                };
                writeln!(text, "{}{block} {figure}", column.family.name).unwrap();
            }
        }
        for (reason, count) in snapshot.batches()[0].fault_counts() {
            (0..*count).for_each(|_| writeln!(text, "! {reason}").unwrap());
        }
        text
    }

    /// Lets time pass on the tree's clock.
    pub(crate) fn advance(&self, by: Duration) {
        if let Clock::Scripted(script) = &self.host.machine().clock {
            script.advance(by);
        }
    }
}
