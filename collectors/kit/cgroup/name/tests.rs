use super::*;
use proptest::prelude::*;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// What the last component of a path is, walked from the root.
fn at(path: &str) -> Option<Kind> {
    let mut kind = Kind::Root;
    let mut above = String::new();
    for name in path.replace("ID", ID).split('/').filter(|name| !name.is_empty()) {
        kind = of(&kind, &above, name)?;
        above = format!("{above}/{name}");
    }
    Some(kind)
}

fn container(runtime: Runtime) -> Option<Kind> {
    Some(Kind::Container { runtime, id: ID.to_owned() })
}

fn pod(uid: &str, qos: Qos) -> Option<Kind> {
    Some(Kind::Pod { uid: uid.to_owned(), qos })
}

#[test]
fn pods_of_both_drivers() {
    let uid = "1b7e5f6a-11d0-4f6e-9c33-5b6f0e5f9a01";
    let unit = uid.replace('-', "_");
    for (path, qos) in [
        (format!("kubepods.slice/kubepods-pod{unit}.slice"), Qos::Guaranteed),
        (format!("kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{unit}.slice"), Qos::Burstable),
        (format!("kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort-pod{unit}.slice"), Qos::BestEffort),
        (format!("kubepods/pod{uid}"), Qos::Guaranteed),
        (format!("kubepods/besteffort/pod{uid}"), Qos::BestEffort),
    ] {
        assert_eq!(at(&path), pod(uid, qos), "{path}");
    }
    // A static pod has a hash for its identity.
    let hash = "8a2b6c4f0e1d3a5b7c9e8f6a4b2c0d1e";
    assert_eq!(at(&format!("kubepods/burstable/pod{hash}")), pod(hash, Qos::Burstable));
    assert_eq!(at("system.slice/my-pod1234.slice"), Some(Kind::Slice), "another's slice");
    assert_eq!(at("kubepods/podium"), Some(Kind::Slice));
}

#[test]
fn containers_of_every_runtime() {
    let pod = "kubepods.slice/kubepods-pod1b7e5f6a_11d0_4f6e_9c33_5b6f0e5f9a01.slice";
    for (path, runtime) in [
        (&*format!("{pod}/cri-containerd-ID.scope"), Runtime::Containerd),
        (&*format!("{pod}/crio-ID.scope"), Runtime::Crio),
        (&*format!("{pod}/docker-ID.scope"), Runtime::Docker),
        ("kubepods/burstable/pod1b7e5f6a-11d0-4f6e-9c33-5b6f0e5f9a01/ID", Runtime::Containerd),
        ("kubepods/pod1b7e5f6a-11d0-4f6e-9c33-5b6f0e5f9a01/crio-ID", Runtime::Crio),
        ("system.slice/docker-ID.scope", Runtime::Docker),
        ("docker/ID", Runtime::Docker),
        ("docker/buildkit/ID", Runtime::Docker),
        ("user.slice/user-1000.slice/user@1000.service/app.slice/docker-ID.scope", Runtime::Docker),
        ("machine.slice/libpod-ID.scope", Runtime::Podman),
        ("machine.slice/machine-libpod_pod_ID.slice/libpod-ID.scope", Runtime::Podman),
        ("user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope", Runtime::Podman),
        ("libpod_parent/libpod-ID", Runtime::Podman),
        ("system.slice/nerdctl-ID.scope", Runtime::Nerdctl),
        ("default/ID", Runtime::Unknown),
    ] {
        assert_eq!(at(path), container(runtime), "{path}");
    }
    let named = |runtime, id: &str| Some(Kind::Container { runtime, id: id.to_owned() });
    assert_eq!(at("lxc/web"), named(Runtime::Lxc, "web"));
    assert_eq!(at("lxc.payload.web"), named(Runtime::Lxc, "web"));
    assert_eq!(at("machine.slice/systemd-nspawn@web.service"), named(Runtime::Nspawn, "web"));
    assert_eq!(at(r"machine.slice/machine-qemu\x2d1\x2dvm.scope"), named(Runtime::Libvirt, r"\x2d1\x2dvm"));
}

#[test]
fn nothing_in_a_container_is_another_one() {
    assert_eq!(at("docker/ID/kubelet.slice"), None);
    assert_eq!(at("system.slice/docker-ID.scope/kubepods.slice"), None);
    assert_eq!(at("machine.slice/libpod-ID.scope/container"), None);
}

#[test]
fn units_of_systemd() {
    assert_eq!(at("system.slice"), Some(Kind::Slice));
    assert_eq!(at("system.slice/ssh.service"), Some(Kind::Service));
    assert_eq!(at("system.slice/system-getty.slice/getty@tty1.service"), Some(Kind::Service));
    assert_eq!(at("init.scope"), Some(Kind::Service));
    assert_eq!(at("user.slice/user-1000.slice/user@1000.service/app.slice/x.service"), Some(Kind::Inside));
    assert_eq!(at("user.slice/user-1000.slice/session-3.scope"), None);
    assert_eq!(at("system.slice/var-lib-docker-overlay2-x-merged.mount"), None);
    assert_eq!(at("machine.slice/libpod-conmon-ID.scope"), None);
    assert_eq!(at("kubepods.slice/crio-conmon-ID.scope"), None);
    assert_eq!(at("custom"), Some(Kind::Slice));
    assert_eq!(at("system.slice/docker-short.scope"), Some(Kind::Service));
}

#[test]
fn what_users_may_name_is_known() {
    let of_a_user =
        ["/user.slice/user-1000.slice/user@1000.service/app.slice/docker-ID.scope", "/user.slice/user-1000.slice"];
    assert!(of_a_user.into_iter().all(is_of_a_user));
    let of_root = ["/", "/user.slice", "/user.slice/user-0.slice/user@0.service/x", "/system.slice/docker-ID.scope"];
    assert!(!of_root.into_iter().any(is_of_a_user));
}

proptest! {
    #[test]
    fn no_name_makes_it_panic(parent in ".{0,20}", name in ".{0,80}") {
        for kind in [Kind::Root, Kind::Slice, Kind::Service, Kind::Inside] {
            of(&kind, &parent, &name);
        }
    }
}
