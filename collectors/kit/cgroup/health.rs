//! How containers are, where their runtime probes them: told from time to time by whoever asks the runtime.

use crate::kit::lock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// How a container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It has no probe.
    NotProbed,
    /// Its probe has not said anything yet.
    Starting,
    /// Its probe fails.
    Unhealthy,
    /// All is well.
    Healthy,
}

/// The newest that was told of each container.
#[derive(Debug, Default)]
pub struct Healths {
    told: Mutex<HashMap<String, (Arc<str>, Health)>>,
}

impl Healths {
    /// How the container with this identity is, if its runtime tells.
    pub fn of(&self, id: &str) -> Option<Health> {
        lock(&self.told).get(id).map(|(_, health)| *health)
    }

    /// Takes what one source tells of all its containers now. Those that it told of before and not now are forgotten.
    pub fn tell(&self, source: &str, all: impl IntoIterator<Item = (String, Health)>) {
        let source: Arc<str> = source.into();
        let mut told = lock(&self.told);
        told.retain(|_, (from, _)| **from != *source);
        told.extend(all.into_iter().map(|(id, health)| (id, (Arc::clone(&source), health))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_source_no_longer_tells_of_is_forgotten() {
        let healths = Healths::default();
        healths.tell("a", [("1".to_owned(), Health::Healthy), ("2".to_owned(), Health::Starting)]);
        healths.tell("b", [("3".to_owned(), Health::NotProbed)]);
        healths.tell("a", [("2".to_owned(), Health::Unhealthy)]);
        assert_eq!((healths.of("1"), healths.of("2")), (None, Some(Health::Unhealthy)));
        healths.tell("a", []);
        assert_eq!((healths.of("2"), healths.of("3")), (None, Some(Health::NotProbed)));
    }
}
