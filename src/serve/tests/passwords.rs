use super::secure::{Source, gated, hash, hash_of_cost};
use super::site::{Reply, Site, read, request};
use crate::serve::web::{Hash, Rate, Web};
use crate::serve::{Gate, Limits};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

fn with_users(users: &[(&str, Hash)]) -> Web {
    let users = users.iter().map(|(name, hash)| ((*name).to_owned(), hash.clone())).collect();
    Web { users, ..Web::default() }
}

fn guarded(web: Web) -> (Site, Source, Arc<Gate>) {
    let source = Source::new(web);
    let (site, gate) = gated(&source, Limits::default());
    (site, source, gate)
}

fn login(user: &str, password: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{user}:{password}")))
}

fn get(site: &Site, user: &str, password: &str) -> Reply {
    site.get_with("/metrics", &login(user, password))
}

#[test]
fn only_who_knows_a_password_is_answered() {
    let (site, ..) = guarded(with_users(&[("alice", hash("secret")), ("bob", hash("b:b"))]));
    for _ in 0..2 {
        assert_eq!(get(&site, "alice", "secret").text(), "small 1\n");
        assert_eq!(get(&site, "bob", "b:b").status, 200);
        for (user, password) in
            [("alice", "wrong"), ("alice", ""), ("", ""), ("mallory", "secret"), ("alices", "ecret"), ("bob", "secret")]
        {
            assert_eq!(get(&site, user, password).status, 401, "{user} {password}");
        }
    }
    for path in ["/", "/metrics", "/-/healthy", "/-/ready", "/nowhere"] {
        let reply = site.get(path);
        assert_eq!((reply.status, reply.header("www-authenticate")), (401, "Basic"), "{path}");
    }
    assert_eq!(site.figures().unauthorized, 2 * 6 + 5);
    assert_eq!(site.figures().requests, [4, 0, 0, 0, 0], "the others asked for no page");
}

/// Its file is on a filesystem that hangs: whoever looks gets no further.
#[test]
fn a_configuration_that_hangs_holds_up_nobody_else() {
    let (site, source, _) = guarded(Web::default());
    let settle = || {
        // A file that was just written is read once more.
        thread::sleep(Duration::from_millis(100));
        assert_eq!(site.get("/metrics").status, 200);
    };
    settle();
    source.say(Ok(Web::default()));
    let (hangs, reads) = (source.web.lock().unwrap(), source.reads.load(SeqCst));
    let mut first = site.send(&request("/metrics", ""));
    site.until("somebody looks", |_| source.reads.load(SeqCst) > reads);
    for _ in 0..3 {
        assert_eq!(site.get("/metrics").text(), "small 1\n");
    }
    drop(hangs);
    assert_eq!(read(&mut first).text(), "small 1\n");
    // And the same on a connection that is open.
    settle();
    source.say(Ok(Web::default()));
    let (hangs, reads) = (source.web.lock().unwrap(), source.reads.load(SeqCst));
    first.write_all(request("/metrics", "").as_bytes()).unwrap();
    site.until("somebody looks", |_| source.reads.load(SeqCst) > reads);
    assert_eq!(site.get("/metrics").text(), "small 1\n");
    let limit = Limits::default().stop;
    assert!(site.stop() < limit + Duration::from_secs(2), "stopping waits for nobody who hangs");
    drop(hangs);
}

#[test]
fn a_long_password_counts_as_far_as_bcrypt_sees() {
    let long = "p".repeat(72);
    let digest = bcrypt::bcrypt(4, [7; 16], long.as_bytes());
    let hash = Hash { cost: 4, salt: [7; 16], digest: digest[..23].try_into().unwrap() };
    let (site, ..) = guarded(with_users(&[("alice", hash)]));
    assert_eq!(get(&site, "alice", &long).status, 200);
    assert_eq!(get(&site, "alice", &format!("{long}more")).status, 200);
    assert_eq!(get(&site, "alice", &long[1..]).status, 401);
}

