use super::play::chunked;
use super::*;
use collectors::kit::cgroup::Health;

async fn asked(
    answer: fn(&str) -> Vec<u8>,
    wanted: &[(Runtime, String)],
) -> (Result<bool, Failure>, Arc<Machine>, Arc<Source>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.sock");
    let server = play::docker(&path, answer);
    let (machine, source) = (machine(), source(Api::Docker, &path));
    wanted.iter().for_each(|(runtime, id)| drop(named(&machine, *runtime, id)));
    let asked = source.ask(&machine).await;
    server.abort();
    (asked, machine, source)
}

fn list() -> String {
    let (web, pod) = (id('a'), id('b'));
    format!(
        r#"[{{"Id": "{web}", "Names": ["/web"], "Image": "nginx:1", "Labels": {{"team": "shop"}}, "Status": "Up 1 hour (healthy)"}},
        {{"Id": "{pod}", "Names": ["/k8s_POD_web-0_shop_0a_0"], "Image": "pause:3", "Status": "Up 1 hour", "Labels": {{
        "io.kubernetes.pod.name": "web-0", "io.kubernetes.pod.namespace": "shop", "io.kubernetes.pod.uid": "0a",
        "io.kubernetes.container.name": "POD", "io.kubernetes.docker.type": "podsandbox"}}}}]"#
    )
}

fn well(path: &str) -> Vec<u8> {
    match path {
        "/containers/json" => chunked(&list()),
        path if path == format!("/containers/{}/json", id('a')) => {
            chunked(r#"{"Id": "x", "RestartCount": 4, "State": {"Pid": 77, "Running": true}, "Mounts": []}"#)
        }
        _ => b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}".to_vec(),
    }
}

#[tokio::test]
async fn containers_get_their_names_and_each_new_one_is_looked_at_once() {
    let wanted = [(Runtime::Docker, id('a')), (Runtime::Docker, id('b'))];
    let (asked, machine, source) = asked(well, &wanted).await;
    assert_eq!((asked, machine.names.wanted()), (Ok(true), vec![]));
    assert_eq!(source.requests.load(Relaxed), 3);
    let web = Named {
        name: "web".to_owned(),
        image: "nginx:1".to_owned(),
        attempt: Some(4),
        pid: Some(77),
        labels: vec![("team".to_owned(), "shop".to_owned())],
        ..Named::default()
    };
    assert_eq!(named(&machine, Runtime::Docker, &id('a')), Some(web));
    // Gone before it was looked at: what the list said stays.
    let pod = named(&machine, Runtime::Docker, &id('b')).unwrap();
    assert_eq!((pod.pod.as_str(), pod.namespace.as_str(), pod.container.as_str()), ("web-0", "shop", "POD"));
    assert!(pod.is_sandbox && pod.pid.is_none());
    assert_eq!(machine.healths.of(&id('a')), Some(Health::Healthy));
    assert_eq!(machine.healths.of(&id('b')), Some(Health::NotProbed));
}

#[tokio::test]
async fn podman_is_left_to_sleep_where_nothing_is_probed() {
    let answer = |_: &str| {
        b"HTTP/1.1 200 OK\r\nServer: Libpod/4.3.1 (linux)\r\nContent-Length: 30\r\n\r\n[{\"Id\":\"a\",\"Status\":\"Up 1 s\"}]".to_vec()
    };
    assert_eq!(asked(answer, &[]).await.0, Ok(false));
}

#[tokio::test]
async fn what_is_no_answer_is_refused() {
    let list = Failure::Malformed("a list of containers in JSON");
    type Case = (fn(&str) -> Vec<u8>, Failure);
    let cases: [Case; 7] = [
        (|_| Vec::new(), Failure::Late),
        (|_| chunked("nonsense, not JSON"), list.clone()),
        (|_| chunked(&"[".repeat(1 << 20)), list),
        (|_| chunked(&" ".repeat(5 << 20)), Failure::TooLong),
        (|_| b"220 ready\r\n".to_vec(), Failure::Malformed("HTTP")),
        (
            |_| b"HTTP/1.1 500 No\r\nContent-Length: 6\r\n\r\nbroken".to_vec(),
            Failure::Unable("HTTP status 500: broken".to_owned()),
        ),
        (
            |_| b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
            Failure::Unable("HTTP status 404: ".to_owned()),
        ),
    ];
    for (answer, expected) in cases {
        let (asked, machine, _) = asked(answer, &[(Runtime::Docker, id('a'))]).await;
        assert_eq!(asked, Err(expected));
        assert_eq!(machine.names.wanted().len(), 1);
    }
    let cut = |_: &str| b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 100\r\n\r\n[".to_vec();
    assert!(matches!(asked(cut, &[]).await.0, Err(Failure::Closed(_))));
}

/// Older servers say how long an answer is by closing.
#[tokio::test]
async fn an_answer_that_ends_with_the_connection_is_whole() {
    let answer = |_: &str| b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[]".to_vec();
    assert_eq!(asked(answer, &[]).await.0, Ok(true));
}

#[tokio::test]
async fn labels_and_names_are_kept_up_to_a_bound() {
    let answer = |path: &str| match path {
        "/containers/json" => {
            let labels: Vec<String> = (0..100).map(|n| format!(r#""label{n}": "{}""#, "v".repeat(100))).collect();
            let (id, long, labels) = (id('a'), "ö".repeat(4096), labels.join(","));
            chunked(&format!(r#"[{{"Id": "{id}", "Names": ["/x"], "Image": "{long}", "Labels": {{{labels}}}}}]"#))
        }
        _ => chunked("{}"),
    };
    let (_, machine, _) = asked(answer, &[(Runtime::Docker, id('a'))]).await;
    let named = named(&machine, Runtime::Docker, &id('a')).unwrap();
    assert_eq!((named.labels.len(), named.image.len()), (32, 512));
}
