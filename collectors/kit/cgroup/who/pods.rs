//! Who a pod is: its containers tell.

use super::super::name;
use super::{Book, FORGET, Named, Names, RETRIES, is_listed};
use crate::kit::cgroup::{Kind, Qos, Trees};
use crate::kit::{Host, Root, lock};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How many pods are remembered.
const PODS_MAX: usize = 10_000;

/// A pod that somebody asks for, or of which a container is known.
#[derive(Default)]
pub(super) struct Pod {
    names: Option<(Arc<str>, Arc<str>)>,
    asked: Duration,
    due: Duration,
    tries: usize,
}

impl Pod {
    pub(super) fn is_asked_for(&self, now: Duration) -> bool {
        now.saturating_sub(self.asked) < FORGET
    }
}

/// Learns of a pod from one of its containers.
pub(super) fn learn(pods: &mut HashMap<Box<str>, Pod>, named: &Named, now: Duration) {
    let Named { namespace, pod, pod_uid, .. } = named;
    if pod.is_empty() || pod_uid.is_empty() || pods.get(pod_uid.as_str()).is_some_and(|known| known.names.is_some()) {
        return;
    }
    if pods.len() < PODS_MAX {
        let place = pods.entry(pod_uid.as_str().into()).or_default();
        place.names = Some((namespace.as_str().into(), pod.as_str().into()));
        place.asked = place.asked.max(now);
    }
}

impl Names {
    /// The namespace and the name of a pod, as far as one of its containers has told them.
    pub fn pod(&self, uid: &str) -> Option<(Arc<str>, Arc<str>)> {
        let now = self.clock.coarse();
        let mut book = lock(&self.book);
        let pod = book.pods.get_mut(uid)?;
        pod.asked = now;
        pod.names.clone()
    }

    /// Whether it is time to look for containers of a pod that is not known.
    fn pod_is_due(&self, uid: &str) -> bool {
        let now = self.clock.coarse();
        let mut book = lock(&self.book);
        let Book { pods, .. } = &mut *book;
        if pods.len() >= PODS_MAX && !pods.contains_key(uid) {
            return false;
        }
        let pod = pods.entry(uid.into()).or_default();
        pod.asked = now;
        let is_due = pod.names.is_none() && pod.due <= now;
        if is_due {
            pod.due = now + RETRIES[pod.tries.min(RETRIES.len() - 1)];
            pod.tries += 1;
        }
        is_due
    }
}

impl Host {
    /// The namespace and the name of a pod. Before a container of it was named, it is looked whether one can be.
    pub fn who_pod(&mut self, trees: &Trees, path: &str, uid: &str) -> Option<(Arc<str>, Arc<str>)> {
        let machine = Arc::clone(self.machine());
        let known = machine.names.pod(uid);
        if known.is_some() || !machine.names.pod_is_due(uid) {
            return known;
        }
        let folder = format!("{}{path}", trees.walked().trim_start_matches('/'));
        let mut children = Vec::new();
        let above = Kind::Pod { uid: uid.to_owned(), qos: Qos::Guaranteed };
        let listed = self.each_folder(Root::Cgroup, folder.trim_start_matches('/'), |child| {
            if let Some(Kind::Container { runtime, id }) = name::of(&above, path, child)
                && is_listed(runtime, &id)
            {
                children.push((runtime, id));
            }
        });
        listed.ok()?;
        children.iter().any(|(runtime, id)| self.who(*runtime, id).is_some_and(|named| !named.pod.is_empty()));
        machine.names.pod(uid)
    }
}