#[test]
fn a_changed_password_counts_at_once_on_open_connections() {
    let (site, source, gate) = guarded(with_users(&[("alice", hash("old"))]));
    let mut client = site.connect();
    let mut ask = |password: &str| {
        client.write_all(request("/metrics", &login("alice", password)).as_bytes()).unwrap();
        read(&mut client).status
    };
    assert_eq!((ask("old"), ask("new")), (200, 401));
    source.say(Ok(with_users(&[("alice", hash("new"))])));
    assert_eq!((ask("old"), ask("new")), (401, 200));
    source.say(Err("broken".to_owned()));
    assert_eq!((ask("old"), ask("new")), (401, 200));
    assert!(!gate.is_successful());
    source.say(Ok(Web::default()));
    assert_eq!((ask("old"), ask("new")), (401, 200), "an empty file opens nothing");
    source.say(Ok(with_users(&[("bob", hash("new"))])));
    assert_eq!((ask("new"), gate.is_successful()), (401, true));
}

#[test]
fn a_user_that_there_is_not_takes_as_long() {
    let (site, ..) = guarded(with_users(&[("alice", hash_of_cost("secret", 10))]));
    let quickest = |user: &str| {
        let took = (0..5).map(|at| {
            let begun = Instant::now();
            assert_eq!(get(&site, user, &at.to_string()).status, 401);
            begun.elapsed()
        });
        took.min().unwrap()
    };
    let (known, unknown) = (quickest("alice"), quickest("mallory"));
    let known_again = quickest("alice");
    // A busy machine adds to each of them; what is not hashed takes no time at all.
    assert!(unknown * 4 > known && unknown < known * 4, "{known:?} {unknown:?}");
    assert!(known_again * 4 < known, "what was wrong is remembered: {known:?} {known_again:?}");
}

#[test]
fn guessing_delays_no_one_who_knows() {
    let (site, ..) = guarded(with_users(&[("alice", hash_of_cost("secret", 10))]));
    assert_eq!(get(&site, "alice", "secret").status, 200);
    thread::scope(|scope| {
        let guesses: Vec<_> = (0..60)
            .map(|at| {
                let site = &site;
                scope.spawn(move || get(site, if at % 2 == 0 { "alice" } else { "nobody" }, &at.to_string()).status)
            })
            .collect();
        let (begun, mut pages) = (Instant::now(), 0);
        while begun.elapsed() < Duration::from_millis(500) {
            assert_eq!(get(&site, "alice", "secret").status, 200);
            pages += 1;
        }
        assert!(pages >= 5, "{pages} pages in half a second");
        for guess in guesses {
            assert!(matches!(guess.join().unwrap(), 401 | 503));
        }
    });
}

#[test]
fn who_has_gone_is_not_checked() {
    let (site, ..) = guarded(with_users(&[("alice", hash_of_cost("secret", 8))]));
    for at in 0..100 {
        drop(site.send(&request("/metrics", &login("alice", &at.to_string()))));
    }
    site.until("all are gone", |figures| figures.connections == 0);
    let begun = Instant::now();
    // Those who have gone leave the queue when it is their turn, and until then there may be no room in it.
    while get(&site, "alice", "secret").status == 503 && begun.elapsed() < Duration::from_secs(5) {
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(get(&site, "alice", "secret").status, 200);
    // One at a time, all of them would take longer.
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn a_burst_of_requests_and_then_no_more() {
    let rate = Some(Rate { interval: Duration::from_secs(3600), burst: 3 });
    let headers = vec![("X-Frame-Options".to_owned(), "deny".to_owned())];
    let web = Web { rate, headers: headers.clone(), ..with_users(&[("alice", hash("secret"))]) };
    let (site, source, _) = guarded(web.clone());
    let ask = || {
        let reply = site.get("/metrics");
        assert_eq!(reply.header("x-frame-options"), "deny", "on every answer");
        reply.status
    };
    assert_eq!([ask(), ask(), ask(), ask(), ask()], [401, 401, 401, 429, 429]);
    source.say(Ok(web.clone()));
    assert_eq!(ask(), 429, "reading the file again fills no bucket");
    source.say(Ok(Web { rate: None, ..web }));
    assert_eq!(ask(), 401);
    assert_eq!((site.figures().rate_limited, site.figures().unauthorized), (3, 4));
}
