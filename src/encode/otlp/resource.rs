//! What requests say about whose figures they hold: the machine, and by option each container and pod.

use super::container::{self, Owner};
use super::protobuf;
use collectors::model::{Batch, Labels};
use std::collections::HashMap;
use std::sync::Arc;

/// What is known about the machine and the daemon: names of attributes and their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource(pub Vec<(String, Attribute)>);

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// A text.
    Text(String),
    /// A whole number.
    Int(i64),
}

impl Resource {
    /// The attributes as a resource has them.
    pub(super) fn attributes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, value) in &self.0 {
            match value {
                Attribute::Text(text) => protobuf::attribute(&mut out, 1, name, text),
                Attribute::Int(number) => {
                    let pair = protobuf::begin(&mut out, 1);
                    protobuf::text(&mut out, 1, name);
                    let value = protobuf::begin(&mut out, 2);
                    out.push(protobuf::varint_key(3));
                    protobuf::varint(&mut out, *number as u64);
                    protobuf::end(&mut out, value);
                    protobuf::end(&mut out, pair);
                }
            }
        }
        out
    }
}

/// The resources of a round, and which entity belongs to which. The first one is the machine.
#[derive(Debug, Default)]
pub(super) struct Resources {
    bytes: Vec<u8>,
    /// Where each one ends.
    ends: Vec<usize>,
    /// For each batch the resource of each entity; none where all belong to the machine.
    owners: Vec<Vec<u32>>,
}

impl Resources {
    /// The machine alone.
    pub(super) fn machine(attributes: &[u8]) -> Self {
        let mut resources = Self::default();
        resources.push(&[], attributes);
        resources
    }

    /// The machine, and whom the labels of the batches tell of.
    pub(super) fn with_containers(machine: &[u8], batches: &[Arc<Batch>]) -> Self {
        let mut resources = Self::machine(machine);
        let mut found = Found::default();
        resources.owners = batches.iter().map(|batch| found.owners(batch.labels())).collect();
        for owner in &found.owners {
            resources.push(&owner.attributes, machine);
        }
        resources
    }

    fn push(&mut self, own: &[u8], of_machine: &[u8]) {
        let begun = protobuf::begin(&mut self.bytes, 1);
        self.bytes.extend_from_slice(own);
        self.bytes.extend_from_slice(of_machine);
        protobuf::end(&mut self.bytes, begun);
        self.ends.push(self.bytes.len());
    }

    /// Whose an entity is.
    pub(super) fn owner(&self, batch: u32, entity: u32) -> u32 {
        let owners = self.owners.get(batch as usize);
        owners.and_then(|owners| owners.get(entity as usize)).copied().unwrap_or(0)
    }

    /// The resource, as a request has it.
    pub(super) fn bytes(&self, at: u32) -> &[u8] {
        let at = at as usize;
        &self.bytes[at.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[at]]
    }
}

/// Those whom labels have told of so far.
#[derive(Default)]
struct Found {
    owners: Vec<Owner>,
    by_key: HashMap<String, u32>,
}

impl Found {
    /// The resource of each entity. Parts of a thing belong to it: the machine is the first resource, and not in here.
    fn owners(&mut self, labels: &Labels) -> Vec<u32> {
        let mut owners = Vec::with_capacity(labels.entities());
        for entity in labels.each() {
            let of_parent = owners.get(labels.parent(entity).index()).copied().unwrap_or(0);
            let own = if of_parent == 0 { container::owner(&labels.all(entity)) } else { None };
            owners.push(own.map_or(of_parent, |owner| self.find(owner)));
        }
        owners
    }

    /// Its number. Two collectors may know the same one, and one of them more about it.
    fn find(&mut self, owner: Owner) -> u32 {
        if let Some(&at) = self.by_key.get(&owner.key) {
            let known = &mut self.owners[at as usize - 1];
            if known.attributes.len() < owner.attributes.len() {
                *known = owner;
            }
            return at;
        }
        let at = self.owners.len() as u32 + 1;
        self.by_key.insert(owner.key.clone(), at);
        self.owners.push(owner);
        at
    }
}
