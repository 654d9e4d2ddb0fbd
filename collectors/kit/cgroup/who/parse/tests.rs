use super::*;
use proptest::prelude::*;
use regex_lite::Regex;
use std::sync::Arc;

fn keep(labels: &str) -> Keep {
    Keep(Some(Arc::new(Regex::new(labels).unwrap())))
}

fn bundle_of(text: &str) -> Named {
    bundle(&mut text.as_bytes(), &Keep::default()).unwrap()
}

/// A name without an end, in a document that does not fit on a page.
const LONG: usize = 1 << 20;

#[test]
fn a_container_of_containerd() {
    let named = bundle_of(
        r#"{"ociVersion":"1.0.2","process":{"user":{"uid":0},"args":["sh"],"env":["SECRET=1"]},"annotations":{
        "io.kubernetes.cri.container-name":"web","io.kubernetes.cri.container-type":"container",
        "io.kubernetes.cri.image-name":"docker.io/library/nginx:1.29","io.kubernetes.cri.sandbox-id":"ab",
        "io.kubernetes.cri.sandbox-name":"shop-0","io.kubernetes.cri.sandbox-namespace":"default",
        "io.kubernetes.cri.sandbox-uid":"1b7e5f6a-0000"},"linux":{"cgroupsPath":"/x","namespaces":[{"type":"pid"}]}}"#,
    );
    let expected = Named {
        image: "docker.io/library/nginx:1.29".to_owned(),
        namespace: "default".to_owned(),
        pod: "shop-0".to_owned(),
        pod_uid: "1b7e5f6a-0000".to_owned(),
        container: "web".to_owned(),
        ..Named::default()
    };
    assert_eq!(named, expected);
}

#[test]
fn a_sandbox_of_containerd() {
    let named = bundle_of(
        r#"{"annotations":{"io.kubernetes.cri.container-type":"sandbox","io.kubernetes.cri.sandbox-name":"shop-0",
        "io.kubernetes.cri.podsandbox.image-name":"registry.k8s.io/pause:3.10"}}"#,
    );
    assert!(named.is_sandbox && named.container.is_empty());
    assert_eq!(named.image, "registry.k8s.io/pause:3.10");
}

#[test]
fn a_container_of_cri_o() {
    let text = r#"{"annotations":{"io.kubernetes.container.name":"web","io.kubernetes.container.restartCount":"3",
        "io.kubernetes.cri-o.ContainerType":"container","io.kubernetes.cri-o.ImageName":"quay.io/shop/web:2",
        "io.kubernetes.cri-o.Image":"quay.io/shop/web@sha256:00",
        "io.kubernetes.cri-o.Labels":"{\"io.kubernetes.pod.namespace\":\"default\",\"io.kubernetes.pod.uid\":\"1b7e\",\"app\":\"shop\"}",
        "io.kubernetes.cri-o.Metadata":"{\"name\":\"web\",\"attempt\":2}","io.kubernetes.cri-o.Name":"k8s_web_shop-0_default_1b7e_2",
        "io.kubernetes.pod.name":"shop-0"}}"#;
    let named = bundle(&mut text.as_bytes(), &keep("^app$")).unwrap();
    assert_eq!((&*named.name, &*named.image), ("k8s_web_shop-0_default_1b7e_2", "quay.io/shop/web:2"));
    assert_eq!((&*named.pod, &*named.namespace, &*named.pod_uid), ("shop-0", "default", "1b7e"));
    assert_eq!((named.attempt, named.is_sandbox), (Some(2), false));
    assert_eq!(named.labels, [("app".to_owned(), "shop".to_owned())]);
}

#[test]
fn a_container_of_docker() {
    let text = r#"{"State":{"Running":true,"Pid":4711},"ID":"00","Config":{"Env":["SECRET=1"],"Image":"nginx",
        "Labels":{"com.docker.compose.project":"shop","other":"x"}},"Name":"/web","RestartCount":2}"#;
    let named = docker(&mut text.as_bytes(), &keep("^com\\.")).unwrap();
    assert_eq!((&*named.name, &*named.image, named.pid, named.attempt), ("web", "nginx", Some(4711), Some(2)));
    assert_eq!(named.labels, [("com.docker.compose.project".to_owned(), "shop".to_owned())]);
    let ended = docker(&mut br#"{"State":{"Pid":0},"Name":"/web"}"#.as_slice(), &Keep::default()).unwrap();
    assert_eq!(ended.pid, None);
}

