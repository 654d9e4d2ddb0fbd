//! Who a container is.

use super::name::Runtime;
use crate::kit::lock;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};

/// What a runtime knows of a container; empty where it does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// The runtime's name for it.
    pub name: String,
    /// The image that it was made from.
    pub image: String,
    /// The namespace of its pod.
    pub namespace: String,
    /// The name of its pod.
    pub pod: String,
    /// The identity of its pod.
    pub pod_uid: String,
    /// Its name within the pod.
    pub container: String,
    /// Whether it only holds the pod's namespaces.
    pub is_sandbox: bool,
    /// How often it was started anew, where that is told.
    pub attempt: Option<u32>,
    /// Its first process, as the machine numbers it; never 0.
    pub pid: Option<u32>,
    /// What else the runtime was told to keep with it.
    pub labels: Vec<(String, String)>,
}

/// The containers whose names nobody knew when they were asked for, and the answers.
///
/// A collector asks and goes on; who can tell is rung, and tells when it knows.
#[derive(Default)]
pub struct Names {
    state: Mutex<Told>,
    bell: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

#[derive(Debug, Default)]
struct Told {
    wanted: Vec<(Runtime, String)>,
    known: HashMap<String, Arc<Named>>,
}

impl Names {
    /// Who that is, if it is known; if not, it is wanted from now on.
    pub fn ask(&self, runtime: Runtime, id: &str) -> Option<Arc<Named>> {
        let mut state = lock(&self.state);
        if let Some(named) = state.known.get(id) {
            return Some(Arc::clone(named));
        }
        let is_new = !state.wanted.iter().any(|(_, wanted)| wanted == id);
        if is_new {
            state.wanted.push((runtime, id.to_owned()));
        }
        drop(state);
        if let Some(bell) = self.bell.get().filter(|_| is_new) {
            bell();
        }
        None
    }

    /// Those that were asked for and that nobody has named.
    pub fn wanted(&self) -> Vec<(Runtime, String)> {
        lock(&self.state).wanted.clone()
    }

    /// Tells who that is.
    pub fn tell(&self, _runtime: Runtime, id: &str, named: Named) {
        let mut state = lock(&self.state);
        state.wanted.retain(|(_, wanted)| wanted != id);
        state.known.insert(id.to_owned(), Arc::new(named));
    }

    /// What is called when somebody new is wanted; only the first one is taken.
    pub fn on_want(&self, bell: Box<dyn Fn() + Send + Sync>) {
        let _ = self.bell.set(bell);
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("state", &self.state).finish_non_exhaustive()
    }
}
