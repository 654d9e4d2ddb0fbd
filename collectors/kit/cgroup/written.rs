//! What runtimes know of the writable layers of their containers.

use crate::kit::lock;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

/// What a runtime has found in a container's writable layer, when it walked through it last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layer {
    /// Bytes in use.
    pub bytes: u64,
    /// Inodes in use, where that is told.
    pub inodes: Option<u64>,
    /// When it was found out, in wall-clock time since 1970.
    pub taken: Duration,
    /// A folder on the filesystem that the layer is on, as the machine has it; empty: not told.
    pub folder: String,
}

/// The layers that runtimes have told of, by the container's identity: whoever asks a runtime lays them down here, and the
/// collector looks them up, which never waits.
#[derive(Debug, Default)]
pub struct Written(Mutex<HashMap<String, Layer>>);

impl Written {
    /// Takes the place of all that was told before.
    pub fn tell(&self, layers: HashMap<String, Layer>) {
        *lock(&self.0) = layers;
    }

    /// Whether anything was told of a container.
    pub fn knows(&self, id: &str) -> bool {
        lock(&self.0).contains_key(id)
    }

    /// What was told of a container.
    pub fn of(&self, id: &str) -> Option<Layer> {
        lock(&self.0).get(id).cloned()
    }
}
