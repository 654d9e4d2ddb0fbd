use super::play::{Manner, Node, field};
use super::*;

/// Asks a runtime of this manner for these: what came of it, and how long it took.
async fn asked(node: Node, wanted: &[(Runtime, String)]) -> (Result<bool, Failure>, Arc<Machine>, Duration) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.sock");
    let server = play::cri(&path, node);
    let machine = machine();
    wanted.iter().for_each(|(runtime, id)| drop(named(&machine, *runtime, id)));
    let begun = Instant::now();
    let asked = source(Api::Cri, &path).ask(&machine).await;
    server.abort();
    (asked, machine, begun.elapsed())
}

fn all(runtime: Runtime) -> [(Runtime, String); 3] {
    ['a', 'b', 'c'].map(|digit| (runtime, id(digit)))
}

#[tokio::test]
async fn pods_and_containers_get_their_names() {
    let node = Node::default();
    let (asked, machine, _) = asked(node.clone(), &all(Runtime::Containerd)).await;
    assert_eq!(asked, Ok(false));
    assert_eq!(machine.names.wanted(), []);
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let sandbox = Named {
        name: id('a'),
        image: "pause:3.9".to_owned(),
        namespace: "shop".to_owned(),
        pod: "web-0".to_owned(),
        pod_uid: "0a1b-2c".to_owned(),
        is_sandbox: true,
        attempt: Some(1),
        pid: Some(4242),
        labels: vec![label("app", "web")],
        ..Named::default()
    };
    assert_eq!(named(&machine, Runtime::Containerd, &id('a')), Some(sandbox.clone()));
    let nginx = Named {
        name: id('b'),
        image: "nginx:1.27".to_owned(),
        container: "nginx".to_owned(),
        is_sandbox: false,
        attempt: Some(3),
        pid: None,
        labels: vec![label("io.kubernetes.pod.name", "web-0"), label("io.kubernetes.pod.uid", "0a1b-2c")],
        ..sandbox
    };
    assert_eq!(named(&machine, Runtime::Containerd, &id('b')), Some(nginx));
    assert_eq!(named(&machine, Runtime::Containerd, &id('c')).unwrap().image, "envoy:2");
    assert_eq!(node.calls(), ["ListPodSandbox", "ListContainers", "PodSandboxStatus", "ContainerStatus"]);
}

#[tokio::test]
async fn cri_o_makes_names_of_what_they_belong_to() {
    let (_, machine, _) = asked(Node::default(), &all(Runtime::Crio)).await;
    let name = |digit| named(&machine, Runtime::Crio, &id(digit)).unwrap().name;
    assert_eq!(name('a'), "k8s_POD_web-0_shop_0a1b-2c_1");
    assert_eq!(name('b'), "k8s_nginx_web-0_shop_0a1b-2c_3");
}

#[tokio::test]
async fn whom_it_does_not_know_stays_wanted() {
    let (asked, machine, _) = asked(Node::default(), &[(Runtime::Unknown, id('f'))]).await;
    assert_eq!((asked, machine.names.wanted()), (Ok(false), vec![(Runtime::Unknown, id('f'))]));
}

#[tokio::test]
async fn a_pod_that_is_gone_meanwhile_costs_only_itself() {
    let manner = Manner::Refuses("5", "not%20found");
    let node = Node { only: Some("PodSandboxStatus"), ..Node::of(manner) };
    let (asked, machine, _) = asked(node, &all(Runtime::Containerd)).await;
    assert_eq!((asked, machine.names.wanted()), (Ok(false), vec![]));
    assert_eq!(named(&machine, Runtime::Containerd, &id('a')).unwrap().pid, None);
}

#[tokio::test]
async fn one_that_hangs_or_dawdles_is_left_in_time() {
    for manner in [Manner::Hangs, Manner::Slow] {
        let (asked, _, took) = asked(Node::of(manner), &all(Runtime::Containerd)).await;
        assert_eq!(asked, Err(Failure::Late));
        assert!(took >= PATIENCE && took < PATIENCE * 2, "{took:?}");
    }
}

#[tokio::test]
async fn what_was_told_before_it_failed_counts() {
    let node = Node { only: Some("ContainerStatus"), ..Node::of(Manner::Closes) };
    let (asked, machine, _) = asked(node, &all(Runtime::Containerd)).await;
    assert!(matches!(asked, Err(Failure::Closed(_))), "{asked:?}");
    assert_eq!(machine.names.wanted(), [(Runtime::Containerd, id('c'))]);
}

#[tokio::test]
async fn what_is_no_answer_is_refused() {
    let framed = |prefix: &[u8], bytes: &[u8]| [prefix, bytes].concat();
    let one = field(1, &field(1, b"x"));
    let malformed = |what| Err(Failure::Malformed(what));
    for (manner, expected) in [
        (Manner::Says(vec![], "0"), malformed("one message")),
        (Manner::Says(framed(b"\0\0\0", b""), "0"), malformed("one message")),
        (Manner::Says(framed(b"\x01\0\0\0\x05", &one), "0"), malformed("one message")),
        (Manner::Says(framed(b"\0\0\0\0\x06", &one), "0"), malformed("one message")),
        (Manner::Says(framed(b"\0\xff\xff\xff\xff", &one), "0"), malformed("one message")),
        (Manner::Says(framed(b"\0\0\0\0\x03", b"\x0a\x05x"), "0"), malformed("a message of CRI")),
        (Manner::Says(framed(b"\0\0\0\0\0", b""), "13"), Err(Failure::Unable(" (status 13)".to_owned()))),
        (Manner::Huge, Err(Failure::TooLong)),
    ] {
        let name = format!("{manner:.40?}");
        let (asked, machine, _) = asked(Node::of(manner), &all(Runtime::Containerd)).await;
        assert_eq!(asked, expected, "{name}");
        assert_eq!(machine.names.wanted().len(), 3);
    }
}

#[tokio::test]
async fn one_that_does_not_speak_cri_says_so() {
    let manner = Manner::Refuses("12", "unknown%20service");
    let (asked, ..) = asked(Node::of(manner), &all(Runtime::Containerd)).await;
    assert!(asked.unwrap_err().to_string().starts_with("refused: unknown service; it does not speak CRI v1: "));
}

#[tokio::test]
async fn what_is_no_http_2_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.sock");
    let server = play::talk(&path, b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let machine = machine();
    named(&machine, Runtime::Containerd, &id('a'));
    let asked = source(Api::Cri, &path).ask(&machine).await;
    assert!(matches!(asked, Err(Failure::Malformed("HTTP/2") | Failure::Closed(_))), "{asked:?}");
    server.abort();
}