#[test]
fn when_one_was_made() {
    let of = |text: &str| rfc3339(text).map(|time| time.as_millis());
    assert_eq!(of("1970-01-01T00:00:00Z"), Some(0));
    assert_eq!(of("2000-02-29T12:00:00.5Z"), Some(951_825_600_500));
    assert_eq!(of("2023-11-14T23:13:20.123456789+01:00"), Some(1_700_000_000_123));
    assert_eq!(of("2023-11-14T21:13:20-01:00"), Some(1_700_000_000_000));
    for bad in [
        "0001-01-01T00:00:00Z",
        "",
        "2023-11-14",
        "2023-11-14T21:13:20",
        "2023-11-14T21:13:20x5Z",
        "+023-11-14T21:13:20Z",
    ] {
        assert_eq!(of(bad), None, "{bad}");
    }
    let made =
        docker(&mut br#"{"Created":"2023-11-14T22:13:20.5Z","Name":"/web"}"#.as_slice(), &Keep::default()).unwrap();
    assert_eq!(made.created, Some(Duration::from_millis(1_700_000_000_500)));
    let text = r#"{"annotations":{"io.kubernetes.cri-o.Created":"2023-11-14T22:13:20Z"}}"#;
    assert_eq!(
        bundle(&mut text.as_bytes(), &Keep::default()).unwrap().created,
        Some(Duration::from_secs(1_700_000_000))
    );
}

proptest::proptest! {
    #[test]
    fn no_text_makes_a_time_panic(text: String, digits in "[0-9T:.Z+-]{0,40}") {
        rfc3339(&text);
        rfc3339(&digits);
        rfc3339(&format!("2023-11-14T21:13:20{digits}"));
    }
}

#[test]
fn a_sandbox_of_docker_under_kubernetes() {
    let text = r#"{"Config":{"Labels":{"io.kubernetes.docker.type":"podsandbox","io.kubernetes.container.name":"POD",
        "io.kubernetes.pod.name":"shop-0","annotation.io.kubernetes.container.restartCount":"1"}},"RestartCount":0}"#;
    let named = docker(&mut text.as_bytes(), &Keep::default()).unwrap();
    assert_eq!((named.is_sandbox, &*named.container, &*named.pod, named.attempt), (true, "POD", "shop-0", Some(1)));
}

#[test]
fn the_storage_of_podman() {
    let text = r#"[{"id":"9304","names":["web","other"],"image":"bf3d","metadata":"{\"image-name\":\"localhost/web:1\",\"created-at\":1}"},
        {"names":["nobody"]},{"id":"02","metadata":"{"},7]"#;
    let row = |id: &str, name: &str, image: &str| Stored { id: id.into(), name: name.into(), image: image.into() };
    assert_eq!(storage(&mut text.as_bytes()).unwrap(), [row("9304", "web", "localhost/web:1"), row("02", "", "")]);
}

#[test]
fn what_is_long_is_cut_and_what_is_not_asked_for_is_left_out() {
    let long = "x".repeat(LONG);
    let text = format!(
        r#"{{"process":{{"env":["A={long}"]}},"annotations":{{"a":"{long}","{long}":"b","io.kubernetes.pod.name":"{long}","z\"\n":"q\"\n"}}}}"#
    );
    let named = bundle(&mut text.as_bytes(), &keep("^[az]")).unwrap();
    assert_eq!(named.pod.len(), super::super::json::TEXT_MAX);
    assert_eq!(named.labels.len(), 2);
    assert!(named.labels.iter().all(|(_, value)| value.len() <= super::super::json::TEXT_MAX));
    assert_eq!(named.labels[1], ("z\"\n".to_owned(), "q\"\n".to_owned()));
    let many: Vec<String> = (0..1000).map(|n| format!(r#""l{n}":"""#)).collect();
    let many = format!(r#"{{"annotations":{{{}}}}}"#, many.join(","));
    assert_eq!(bundle(&mut many.as_bytes(), &keep("")).unwrap().labels.len(), super::super::LABELS_MAX);
}

#[test]
fn what_is_no_json_names_nobody() {
    for text in ["", "{", r#"{"annotations":{"io.kubernetes.pod.name":"shop-0""#, "nonsense"] {
        assert!(bundle(&mut text.as_bytes(), &Keep::default()).is_err(), "{text}");
        assert!(docker(&mut text.as_bytes(), &Keep::default()).is_err(), "{text}");
        assert!(storage(&mut text.as_bytes()).is_err(), "{text}");
    }
    for text in ["[]", "{}", "1", r#"{"annotations":[],"State":7,"Config":"","Name":{},"RestartCount":-1}"#] {
        assert_eq!(bundle_of(text), Named::default());
        assert_eq!(docker(&mut text.as_bytes(), &Keep::default()).unwrap(), Named::default());
        assert_eq!(storage(&mut text.as_bytes()).unwrap(), []);
    }
}

proptest! {
    #[test]
    fn anything_may_be_read(bytes: Vec<u8>, at in 0usize..300) {
        let text = br#"{"annotations":{"io.kubernetes.cri-o.Labels":"{\"a\":\"b\"}","io.kubernetes.pod.name":"x"},"Config":{"Labels":{"a":"b"}}}"#;
        let mut broken = text.to_vec();
        broken.splice(at.min(text.len())..(at + bytes.len()).min(text.len()), bytes.iter().copied());
        for text in [bytes, broken] {
            let _ = (bundle(&mut &*text, &keep("")), docker(&mut &*text, &keep("")), storage(&mut &*text));
        }
    }
}
