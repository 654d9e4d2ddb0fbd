//! `/proc/PID/stat`, `/proc/PID/task/*/stat`: how many processes and threads there are, and in which state.
//!
//! A process tells in one read its state and how many threads it has; only where these are more than one are the others
//! asked too. In a copy of a machine's files the number may not fit the threads that were copied, so all are listed there.
//! Processes and threads come and go meanwhile: one that is gone is not counted.

use crate::kit::{Error, Host, KeptFile, Options, Root, parse};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

static THREADS: Family = gauge("node_processes_threads", "Threads on the machine.", &[]);
static MAX_THREADS: Family = gauge("node_processes_max_threads", "How many threads there may be.", &[]);
static STATE: Family =
    gauge("node_processes_state", "Processes by the state of their first thread, as the kernel's letter.", &["state"]);
static THREADS_STATE: Family =
    gauge("node_processes_threads_state", "Threads by their state, as the kernel's letter.", &["thread_state"]);
static PIDS: Family = gauge("node_processes_pids", "Processes on the machine.", &[]);
static MAX_PROCESSES: Family =
    gauge("node_processes_max_processes", "How many numbers there are for processes and threads.", &[]);

/// Its row in the table. Each process and each further thread costs some 10 µs.
pub static SPEC: Spec = Spec {
    default: false,
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(
        Group::Node,
        "processes",
        "How many processes and threads there are, and their states.",
        &[&THREADS, &MAX_THREADS, &STATE, &THREADS_STATE, &PIDS, &MAX_PROCESSES],
        open,
    )
};

