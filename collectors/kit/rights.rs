//! What this process may do, and what the kernel's refusals ask for.

use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// What collectors read more with: files of root's own, and those that tell of other users' processes.
const USED: CapabilitySet = CapabilitySet::DAC_READ_SEARCH.union(CapabilitySet::SYS_PTRACE);

/// What only few machines need it for: perf's counters, where others can't be read.
const SELDOM_USED: CapabilitySet = CapabilitySet::PERFMON;

/// Puts the capabilities that the program uses into effect, where this process is permitted to have them.
///
/// The image's binary has them as permitted only (`setcap …+p`): were they effective, the kernel would refuse to start it
/// wherever a container may not have them. They are this thread's, and those of the threads that it starts from now on.
/// What is in effect already stays so: root is what the operator chose.
pub fn raise_capabilities() {
    if let Ok(sets) = capabilities(None) {
        let raised = raised(sets);
        if raised != sets {
            // Whoever forbids it, `check` and the page tell what this process has.
            let _ = set_capabilities(None, raised);
        }
    }
}

fn raised(sets: CapabilitySets) -> CapabilitySets {
    CapabilitySets { effective: sets.effective | (sets.permitted & USED.union(SELDOM_USED)), ..sets }
}

/// The user that this process runs as, and its capabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    user: u32,
    effective: CapabilitySet,
}

impl Rights {
    /// Asks the kernel.
    pub fn own() -> Self {
        let effective = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
        Self { user: rustix::process::geteuid().as_raw(), effective }
    }

    /// Its user's number.
    pub fn user(self) -> u32 {
        self.user
    }

    /// The names of the capabilities that it has, and of those that it lacks.
    pub fn capabilities(self) -> (Vec<String>, Vec<String>) {
        // The kernel has only those that it knows: the last three came with Linux 5.8 and 5.9.
        let newer = CapabilitySet::PERFMON | CapabilitySet::BPF | CapabilitySet::CHECKPOINT_RESTORE;
        let named = CapabilitySet::all().iter_names();
        let (held, lacking): (Vec<_>, Vec<_>) = named.partition(|(_, one)| self.effective.contains(*one));
        let names = |set: Vec<(&str, _)>| set.into_iter().map(|(name, _)| format!("CAP_{name}")).collect();
        let lacking = lacking.into_iter().filter(|(_, one)| !newer.contains(*one)).collect();
        (names(held), names(lacking))
    }

    /// The names of those that collectors read more with, and whether it has them.
    pub fn used(self) -> impl Iterator<Item = (String, bool)> {
        USED.iter_names().map(move |(name, one)| (format!("CAP_{name}"), self.effective.contains(one)))
    }

    /// Whether it has the capability of this name (`CAP_SYS_TIME`).
    pub fn has(self, name: &str) -> bool {
        let of_name = name.strip_prefix("CAP_").and_then(CapabilitySet::from_name);
        of_name.is_some_and(|capability| self.effective.contains(capability))
    }
}

/// What would make the kernel say yes where it refused to give a file.
///
/// Refusals about other calls are told by who makes them: they know which capability the call asks for.
pub(super) fn grant(path: &str, errno: Errno) -> &'static str {
    let is_of_a_process =
        path.split('/').any(|word| word.bytes().all(|byte| byte.is_ascii_digit()) && !word.is_empty());
    match errno {
        _ if path.contains("/proc/") && is_of_a_process => {
            "root or CAP_SYS_PTRACE; where procfs is mounted with hidepid=, the group of its gid= too"
        }
        Errno::PERM => "root with CAP_SYS_ADMIN, and a kernel that is not locked down (lockdown=)",
        _ => "root or CAP_DAC_READ_SEARCH, or a mode that lets this user read it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_capabilities_are_the_kernel_s() {
        let some = Rights { user: 65534, effective: CapabilitySet::SYS_TIME | CapabilitySet::DAC_READ_SEARCH };
        let (held, lacking) = some.capabilities();
        assert_eq!(held, ["CAP_DAC_READ_SEARCH", "CAP_SYS_TIME"]);
        assert!(lacking.contains(&"CAP_SYS_ADMIN".to_owned()) && !lacking.contains(&held[0]));
        assert!(some.has("CAP_SYS_TIME") && !some.has("CAP_SYS_PTRACE") && !some.has("SYS_TIME"));
        assert!(Rights { user: 0, effective: CapabilitySet::all() }.capabilities().1.is_empty());
    }

    #[test]
    fn only_what_is_permitted_and_used_is_raised() {
        let permitted = CapabilitySet::SYS_PTRACE | CapabilitySet::SYS_ADMIN;
        let none = CapabilitySet::empty();
        let sets = CapabilitySets { effective: CapabilitySet::CHOWN, permitted, inheritable: none };
        let raised = raised(sets);
        assert_eq!(raised.effective, CapabilitySet::CHOWN | CapabilitySet::SYS_PTRACE);
        assert_eq!((raised.permitted, raised.inheritable), (permitted, none));
        let perf = CapabilitySets { permitted: CapabilitySet::PERFMON, ..sets };
        assert!(super::raised(perf).effective.contains(CapabilitySet::PERFMON));
        raise_capabilities();
        let of = Rights { user: 65534, effective: raised.effective }.used();
        assert_eq!(
            of.collect::<Vec<_>>(),
            [("CAP_DAC_READ_SEARCH".to_owned(), false), ("CAP_SYS_PTRACE".to_owned(), true)]
        );
    }

    #[test]
    fn a_refusal_says_what_would_grant_it() {
        assert!(grant("/sys/class/powercap/intel-rapl:0/energy_uj", Errno::ACCESS).contains("CAP_DAC_READ_SEARCH"));
        assert!(grant("/host/proc/1/mountinfo", Errno::PERM).contains("hidepid"));
        assert!(grant("/sys/kernel/debug/x", Errno::PERM).contains("lockdown"));
        for capability in ["CAP_DAC_READ_SEARCH", "CAP_SYS_PTRACE", "CAP_SYS_ADMIN"] {
            assert!(Rights { user: 0, effective: CapabilitySet::all() }.has(capability), "{capability}");
        }
    }
}
