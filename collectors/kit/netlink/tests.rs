use super::super::testing::Tree;
use super::super::{Child, Clock, Machine, Roots};
use super::*;
use proptest::prelude::*;

const GETLINK: u16 = 18;

fn links() -> Request<'static> {
    Request::dump(Protocol::Route, "links", GETLINK, &[0; 16])
}

fn names(host: &mut Host) -> Result<Vec<String>, Error> {
    host.netlink(&links(), |names: &mut Vec<String>, message| {
        names.extend(message.attributes(16).filter(|(kind, _)| *kind == 3).map(|(_, name)| text(name)));
    })
}

fn live() -> Host {
    Host::new(Machine::new(Roots::default(), Clock::Real, None, Child::none()))
}

#[test]
fn the_kernel_tells_its_interfaces() {
    let mut host = live();
    for _ in 0..2 {
        assert!(names(&mut host).unwrap().contains(&"lo".to_owned()));
    }
    assert_eq!(host.machine().handles(), 1, "the socket is kept");
    assert_eq!(host.interface(1).as_deref(), Some("lo"));
    assert_eq!(host.interface(u32::MAX >> 1), None);
}

#[test]
fn a_request_that_is_refused_costs_only_itself() {
    let mut host = live();
    let wrong = Request::one(Protocol::Route, "link", GETLINK, &[0; 16]);
    let error = host.netlink(&wrong, |(): &mut (), _| ()).unwrap_err();
    assert!(matches!(&error, Error::Io { errno: Errno::INVAL, .. }), "{error}");
    assert!(names(&mut host).is_ok());
}

#[test]
fn a_family_that_is_not_there_is_absent() {
    const GETFAMILY: [u8; 4] = [3, 1, 0, 0];
    let mut body = GETFAMILY.to_vec();
    push_attribute(&mut body, 2, b"no-such\0");
    let request = Request::one(Protocol::Generic, "family", 0x10, &body);
    assert!(live().netlink(&request, |(): &mut (), _| ()).unwrap_err().is_absent());
}

#[test]
fn answers_are_recorded_as_text() {
    let text = "
# two interfaces
message 16
  u8 0  pad 1  u16 772  i32 1  pad 8
  3: text lo
message 16
  pad 16
  3: text a b
  18:
    1: text veth
";
    let tree = Tree::new(&[("calls/netlink/links", text), ("calls/interfaces", "1 lo\n7 a b\n")]);
    let mut host = tree.host();
    assert_eq!(names(&mut host).unwrap(), ["lo", "a b"]);
    assert_eq!((host.interface(7).as_deref(), host.interface(2)), (Some("a b"), None));
    assert!(names(&mut Tree::new(&[]).host()).unwrap_err().is_absent());
    let denied = Tree::new(&[("calls/netlink/links", "error EPERM\n")]);
    assert_eq!(names(&mut denied.host()).unwrap_err().reason(), "denied");
}

#[test]
fn text_becomes_what_the_kernel_would_send() {
    let bytes =
        script("message 0x10\n hex 01:02:03:04\n 1: u8 5\n 2:\n  3: u16 6\n  4: i32 -1\n 5: ip 192.0.2.1\n").unwrap();
    let header: &[u8] = &[56, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4];
    let one: &[u8] = &[5, 0, 1, 0, 5, 0, 0, 0];
    let two: &[u8] = &[20, 0, 2, 0, 6, 0, 3, 0, 6, 0, 0, 0, 8, 0, 4, 0, 255, 255, 255, 255];
    let five: &[u8] = &[8, 0, 5, 0, 192, 0, 2, 1];
    assert_eq!(bytes, [header, one, two, five].concat());
    for bad in ["u8 1", "1: u8 1", "message x", "message 1\n u8", "message 1\n u8 256", "message 1\n hex 1", "error EX"]
    {
        assert!(script(bad).is_err(), "{bad}");
    }
}

#[test]
fn answers_that_are_not_of_one_piece_are_asked_for_anew() {
    let mut bytes = script("message 16\n pad 16\n 3: text lo\n").unwrap();
    let mut ending = Ending::Whole;
    let mut count = 0;
    assert_eq!(socket::take_in(&bytes, 0, &mut ending, &mut |_| count += 1), Ok(false));
    assert_eq!((ending, count), (Ending::Whole, 1));
    bytes[6] = 0x12;
    assert_eq!(socket::take_in(&bytes, 0, &mut ending, &mut |_| count += 1), Ok(false));
    assert_eq!((ending, count), (Ending::Pieces, 2));
    assert_eq!(socket::take_in(&bytes, 1, &mut ending, &mut |_| count += 1), Ok(false), "an answer to somebody else");
    assert_eq!(socket::take_in(&bytes[..20], 0, &mut ending, &mut |_| count += 1), Err(Errno::BADMSG));
    assert_eq!(socket::take_in(&script("message 4\n").unwrap(), 0, &mut ending, &mut |_| ()), Err(Errno::NOBUFS));
    assert_eq!(socket::take_in(&script("message 3\n i32 0\n").unwrap(), 0, &mut ending, &mut |_| ()), Ok(true));
    assert_eq!(count, 2);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, at in 0usize..100) {
        let mut ending = Ending::Whole;
        let _ = socket::take_in(&bytes, 0, &mut ending, &mut |message| {
            message.attributes(at).for_each(|(_, value)| attributes(value).for_each(|(_, value)| drop(text(value))));
        });
        attributes(&bytes).for_each(drop);
        let _ = (u16_at(&bytes, at), u32_at(&bytes, at), u64_at(&bytes, at));
    }

    #[test]
    fn no_lengths_make_it_loop(length in 0u16..40, kind: u16, rest: [u8; 24]) {
        let bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &rest].concat();
        prop_assert!(attributes(&bytes).count() <= 7);
    }

    #[test]
    fn no_script_makes_it_panic(text: String, lines in proptest::collection::vec("( {0,3})(message|[0-9]{1,5}:|u8|hex|pad|text|ip)( [0-9a-f]{0,4}){0,3}", 0..8)) {
        let _ = script(&text);
        let _ = script(&lines.join("\n"));
    }

    #[test]
    fn what_is_pushed_comes_back(pairs in proptest::collection::vec((0u16..0x4000, proptest::collection::vec(any::<u8>(), 0..40)), 0..8)) {
        let mut bytes = Vec::new();
        pairs.iter().for_each(|(kind, value)| push_attribute(&mut bytes, *kind, value));
        let back: Vec<_> = attributes(&bytes).map(|(kind, value)| (kind, value.to_vec())).collect();
        prop_assert_eq!(back, pairs);
    }
}