struct Processes {
    limits: [(KeptFile, &'static Family); 2],
    /// Whether the kernel itself tells how many threads there are.
    is_live: bool,
    pids: Vec<u32>,
    tids: Vec<u32>,
}

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let limits = [
        (KeptFile::single("sys/kernel/threads-max"), &MAX_THREADS),
        (KeptFile::single("sys/kernel/pid_max"), &MAX_PROCESSES),
    ];
    let is_live = host.is_procfs_live();
    Ok(Some(Box::new(Processes { limits, is_live, pids: Vec::new(), tids: Vec::new() })))
}

impl Collector for Processes {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let counted = self.count(host, out)?;
        let machine = out.machine();
        out.put(&PIDS, machine, counted.processes.sum());
        out.put(&THREADS, machine, counted.threads);
        for (letter, count) in counted.processes.by_letter() {
            let of = out.entity(&["state"], [letter.encode_utf8(&mut [0; 4])]);
            out.put(&STATE, of, count);
        }
        for (letter, count) in counted.thread_states.by_letter() {
            let of = out.entity(&["thread_state"], [letter.encode_utf8(&mut [0; 4])]);
            out.put(&THREADS_STATE, of, count);
        }
        for (file, family) in &mut self.limits {
            let Some(text) = out.ok(host.read_kept(file)) else { continue };
            match parse::number(parse::trim(text)) {
                Some(limit) => out.put(*family, machine, limit),
                None => out.fault(Error::malformed("/proc/sys/kernel/{threads-max,pid_max}", 1, "a whole number")),
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Counted {
    processes: States,
    threads: u64,
    thread_states: States,
}

impl Processes {
    /// Without the right to see all, the sums would be wrong: the round fails.
    fn count(&mut self, host: &mut Host, out: &mut Batch) -> Result<Counted, Error> {
        let mut counted = Counted::default();
        host.numbers(Root::Proc, "", &mut self.pids)?;
        for pid in &self.pids {
            let read = host.read_once(Root::Proc, format_args!("{pid}/stat"));
            let Some(task) = unless_gone(read.map(task))? else { continue };
            let Some(task) = task else {
                out.fault(Error::malformed(&format!("/proc/{pid}/stat"), 1, "a state and a number of threads"));
                continue;
            };
            counted.processes.add(task.state);
            counted.threads += task.threads;
            if self.is_live && task.threads <= 1 {
                counted.thread_states.add(task.state);
            } else {
                threads(*pid, task.state, &mut self.tids, host, &mut counted.thread_states)?;
            }
        }
        Ok(counted)
    }
}

/// Counts the threads of a process, the first of which is in a state that is known.
fn threads(pid: u32, state: u8, tids: &mut Vec<u32>, host: &mut Host, states: &mut States) -> Result<(), Error> {
    if unless_gone(host.numbers(Root::Proc, format_args!("{pid}/task"), tids))?.is_none() {
        return Ok(());
    }
    for tid in &*tids {
        if *tid == pid {
            states.add(state);
            continue;
        }
        let read = host.read_once(Root::Proc, format_args!("{pid}/task/{tid}/stat"));
        if let Some(task) = unless_gone(read.map(task))?.flatten() {
            states.add(task.state);
        }
    }
    Ok(())
}

/// `None` for what ended meanwhile.
fn unless_gone<T>(read: Result<T, Error>) -> Result<Option<T>, Error> {
    match read {
        Err(Error::Absent { .. } | Error::Gone { .. }) => Ok(None),
        read => read.map(Some),
    }
}

/// How many are in each state, by its letter.
struct States([u64; LETTERS]);

const LETTERS: usize = 128;

impl Default for States {
    fn default() -> Self {
        Self([0; LETTERS])
    }
}

impl States {
    fn add(&mut self, letter: u8) {
        if let Some(count) = self.0.get_mut(usize::from(letter)) {
            *count += 1;
        }
    }

    fn sum(&self) -> u64 {
        self.0.iter().sum()
    }

    fn by_letter(&self) -> impl Iterator<Item = (char, u64)> {
        (0u8..).map(char::from).zip(self.0).filter(|(_, count)| *count > 0)
    }
}

struct Task {
    state: u8,
    threads: u64,
}

/// `17 (kworker/0:1 (x)) S 2 0 0 … 20 0 1 0 24 …`: the letter behind the name, and the 17th number behind it. The name is
/// anything, and ends at the last bracket.
fn task(text: &[u8]) -> Option<Task> {
    const THREADS: usize = 16;
    let name_end = text.iter().rposition(|byte| *byte == b')')?;
    let mut words = parse::words(text.get(name_end + 1..)?);
    let [state] = words.next().filter(|word| word.iter().all(u8::is_ascii_alphabetic))? else { return None };
    Some(Task { state: *state, threads: parse::number(words.nth(THREADS)?)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    fn stat(pid: u32, name: &str, state: &str, threads: u32) -> String {
        format!("{pid} ({name}) {state} 0 1 1 0 -1 4194560 9061 0 94 0 36 98 0 13885 20 0 {threads} 0 29 1096 25 0\n")
    }

    fn machine(stats: &[(&str, u32, &str, u32)]) -> Tree {
        let tree = Tree::new(&[("proc/sys/kernel/threads-max", "7801\n"), ("proc/sys/kernel/pid_max", "32768\n")]);
        tree.write("proc/self", "-> 1");
        stats.iter().for_each(|(path, pid, state, threads)| tree.write(path, &stat(*pid, "a", state, *threads)));
        tree
    }

    const LIMITS: [&str; 2] = ["node_processes_max_processes 32768\n", "node_processes_max_threads 7801\n"];

    #[test]
    fn processes_and_their_threads() {
        let tree = machine(&[
            ("proc/1/stat", 1, "S", 1),
            ("proc/1/task/1/stat", 1, "D", 1),
            ("proc/20/stat", 20, "S", 3),
            ("proc/20/task/20/stat", 20, "D", 1),
            ("proc/20/task/21/stat", 21, "R", 1),
            ("proc/20/task/22/stat", 22, "S", 1),
            ("proc/30/stat", 30, "Z", 1),
        ]);
        let page = format!(
            "{}node_processes_pids 3\nnode_processes_state{{state=\"S\"}} 2\nnode_processes_state{{state=\"Z\"}} 1\n\
             node_processes_threads 5\nnode_processes_threads_state{{thread_state=\"R\"}} 1\n\
             node_processes_threads_state{{thread_state=\"S\"}} 3\n",
            LIMITS.concat()
        );
        tree.check(&SPEC, &[], &page);
    }

    #[test]
    fn only_the_kernels_own_number_of_threads_is_believed() {
        let tree = machine(&[
            ("proc/1/stat", 1, "S", 1),
            ("proc/1/task/1/stat", 1, "S", 1),
            ("proc/1/task/2/stat", 2, "R", 1),
            ("proc/30/stat", 30, "Z", 1),
        ]);
        let count = |is_live| {
            let limits = ["threads-max", "pid_max"].map(|name| (KeptFile::single(name), &MAX_THREADS));
            let mut processes = Processes { limits, is_live, pids: Vec::new(), tids: Vec::new() };
            let counted = processes.count(&mut tree.host(), &mut Batch::new(9)).unwrap();
            (counted.threads, counted.thread_states.by_letter().collect::<Vec<_>>())
        };
        assert_eq!(count(true), (2, vec![('S', 1), ('Z', 1)]));
        assert_eq!(count(false), (2, vec![('R', 1), ('S', 1)]));
    }

    #[test]
    fn what_is_gone_is_not_counted() {
        let tree = machine(&[("proc/1/stat", 1, "S", 2), ("proc/1/task/1/stat", 1, "S", 1)]);
        tree.write("proc/7/task/", "");
        tree.write("proc/1/task/8/", "");
        tree.write("proc/9/stat", "9 (cut");
        let page = format!(
            "{}node_processes_pids 1\nnode_processes_state{{state=\"S\"}} 1\nnode_processes_threads 2\n\
             node_processes_threads_state{{thread_state=\"S\"}} 1\n! malformed\n",
            LIMITS.concat()
        );
        tree.check(&SPEC, &[], &page);
    }

    #[test]
    fn without_folders_of_threads_only_their_sum_is_told() {
        let tree = machine(&[("proc/1/stat", 1, "I", 4)]);
        tree.remove("proc/sys/kernel/pid_max");
        let page = format!(
            "{}node_processes_pids 1\nnode_processes_state{{state=\"I\"}} 1\nnode_processes_threads 4\n! absent\n",
            LIMITS[1]
        );
        tree.check(&SPEC, &[], &page);
    }

    #[test]
    fn who_may_not_see_all_counts_none() {
        let tree = machine(&[("proc/1/stat", 1, "S", 1), ("proc/2/stat", 2, "S", 1)]);
        tree.write("calls/errno", "proc/2/stat EPERM\n");
        tree.check(&SPEC, &[], "! denied\n");
    }

    #[test]
    fn a_name_may_be_anything() {
        let task = |name: &str| task(stat(1, name, "t", 12).as_bytes()).map(|task| (task.state, task.threads));
        for name in ["sh", "", "a b", ") R 1 2 (", "a)\n", "(((", "é"] {
            assert_eq!(task(name), Some((b't', 12)), "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            task(&bytes);
            if let Some(task) = task(&[b"1 (a) ", &bytes[..]].concat()) {
                States::default().add(task.state);
            }
        }
    }
}
