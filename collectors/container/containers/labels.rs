//! Who a cgroup is, as labels: the kubelet's, or those that older dashboards ask for.

use super::state::State;
use crate::kit::cgroup::{Kind, Named, Node};
use crate::kit::{Host, Options};
use crate::model::{Batch, Entity};
use regex_lite::Regex;
use std::collections::BTreeMap;

const NAMES: &[&str; 9] =
    &["id", "name", "image", "namespace", "pod", "container", "pod_name", "container_name", "systemd_service_name"];
/// How long a label may be, in bytes. Names of pods end at 253, images are a little longer.
const VALUE_MAX: usize = 512;
/// How much of a chosen label's name is told.
const NAME_MAX: usize = 128;

/// How cgroups are labelled.
#[derive(Debug, Default)]
pub(super) struct Style {
    /// `pod_name`, `container_name` and `systemd_service_name` beside the others.
    legacy: bool,
    /// Names of containers of Kubernetes are `k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT`.
    dockershim: bool,
    without_id: bool,
    without_name: bool,
    /// Which labels of containers are told.
    chosen: Option<Regex>,
}

impl Style {
    /// As the options say.
    pub(super) fn new(options: &Options) -> Self {
        let omitted = options.text("omit").unwrap_or_default();
        let leaves_out = |word: &str| omitted.split(',').any(|given| given.trim() == word);
        Self {
            legacy: options.flag("legacy-labels"),
            dockershim: options.text("name-style") == Some("dockershim"),
            without_id: leaves_out("id"),
            without_name: leaves_out("name"),
            chosen: options.text("labels").filter(|text| !text.is_empty()).and_then(|text| Regex::new(text).ok()),
        }
    }

    /// Lets the directory of names keep the labels that are chosen.
    pub(super) fn announce(&self, host: &Host) {
        host.machine().names.keep(self.chosen.clone());
    }

    /// Those labels of a container that are chosen, under the names that they have here: `container_label_app_kubernetes_io_name`
    /// for `app.kubernetes.io/name`. Of those that get the same name, the first in order of their own names stays.
    pub(super) fn chosen(&self, named: &Named) -> Vec<(String, String)> {
        let Some(chosen) = &self.chosen else { return Vec::new() };
        let mut labels: Vec<_> = named.labels.iter().filter(|(name, _)| chosen.is_match(name)).collect();
        labels.sort_unstable();
        let mut found = BTreeMap::new();
        for (name, value) in labels {
            let clean = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
            let clean: String = "container_label_".chars().chain(clean.take(NAME_MAX)).collect();
            found.entry(clean).or_insert_with(|| cut(value).to_owned());
        }
        found.into_iter().collect()
    }

    /// The cgroup with its labels.
    pub(super) fn entity(&self, node: &Node<State>, out: &mut Batch) -> Entity {
        let nobody = Named::default();
        let named = node.own.named.as_deref().unwrap_or(&nobody);
        let style_name;
        let name = match &node.kind {
            _ if self.without_name => "",
            Kind::Container { .. } if self.dockershim && !named.pod.is_empty() => {
                style_name = dockershim(named);
                &style_name
            }
            Kind::Container { id, .. } if named.name.is_empty() => id,
            _ => &named.name,
        };
        let id = if self.without_id { "" } else { &*node.path };
        let legacy = |value| if self.legacy { value } else { "" };
        let values = [
            id,
            name,
            &named.image,
            &named.namespace,
            &named.pod,
            &named.container,
            legacy(&named.pod),
            legacy(&named.container),
            legacy(service(&node.path)),
        ];
        let more = node.own.labels.iter().map(|(name, value)| (&**name, &**value));
        out.since_with(NAMES, values.map(cut), more, node.own.started)
    }
}

/// `k8s_web_shop-0_default_1b7e5f6a-…_0`, the sandbox `k8s_POD_shop-0_…`: what Docker called them under Kubernetes.
fn dockershim(named: &Named) -> String {
    let container = if named.is_sandbox { "POD" } else { &named.container };
    let Named { pod, namespace, pod_uid, attempt, .. } = named;
    format!("k8s_{container}_{pod}_{namespace}_{pod_uid}_{}", attempt.unwrap_or(0))
}

/// `ssh` for `/system.slice/ssh.service`, however many slices are between.
fn service(path: &str) -> &str {
    let unit = path.strip_prefix("/system.slice/").and_then(|rest| rest.rsplit('/').next());
    unit.and_then(|unit| unit.strip_suffix(".service")).unwrap_or_default()
}

/// Its first bytes, up to the end of a character.
fn cut(value: &str) -> &str {
    value.get(..value.floor_char_boundary(VALUE_MAX)).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_the_system() {
        assert_eq!(service("/system.slice/ssh.service"), "ssh");
        assert_eq!(service("/system.slice/system-getty.slice/getty@tty1.service"), "getty@tty1");
        assert_eq!(service("/system.slice"), "");
        assert_eq!(service("/user.slice/user-1.slice/user@1.service"), "");
    }

    #[test]
    fn long_labels_are_cut_between_characters() {
        let long = "é".repeat(VALUE_MAX);
        assert_eq!(cut(&long).len(), VALUE_MAX);
        assert_eq!(cut(&format!("a{long}")).len(), VALUE_MAX - 1);
        assert_eq!(cut("short"), "short");
    }
}
