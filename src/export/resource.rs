//! Who pushes: the machine as its own files tell it, and what was said.
//!
//! Not by the detectors of `opentelemetry_sdk` and `opentelemetry-resource-detectors`: they look at the container that they
//! run in and not at the machine, call processors otherwise than the conventions do, and don't decode what is in
//! OTEL_RESOURCE_ATTRIBUTES.

use super::endpoint::Identity;
use crate::encode::otlp::{Attribute, Resource};
use collectors::kit::{Host, Root};

/// The name of the service, if nothing else is said.
const SERVICE: &str = "wholenode";

/// The attributes of all that is pushed; what was said counts before what was found.
pub(super) fn resource(identity: &Identity, host: &mut Host) -> Resource {
    let name = host_name(host);
    let mut all = Attributes::default();
    all.set("service.name", SERVICE);
    all.set("service.version", env!("CARGO_PKG_VERSION"));
    all.set("service.instance.id", &name);
    all.set("host.name", &name);
    all.set("host.id", &machine_id(host).unwrap_or_default());
    let machine = host.uname(|uname| uname.machine.to_string());
    all.set("host.arch", architecture(&machine));
    all.set("os.type", "linux");
    let release = host.os_release().unwrap_or_default();
    let of = |key: &str| release.iter().find(|(name, _)| name == key).map_or("", |(_, value)| value.as_str());
    all.set("os.name", of("NAME"));
    all.set("os.version", of("VERSION_ID"));
    all.set("os.description", of("PRETTY_NAME"));
    all.set("k8s.node.name", identity.node.as_deref().unwrap_or_default());
    for (name, value) in &identity.attributes {
        all.set(name, value);
    }
    all.set("service.name", identity.service.as_deref().unwrap_or_default());
    all.set("service.instance.id", identity.instance.as_deref().unwrap_or_default());
    all.set("k8s.cluster.name", identity.cluster.as_deref().unwrap_or_default());
    Resource(all.0.into_iter().map(|(name, value)| (name, Attribute::Text(value))).collect())
}

/// Names and values, each name once.
#[derive(Default)]
struct Attributes(Vec<(String, String)>);

impl Attributes {
    /// Sets one, unless there is nothing to say.
    fn set(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => value.clone_into(known),
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
    }
}

/// The machine's id, which stays the same: systemd's, or that of D-Bus.
pub(super) fn machine_id(host: &mut Host) -> Option<String> {
    let files = ["etc/machine-id", "var/lib/dbus/machine-id"];
    let mut found = files.iter().filter_map(|file| host.text(Root::Rootfs, file).ok());
    // An image that was not started yet has `uninitialized` there.
    found.find(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The machine's name.
pub(super) fn host_name(host: &mut Host) -> String {
    host.renamed().unwrap_or_else(|| host.uname(|uname| uname.nodename.to_string()))
}

/// What the conventions call the processor that uname(2) tells of.
fn architecture(machine: &str) -> &str {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "i386" | "i486" | "i586" | "i686" => "x86",
        arm if arm.starts_with("armv") => "arm32",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use collectors::kit::{Child, Clock, Machine, Replay, Roots, Script};
    use std::time::Duration;

    fn host(files: &[(&str, &str)]) -> (tempfile::TempDir, Host) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let below = |name: &str| format!("{}/{name}", folder.path().display());
        let roots = Roots { rootfs: below("rootfs"), ..Roots::default() };
        std::fs::create_dir_all(below("calls")).unwrap();
        let replay = Replay::load(&below("calls")).unwrap();
        let clock = Clock::Scripted(Script::new(Duration::ZERO, Duration::ZERO));
        (folder, Host::new(Machine::new(roots, clock, Some(replay), Child::new("/nowhere"))))
    }

    fn of(identity: &Identity, files: &[(&str, &str)]) -> Vec<(String, String)> {
        let (_folder, mut host) = host(files);
        let text = |value| match value {
            Attribute::Text(text) => text,
            Attribute::Int(number) => number.to_string(),
        };
        resource(identity, &mut host).0.into_iter().map(|(name, value)| (name, text(value))).collect()
    }

    fn get<'a>(all: &'a [(String, String)], name: &str) -> &'a str {
        all.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    const FILES: &[(&str, &str)] = &[
        ("rootfs/etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
        (
            "rootfs/etc/os-release",
            "NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n",
        ),
        ("calls/uname", "Linux\nnode7\n6.12.0\n#1 SMP\naarch64\n(none)\n"),
    ];

    #[test]
    fn the_machine_tells_who_it_is() {
        let all = of(&Identity::default(), FILES);
        for (name, value) in [
            ("service.name", "wholenode"),
            ("service.version", env!("CARGO_PKG_VERSION")),
            ("service.instance.id", "node7"),
            ("host.name", "node7"),
            ("host.id", "0123456789abcdef0123456789abcdef"),
            ("host.arch", "arm64"),
            ("os.type", "linux"),
            ("os.name", "Debian GNU/Linux"),
            ("os.version", "12"),
            ("os.description", "Debian GNU/Linux 12"),
        ] {
            assert_eq!(get(&all, name), value, "{name}");
        }
        assert!(all.iter().all(|(name, _)| !name.starts_with("k8s.")));
    }

    #[test]
    fn what_was_said_counts_before_what_was_found() {
        let some = |text: &str| Some(text.to_owned());
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut identity = Identity {
            node: some("n"),
            cluster: some("c"),
            attributes: vec![pair("service.name", "a"), pair("host.name", "b"), pair("site", "x")],
            ..Identity::default()
        };
        let all = of(&identity, FILES);
        assert_eq!((get(&all, "service.name"), get(&all, "host.name"), get(&all, "site")), ("a", "b", "x"));
        assert_eq!((get(&all, "k8s.node.name"), get(&all, "k8s.cluster.name")), ("n", "c"));
        (identity.service, identity.instance) = (some("s"), some("i"));
        let all = of(&identity, FILES);
        assert_eq!((get(&all, "service.name"), get(&all, "service.instance.id")), ("s", "i"));
    }

    #[test]
    fn what_is_not_there_is_not_told() {
        let all = of(&Identity::default(), &[("rootfs/etc/machine-id", "uninitialized\n")]);
        assert!(all.iter().all(|(name, value)| !value.is_empty() && name != "host.id" && name != "os.name"));
        assert_eq!(architecture("armv7l"), "arm32");
    }
}
