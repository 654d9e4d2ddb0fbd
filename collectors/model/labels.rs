//! Of whom: label sets, kept once per round and shared by all their points.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::OnceLock;
use std::time::Duration;

/// A label set of one batch: the machine, a container, a GPU, one of its cpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entity(pub(crate) u32);

impl Entity {
    /// The entity without labels: the machine itself.
    pub const MACHINE: Entity = Entity(0);

    /// Its number in the batch, counted from 0, for encoders that keep something per entity.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Clone, Copy, Debug)]
enum Name {
    Known(&'static str),
    Text(u32, u32),
}

#[derive(Clone, Copy, Debug)]
struct Pair {
    name: Name,
    value: (u32, u32),
}

#[derive(Clone, Copy, Debug)]
struct Set {
    parent: u32,
    pairs: (u32, u32),
    identity: u64,
    birth: Option<Duration>,
}

/// All label sets of a batch. Equal sets are one entity, so that a column can't hold a series twice unnoticed.
#[derive(Debug)]
pub struct Labels {
    text: String,
    pairs: Vec<Pair>,
    sets: Vec<Set>,
    known: HashMap<u64, u32, BuildHasherDefault<Identity>>,
}

impl Default for Labels {
    fn default() -> Self {
        let mut labels = Self { text: String::new(), pairs: Vec::new(), sets: Vec::new(), known: HashMap::default() };
        labels.clear();
        labels
    }
}

impl Labels {
    /// Forgets all sets but the machine's, keeping the memory, unless an unusually large round made it large.
    pub(crate) fn clear(&mut self) {
        const TEXT_KEPT: usize = 1 << 20;
        self.text.clear();
        self.text.shrink_to(TEXT_KEPT);
        self.pairs.clear();
        self.sets.clear();
        self.known.clear();
        self.sets.push(Set { parent: 0, pairs: (0, 0), identity: 0, birth: None });
        self.known.insert(0, 0);
    }

    /// The entity with `parent`'s labels and these besides. Empty values are left out: they mean "no such label".
    pub(crate) fn intern<'a>(
        &mut self,
        parent: Entity,
        labels: impl Iterator<Item = (LabelName<'a>, &'a str)>,
        birth: Option<Duration>,
    ) -> Entity {
        let (text_mark, pair_mark) = (self.text.len(), self.pairs.len());
        let mut identity = self.sets[parent.index()].identity;
        for (name, value) in labels {
            if value.is_empty() {
                continue;
            }
            identity = identity.wrapping_add(pair_identity(name.as_str(), value));
            let name = match name {
                LabelName::Known(name) => Name::Known(name),
                LabelName::Text(name) => self.append(name, Name::Text),
            };
            let value = self.append(value, |start, end| (start, end));
            self.pairs.push(Pair { name, value });
        }
        let next = self.sets.len() as u32;
        match self.known.entry(identity) {
            std::collections::hash_map::Entry::Occupied(known) => {
                self.text.truncate(text_mark);
                self.pairs.truncate(pair_mark);
                Entity(*known.get())
            }
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(next);
                let pairs = (pair_mark as u32, self.pairs.len() as u32);
                self.sets.push(Set { parent: parent.0, pairs, identity, birth });
                Entity(next)
            }
        }
    }

    fn append<T>(&mut self, text: &str, span: impl FnOnce(u32, u32) -> T) -> T {
        let start = self.text.len() as u32;
        self.text.push_str(text);
        span(start, self.text.len() as u32)
    }

    /// Bytes of label text and the number of sets so far.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.text.len(), self.sets.len())
    }

    /// How many entities there are, the machine included.
    pub fn entities(&self) -> usize {
        self.sets.len()
    }

    /// The entity that this one extends; the machine extends itself.
    pub fn parent(&self, entity: Entity) -> Entity {
        Entity(self.sets[entity.index()].parent)
    }

    /// A number that is the same for equal label sets, in any order, in any batch of this process.
    pub fn identity(&self, entity: Entity) -> u64 {
        self.sets[entity.index()].identity
    }

    /// When the thing began to exist, as wall-clock time since 1970; `None`: with the machine.
    pub fn birth(&self, entity: Entity) -> Option<Duration> {
        self.sets[entity.index()].birth
    }

    /// The labels that the entity adds to its parent's.
    pub fn own(&self, entity: Entity) -> impl Iterator<Item = (&str, &str)> {
        let (start, end) = self.sets[entity.index()].pairs;
        self.pairs[start as usize..end as usize].iter().map(|pair| {
            let name = match pair.name {
                Name::Known(name) => name,
                Name::Text(start, end) => &self.text[start as usize..end as usize],
            };
            (name, &self.text[pair.value.0 as usize..pair.value.1 as usize])
        })
    }

    /// All labels of the entity, its parents' first.
    pub fn all(&self, entity: Entity) -> Vec<(&str, &str)> {
        let mut labels = match entity {
            Entity::MACHINE => Vec::new(),
            _ => self.all(self.parent(entity)),
        };
        labels.extend(self.own(entity));
        labels
    }
}

/// A label name: written in the code, or found at run time.
#[derive(Clone, Copy)]
pub(crate) enum LabelName<'a> {
    Known(&'static str),
    Text(&'a str),
}

impl<'a> LabelName<'a> {
    fn as_str(&self) -> &'a str {
        match self {
            LabelName::Known(name) | LabelName::Text(name) => name,
        }
    }
}

/// A keyed hash: container names are chosen by strangers, who must not be able to make two series look like one.
fn pair_identity(name: &str, value: &str) -> u64 {
    static KEY: OnceLock<RandomState> = OnceLock::new();
    let mut hasher = KEY.get_or_init(RandomState::new).build_hasher();
    hasher.write(name.as_bytes());
    hasher.write_u8(0xff);
    hasher.write(value.as_bytes());
    hasher.finish()
}

/// A set of [`Labels::identity`]s.
pub(super) type Identities = HashSet<u64, BuildHasherDefault<Identity>>;

/// Identities are hashes already.
#[derive(Default)]
pub(crate) struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, identity: u64) {
        self.0 = identity;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(labels: &mut Labels, parent: Entity, pairs: &[(&'static str, &str)]) -> Entity {
        labels.intern(parent, pairs.iter().map(|(name, value)| (LabelName::Known(name), *value)), None)
    }

    #[test]
    fn equal_sets_are_one_entity_whatever_their_order_or_parent() {
        let mut labels = Labels::default();
        let ab = set(&mut labels, Entity::MACHINE, &[("a", "1"), ("b", "2")]);
        let ba = set(&mut labels, Entity::MACHINE, &[("b", "2"), ("a", "1")]);
        let a = set(&mut labels, Entity::MACHINE, &[("a", "1")]);
        let a_b = set(&mut labels, a, &[("b", "2")]);
        assert_eq!((ab, ab), (ba, a_b));
        assert_ne!(ab, a);
        assert_eq!(labels.all(ab), [("a", "1"), ("b", "2")]);
    }

    #[test]
    fn empty_values_are_no_labels() {
        let mut labels = Labels::default();
        assert_eq!(set(&mut labels, Entity::MACHINE, &[("a", "")]), Entity::MACHINE);
    }
}
