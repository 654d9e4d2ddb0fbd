use super::*;
use collectors::kit::protobuf::{put_bytes, put_number};
use proptest::prelude::*;

/// A message with these fields.
fn message(parts: &[(u64, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    parts.iter().for_each(|(number, bytes)| put_bytes(&mut out, *number, bytes));
    out
}

fn label(name: &str, value: &str) -> Vec<u8> {
    message(&[(1, name.as_bytes()), (2, value.as_bytes())])
}

#[test]
fn a_pod() {
    let mut metadata = message(&[(1, b"web"), (2, b"0a1b"), (3, b"shop")]);
    put_number(&mut metadata, 4, 7);
    let mut item = message(&[(1, b"c0ffee"), (2, &metadata), (5, &label("app", "web")), (6, &label("note", "x"))]);
    put_number(&mut item, 3, 1);
    let list = message(&[(1, &item), (1, b"")]);
    let all = sandboxes(&list).unwrap();
    let expected =
        Sandbox { id: "c0ffee", name: b"web", uid: b"0a1b", namespace: b"shop", attempt: 7, item: item.as_slice() };
    assert_eq!(all, [expected, Sandbox::default()]);
    assert_eq!(all[0].labels().collect::<Vec<_>>(), [(&b"app"[..], &b"web"[..])]);
}

#[test]
fn a_container_and_its_image_as_the_user_wrote_it() {
    let mut metadata = message(&[(1, b"nginx")]);
    put_number(&mut metadata, 2, 3);
    let image = message(&[(1, b"sha256:1"), (18, b"nginx:1")]);
    let item = message(&[(1, b"ab"), (2, b"c0ffee"), (3, &metadata), (4, &image), (8, &label("k", "v"))]);
    let list = message(&[(1, &item)]);
    let all = containers(&list).unwrap();
    assert_eq!((all[0].id, all[0].sandbox, all[0].name, all[0].attempt), ("ab", "c0ffee", &b"nginx"[..], 3));
    assert_eq!(all[0].image, b"nginx:1");
    assert_eq!(all[0].labels().collect::<Vec<_>>(), [(&b"k"[..], &b"v"[..])]);
    assert_eq!(super::image(&message(&[(1, b"sha256:1")])), Ok(&b"sha256:1"[..]));
}

#[test]
fn the_process_of_a_pod_is_in_words_of_the_runtime() {
    let info = label("info", r#"{"pid": 42, "image": "pause:3.9", "config": {"a": [1, 2]}, "runtimeSpec": null}"#);
    let annotations = message(&[(8, &label("not", "an image"))]);
    let told = status(&message(&[(1, &annotations), (2, &label("other", "{}")), (2, &info)]), true).unwrap();
    assert_eq!(told, Status { pid: Some(42), image: "pause:3.9".to_owned() });
    for odd in ["", "{", r#"{"pid": 0}"#, r#"{"pid": -1}"#, r#"{"pid": "42"}"#, "[]", &"[".repeat(10_000)] {
        let told = status(&message(&[(1, &annotations), (2, &label("info", odd))]), true).unwrap();
        assert_eq!(told, Status::default(), "{odd}");
    }
    let of_container = message(&[(8, &message(&[(1, b"nginx:1")]))]);
    assert_eq!(status(&message(&[(1, &of_container)]), false).unwrap().image, "nginx:1");
}

#[test]
fn a_list_of_nothing_at_all_ends() {
    let many = b"\x0a\x00".repeat(ITEMS_MAX);
    assert_eq!(sandboxes(&many).unwrap().len(), ITEMS_MAX);
    assert_eq!(containers(&b"\x0a\x00".repeat(ITEMS_MAX + 1)), Err(Failure::TooLong));
    assert_eq!(sandboxes(b"\x0a\x05ab"), Err(MALFORMED));
    assert_eq!(containers(b"\x0a\x03\x22\x05a"), Err(MALFORMED));
}

proptest! {
    #[test]
    fn nothing_that_is_answered_does_harm(message: Vec<u8>) {
        let _ = (sandboxes(&message).map(|all| all.iter().map(|one| one.labels().count()).sum::<usize>()), version(&message));
        let _ = (containers(&message).map(|all| all.iter().map(|one| one.labels().count()).sum::<usize>()), status(&message, false));
    }
}
