//! Which container or pod labels tell of, and its attributes by OpenTelemetry's conventions.

use super::protobuf;

/// Somebody who gets a resource of his own.
#[derive(Debug)]
pub(super) struct Owner {
    /// What tells him from all others.
    pub(super) key: String,
    /// His attributes, as a resource has them.
    pub(super) attributes: Vec<u8>,
}

/// The container or the pod with these labels: those of the container page.
///
/// Cgroups in the hands of a user are nobody's, since he can call them like the containers of others.
pub(super) fn owner(labels: &[(&str, &str)]) -> Option<Owner> {
    let label = |wanted: &str| labels.iter().find(|label| label.0 == wanted).map_or("", |label| label.1);
    let (id, name, image) = (label("id"), label("name"), label("image"));
    let (namespace, pod, container) = (label("namespace"), label("pod"), label("container"));
    let is_path = id.starts_with('/');
    let (container_id, pod_uid) = if is_path { (container_id(id), pod_uid(id)) } else { (None, None) };
    let is_container = match id {
        "" => !name.is_empty() && !image.is_empty(),
        _ => is_path && (container_id.is_some() || !name.is_empty()),
    };
    let is_pod = is_path && !pod.is_empty() && pod_uid.is_some();
    if !is_container && !is_pod || is_of_a_user(id) {
        return None;
    }
    let mut out = Vec::new();
    let mut put = |name: &str, value: &str| {
        if !value.is_empty() {
            protobuf::attribute(&mut out, 1, name, value);
        }
    };
    put("container.id", container_id.unwrap_or_default());
    // The runtime's name of a container that has none is its identity.
    put("container.name", if container_id == Some(name) { "" } else { name });
    put("k8s.namespace.name", namespace);
    put("k8s.pod.name", pod);
    put("k8s.pod.uid", &pod_uid.unwrap_or_default());
    put("k8s.container.name", container);
    put_image(image, &mut out);
    let key = if is_path { id.to_owned() } else { [namespace, pod, container, name].join("\n") };
    Some(Owner { key, attributes: out })
}

/// See `kit::cgroup`, which names no container there either.
fn is_of_a_user(path: &str) -> bool {
    let user = path.strip_prefix("/user.slice/user-").and_then(|rest| rest.split('.').next());
    user.is_some_and(|user| user != "0")
}

/// `…/docker-ID.scope`, `…/podUID/ID`.
fn container_id(path: &str) -> Option<&str> {
    let last = path.rsplit('/').next()?;
    let unit = last.strip_suffix(".scope").unwrap_or(last);
    let id = unit.rsplit('-').next()?;
    let is_id = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_id && !unit.contains("-conmon-")).then_some(id)
}

/// `…/kubepods-burstable-pod1a2b_3c.slice/…`, `/kubepods/burstable/pod1a2b-3c/…`.
fn pod_uid(path: &str) -> Option<String> {
    let of_pods = path.find("kubepods").map(|at| &path[at..])?;
    of_pods.split('/').find_map(|component| {
        let unit = component.strip_suffix(".slice").unwrap_or(component);
        let uid = unit.strip_prefix("pod").or_else(|| unit.rsplit_once("-pod").map(|(_, uid)| uid))?;
        let uid = uid.replace('_', "-");
        let is_uid = (8..=64).contains(&uid.len()) && uid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        is_uid.then_some(uid)
    })
}

/// The name of an image and its tag: `registry:5000/shop/app:2@sha256:…`. What is only a digest has no name.
fn put_image(image: &str, out: &mut Vec<u8>) {
    let name = image.split('@').next().unwrap_or_default();
    if name.is_empty() || image.starts_with("sha256:") {
        return;
    }
    let tag = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'));
    protobuf::attribute(out, 1, "container.image.name", tag.map_or(name, |(name, _)| name));
    let Some((_, tag)) = tag else { return };
    let pair = protobuf::begin(out, 1);
    protobuf::text(out, 1, "container.image.tags");
    // A list, of one.
    let value = protobuf::begin(out, 2);
    let list = protobuf::begin(out, 5);
    let item = protobuf::begin(out, 1);
    protobuf::text(out, 1, tag);
    for begun in [item, list, value, pair] {
        protobuf::end(out, begun);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4444d442bae980f306b29c7540f15b5e35e8e1f3ab7b1a9eff8deb282cfc809a";

    #[test]
    fn paths_of_containers() {
        for path in [
            format!("/system.slice/docker-{ID}.scope"),
            format!("/kubepods/burstable/pod1b7e5f6a-11d0/{ID}"),
            format!("/machine.slice/libpod-{ID}.scope"),
        ] {
            assert_eq!(container_id(&path), Some(ID));
        }
        for path in [format!("/machine.slice/libpod-conmon-{ID}.scope"), "/system.slice/ssh.service".into(), "/".into()]
        {
            assert_eq!(container_id(&path), None);
        }
    }

    #[test]
    fn paths_of_pods() {
        let uid = "1b7e5f6a-11d0-4f6e-9c33-5b6f0e5f9a01";
        let unit = uid.replace('-', "_");
        for path in [
            format!("/kubepods/burstable/pod{uid}"),
            format!("/kubelet/kubepods/pod{uid}/{ID}"),
            format!(
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{unit}.slice/cri-containerd-{ID}.scope"
            ),
        ] {
            assert_eq!(pod_uid(&path).as_deref(), Some(uid), "{path}");
        }
        assert_eq!(pod_uid("/machine.slice/machine-libpod_pod_85dc9061.slice"), None);
        assert_eq!(pod_uid("/kubepods.slice/kubepods-besteffort.slice"), None);
    }

    #[test]
    fn who_gets_no_resource() {
        for labels in [
            &[("id", "/"), ("device", "sda")][..],
            &[("id", "/system.slice/ssh.service")],
            &[("id", "5"), ("name", "rail")],
            &[("name", "ssh.service"), ("state", "active")],
            &[("namespace", "a"), ("pod", "b"), ("container", "c")],
            &[("id", &format!("/user.slice/user-1000.slice/libpod-{ID}.scope")), ("name", "x"), ("image", "y")],
        ] {
            assert!(owner(labels).is_none(), "{labels:?}");
        }
    }
}
