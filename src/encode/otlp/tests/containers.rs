//! A resource for each container and pod.

use super::decoded::Attributes;
use super::*;

const ID: &str = "4444d442bae980f306b29c7540f15b5e35e8e1f3ab7b1a9eff8deb282cfc809a";
const UID: &str = "1b7e5f6a-11d0-4f6e-9c33-5b6f0e5f9a01";
const LABELS: &[&str; 6] = &["id", "name", "image", "namespace", "pod", "container"];

fn per_container() -> Scene {
    Scene::new(Shape { per_container: true, ..Shape::default() })
}

fn attributes(pairs: &[(&str, &str)]) -> Attributes {
    let host = ("host.name", "alpha");
    pairs.iter().chain([&host]).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The machine, a service, a container of Kubernetes with a part, its pod, and a container of Docker.
fn cgroups(second: u64) -> Arc<Batch> {
    let docker = format!("/system.slice/docker-{ID}.scope");
    let pod = format!("/kubepods/burstable/pod{UID}");
    let inside = format!("{pod}/{ID}");
    batch(second, |b| {
        for values in [
            ["/", "", "", "", "", ""],
            ["/system.slice/ssh.service", "", "", "", "", ""],
            [&inside, ID, "registry:5000/shop/app:2@sha256:00", "default", "shop-0", "web"],
            [&pod, "", "", "default", "shop-0", ""],
            [&docker, "grafana", "grafana/grafana", "", "", ""],
        ] {
            let of = b.entity(LABELS, values);
            b.put(&LOAD, of, 1u64);
            let part = b.part(of, &["device"], ["sda"]);
            b.put(&BYTES, part, 1u64);
        }
    })
}

#[test]
fn each_container_has_a_resource_of_its_own() {
    let mut scene = per_container();
    let points = scene.round(10, vec![cgroups(9)]);
    let pod = [("k8s.namespace.name", "default"), ("k8s.pod.name", "shop-0"), ("k8s.pod.uid", UID)];
    let mut web = pod.to_vec();
    web.extend([
        ("container.id", ID),
        ("k8s.container.name", "web"),
        ("container.image.name", "registry:5000/shop/app"),
        ("container.image.tags", "[2]"),
    ]);
    let docker = [("container.id", ID), ("container.name", "grafana"), ("container.image.name", "grafana/grafana")];
    let resources = [vec![], vec![], web, pod.to_vec(), docker.to_vec()];
    let names = ["bytes_total", "load"];
    let machine = names.into_iter().flat_map(|name| resources[..2].iter().map(move |own| (name, own)));
    let others = resources[2..].iter().flat_map(|own| names.map(|name| (name, own)));
    let expected: Vec<_> = machine.chain(others).map(|(name, own)| (name, attributes(own))).collect();
    let found: Vec<_> = points.iter().map(|point| (&*point.name, point.resource.clone())).collect();
    assert_eq!(found, expected);
    // The labels stay, and a description is said once.
    assert!(points.iter().all(|point| point.labels.contains_key("id")));
    assert!(
        points
            .iter()
            .all(|point| point.help.is_empty() == point.resource.contains_key("container.id")
                || point.resource.len() == 4)
    );
}

#[test]
fn a_container_that_ends_ends_in_its_resource() {
    let mut scene = per_container();
    let before = scene.round(10, vec![cgroups(9)]);
    let gone = scene.round(20, vec![batch(19, |b| b.put(&RAW, b.machine(), 1u64))]);
    let told = |points: &[Point]| -> Vec<_> {
        points.iter().map(|point| (point.resource.clone(), point.name.clone(), point.labels.clone())).collect()
    };
    assert_eq!(told(&gone[1..]), told(&before));
    assert!(gone[1..].iter().all(|point| point.is_gone));
    assert!(scene.round(30, Vec::new()).iter().all(|point| point.name == "raw"));
}

#[test]
fn the_collector_that_knows_most_of_a_container_names_it() {
    let energy = batch(9, |b| {
        let of = b.entity(&["id"], [&format!("/system.slice/docker-{ID}.scope")]);
        b.put(&FAILCNT, of, 1u64);
    });
    let points = per_container().round(10, vec![energy, cgroups(9)]);
    let energy = points.iter().find(|point| point.name == FAILCNT.name).unwrap();
    assert_eq!(energy.resource["container.name"], "grafana");
}

#[test]
fn other_batches_may_come_and_go() {
    let mut scene = per_container();
    scene.round(10, vec![cgroups(9)]);
    let more = batch(19, |b| {
        let of = b.entity(LABELS, ["/lxc/a", "a", "b", "", "", ""]);
        b.put(&RAW, of, 1u64);
    });
    let cgroups = cgroups(19);
    let points = scene.round(20, vec![Arc::clone(&cgroups), more]);
    assert_eq!(points.iter().filter(|point| point.is_gone).count(), 0);
    assert_eq!(points.len(), 11);
    let points = scene.round(30, vec![cgroups]);
    let gone: Vec<_> = points.iter().filter(|point| point.is_gone).collect();
    assert_eq!((gone.len(), &*gone[0].resource["container.name"]), (1, "a"));
}
