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
    /// Where its pairs begin and end, and the text of all sets up to this one.
    pairs: (u32, u32),
    text_end: u32,
    identity: u64,
    birth: Option<Duration>,
}

/// All label sets of a batch. Equal sets are one entity, so that a column can't hold a series twice unnoticed.
///
/// Rounds are much alike: a batch shares the sets of the round before and goes through them one by one, as long as each
/// set that is asked for is the next one. So there may be sets behind those that the round used.
#[derive(Clone, Debug)]
pub struct Labels {
    text: String,
    pairs: Vec<Pair>,
    sets: Vec<Set>,
    known: HashMap<u64, u32, BuildHasherDefault<Identity>>,
}

impl Default for Labels {
    fn default() -> Self {
        let machine = Set { parent: 0, pairs: (0, 0), text_end: 0, identity: 0, birth: None };
        Self { text: String::new(), pairs: Vec::new(), sets: vec![machine], known: HashMap::from_iter([(0, 0)]) }
    }
}

impl Labels {
    /// Whether the set at this place is `parent`'s labels and these besides.
    pub(crate) fn is<'a>(
        &self,
        at: usize,
        parent: Entity,
        labels: impl Iterator<Item = (LabelName<'a>, &'a str)>,
        birth: Option<Duration>,
    ) -> bool {
        self.sets.get(at).is_some_and(|set| set.parent == parent.0 && set.birth == birth)
            && self
                .own(Entity(at as u32))
                .eq(labels.filter(|label| !label.1.is_empty()).map(|(name, value)| (name.as_str(), value)))
    }

    /// The set with this identity, if it is one of the first `used`.
    pub(crate) fn find(&self, identity: u64, used: usize) -> Option<Entity> {
        self.known.get(&identity).filter(|&&at| (at as usize) < used).map(|&at| Entity(at))
    }

    /// Forgets all but the first `used` sets, and adds one: `parent`'s labels and these besides.
    pub(crate) fn push<'a>(
        &mut self,
        used: usize,
        parent: Entity,
        labels: impl Iterator<Item = (LabelName<'a>, &'a str)>,
        (identity, birth): (u64, Option<Duration>),
    ) {
        self.forget(used);
        let pair_mark = self.pairs.len() as u32;
        for (name, value) in labels.filter(|label| !label.1.is_empty()) {
            let name = match name {
                LabelName::Known(name) => Name::Known(name),
                LabelName::Text(name) => self.append(name, Name::Text),
            };
            let value = self.append(value, |start, end| (start, end));
            self.pairs.push(Pair { name, value });
        }
        self.known.insert(identity, self.sets.len() as u32);
        let (pairs, text_end) = ((pair_mark, self.pairs.len() as u32), self.text.len() as u32);
        self.sets.push(Set { parent: parent.0, pairs, text_end, identity, birth });
    }

    fn forget(&mut self, used: usize) {
        if used >= self.sets.len() {
            return;
        }
        for set in self.sets.drain(used..) {
            self.known.remove(&set.identity);
        }
        if let Some(last) = self.sets.last() {
            self.pairs.truncate(last.pairs.1 as usize);
            self.text.truncate(last.text_end as usize);
        }
    }

    fn append<T>(&mut self, text: &str, span: impl FnOnce(u32, u32) -> T) -> T {
        let start = self.text.len() as u32;
        self.text.push_str(text);
        span(start, self.text.len() as u32)
    }

    /// Bytes of label text up to this entity.
    pub(crate) fn text_until(&self, entity: Entity) -> usize {
        self.sets[entity.index()].text_end as usize
    }

    /// How many entities there are, the machine included; perhaps some that no point is of.
    pub fn entities(&self) -> usize {
        self.sets.len()
    }

    /// All of them, each behind the one that it extends.
    pub fn each(&self) -> impl Iterator<Item = Entity> + use<> {
        (0..self.sets.len() as u32).map(Entity)
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

/// The identity of `parent`'s labels and these besides.
pub(crate) fn identity<'a>(parent: u64, labels: impl Iterator<Item = (LabelName<'a>, &'a str)>) -> u64 {
    let labels = labels.filter(|label| !label.1.is_empty());
    labels.fold(parent, |sum, (name, value)| sum.wrapping_add(pair_identity(name.as_str(), value)))
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
