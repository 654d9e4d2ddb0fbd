//! `wholenode check`: what each collector finds on this machine, what it misses, and what would grant it.

mod needs;
mod surroundings;

use crate::engine::Finding;
use crate::sources::Probed;
use collectors::kit::{Error, Host, Rights};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// How many failed reads of a collector are told; the rest are counted.
const FAULTS_TOLD: usize = 5;
/// From which time on a round is told to be slow: a page does not wait longer.
const SLOW: Duration = Duration::from_millis(250);

/// The report, and whether all is well.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// For somebody at a terminal.
    pub text: String,
    /// Nothing is denied or fails; what this machine does not have is no matter.
    pub is_well: bool,
}

/// Tells what was found. `off` are the collectors that were not asked, `warnings` what is to be said beforehand.
pub fn report(host: &mut Host, findings: &[Finding], off: &[&str], warnings: &[String]) -> Report {
    let mut report = Report { text: String::new(), is_well: true };
    let is_live = host.machine().replay.is_none();
    let rights = is_live.then(Rights::own);
    if let Some(rights) = rights {
        report.line(&whose(rights));
    }
    warnings.iter().for_each(|warning| report.line(warning));
    let on: Vec<&str> = findings.iter().map(|finding| finding.spec.name).collect();
    for note in surroundings::notes(host, is_live, &on) {
        report.is_well &= note.is_harmless;
        report.line(&note.text);
    }
    if !report.text.is_empty() {
        report.line("");
    }
    report.findings(findings, rights);
    if !off.is_empty() {
        report.line(&format!("\nOff (--collector.NAME turns one on): {}", off.join(", ")));
    }
    report
}

impl Report {
    /// Tells which runtimes of containers answered.
    pub fn runtimes(&mut self, all: &[Probed]) {
        if all.is_empty() {
            return;
        }
        self.line("\nContainer runtimes that may be asked:");
        let width = all.iter().map(|probed| probed.socket.len()).max().unwrap_or(0);
        for Probed { api, socket, state, told } in all {
            // Where one was only looked for, none is no matter.
            self.is_well &= *state == "ok" || socket == "auto";
            self.line(&format!("{socket:width$}  {api:6}  {state:6}  {told}"));
        }
    }

    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn findings(&mut self, findings: &[Finding], rights: Option<Rights>) {
        let width = findings.iter().map(|finding| finding.spec.name.len()).max().unwrap_or(0).max("COLLECTOR".len());
        self.line(&format!("{:width$}  STATE      SERIES", "COLLECTOR"));
        let mut totals: BTreeMap<&str, usize> = BTreeMap::new();
        for finding in findings {
            let state = state(finding);
            *totals.entry(state).or_default() += 1;
            self.is_well &= matches!(state, "ok" | "absent");
            let _ = write!(self.text, "{:width$}  {state:9}  {:>6}", finding.spec.name, finding.series);
            let has_nothing = finding.series == 0 && matches!(state, "ok" | "absent");
            if let Some(needs) = needs::of(finding.spec.name).filter(|_| has_nothing) {
                let _ = write!(self.text, "  needs {needs}");
            }
            self.text.push('\n');
            self.details(finding, rights);
        }
        let totals: Vec<String> = totals.iter().map(|(state, count)| format!("{count} {state}")).collect();
        let series: usize = findings.iter().map(|finding| finding.series).sum();
        self.line(&format!("\n{} collectors: {}; {series} series", findings.len(), totals.join(", ")));
    }

    /// The indented lines below a collector's own.
    fn details(&mut self, finding: &Finding, rights: Option<Rights>) {
        let mut grants = Vec::new();
        for fault in finding.faults.iter().take(FAULTS_TOLD) {
            if let Error::Denied { path, grant } = fault {
                self.line(&format!("    {path}: permission denied"));
                if !grants.contains(grant) {
                    grants.push(grant);
                }
            } else {
                self.line(&format!("    {fault}"));
            }
        }
        let more = finding.faults.len().saturating_sub(FAULTS_TOLD) as u64 + finding.more_faults;
        if more > 0 {
            self.line(&format!("    and {more} more"));
        }
        for grant in grants {
            self.line(&format!("    {}", granting(grant, rights)));
        }
        if let Some(message) = &finding.panic {
            self.line(&format!("    panicked: {message}"));
        }
        if finding.dropped > 0 {
            self.line(&format!("    {} series left out: more than it may have", finding.dropped));
        }
        let name = finding.spec.name;
        match finding.state {
            "stuck" => self.line(&format!(
                "    no answer for {:.1} s; pages go on without it, --no-collector.{name} turns it off",
                finding.took.as_secs_f64()
            )),
            _ if finding.took > SLOW => self.line(&format!(
                "    took {:.1} s; a page does not wait so long, and shows what it found for the page before",
                finding.took.as_secs_f64()
            )),
            _ => {}
        }
    }
}

/// The one word of a collector. A round that went well and could not read all is `partly`.
fn state(finding: &Finding) -> &'static str {
    // What is not there, or dies while it is read, could not be had anyway.
    let counts = |fault: &Error| !matches!(fault, Error::Absent { .. } | Error::Gone { .. });
    let is_partly = finding.faults.iter().any(counts) || finding.more_faults > 0 || finding.dropped > 0;
    match finding.state {
        "ok" if is_partly => "partly",
        "gone" => "absent",
        state => state,
    }
}

/// What would make the kernel say yes; where this process has it already, somebody else refuses.
fn granting(grant: &str, rights: Option<Rights>) -> String {
    let named = || grant.split(|c: char| !c.is_ascii_uppercase() && c != '_').filter(|word| word.starts_with("CAP_"));
    match rights {
        Some(rights) if named().next().is_some() && named().all(|name| rights.has(name)) => {
            let names: Vec<&str> = named().collect();
            format!(
                "this process has {}: a security module (AppArmor, SELinux), a seccomp profile or the kernel's lockdown refuses",
                names.join(" and ")
            )
        }
        _ => format!("needs {grant}"),
    }
}

fn whose(rights: Rights) -> String {
    let (held, lacking) = rights.capabilities();
    let with = match (held.len(), lacking.len()) {
        (0, _) => "no capabilities".to_owned(),
        (_, 0) => "all capabilities".to_owned(),
        (some, few) if few < some => format!("all capabilities but {}", lacking.join(", ")),
        _ => held.join(", "),
    };
    format!("As user {} with {with}", rights.user())
}

#[cfg(test)]
mod tests;
