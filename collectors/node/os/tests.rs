use super::*;
use crate::kit::testing::Tree;
use proptest::prelude::*;

const FEDORA: &str = "NAME=\"Fedora Linux\"\nVERSION=\"42 (Server Edition)\"\nID=fedora\nVERSION_ID=42\n\
                      VERSION_CODENAME=\"\"\nPRETTY_NAME='Fedora Linux 42'\n# a comment\nSUPPORT_END=2026-05-13\n\
                      VARIANT=Server Edition\nVARIANT_ID=server\nHOME_URL=\"https://fedoraproject.org/\"";
const PAGE: &str = "node_os_info{id=\"fedora\",name=\"Fedora Linux\",pretty_name=\"Fedora Linux 42\",\
                    variant=\"Server Edition\",variant_id=\"server\",version=\"42 (Server Edition)\",version_id=\"42\"} 1\n\
                    node_os_support_end_timestamp_seconds 1778630400\nnode_os_version{id=\"fedora\",name=\"Fedora Linux\"} 42\n";

#[test]
fn the_distribution_and_the_end_of_its_support() {
    Tree::new(&[("rootfs/etc/os-release", FEDORA)]).check(&SPEC, &[], PAGE);
    Tree::new(&[("rootfs/usr/lib/os-release", FEDORA)]).check(&SPEC, &[], PAGE);
    let link = ("rootfs/etc/os-release", "-> /usr/lib/os-release");
    Tree::new(&[link, ("rootfs/usr/lib/os-release", FEDORA)]).check(&SPEC, &[], PAGE);
    Tree::new(&[]).check(&SPEC, &[], "absent\n");
}

#[test]
fn an_upgrade_is_noticed_after_a_while() {
    let tree = Tree::new(&[("rootfs/etc/os-release", "ID=arch\nBUILD_ID=rolling\n")]);
    let page = "node_os_info{build_id=\"rolling\",id=\"arch\"} 1\n";
    let mut opened = tree.open(&SPEC, &[]);
    assert_eq!(opened.round(), page);
    tree.write("rootfs/etc/os-release", FEDORA);
    assert_eq!(opened.round(), page);
    opened.advance(PACE);
    assert_eq!(opened.round(), PAGE);
    tree.remove("rootfs/etc/os-release");
    opened.advance(PACE);
    assert_eq!(opened.round(), "! absent\n");
}

#[test]
fn what_does_not_read_costs_only_itself() {
    let text = "ID=a\nNAME=\"open\nno assignment\n=x\nSUPPORT_END=soon\nVERSION_ID=rawhide\n";
    let page = "node_os_info{id=\"a\",version_id=\"rawhide\"} 1\n! malformed\n";
    Tree::new(&[("rootfs/etc/os-release", text)]).check(&SPEC, &[], page);
}

#[test]
fn versions_are_the_first_two_numbers() {
    let is = |id: &str| version(id).and_then(Value::as_f64);
    assert_eq!((is("24.04.2"), is("12"), is("9."), is("3.20_alpha")), (Some(24.04), Some(12.0), Some(9.0), Some(3.2)));
    assert_eq!((is(""), is("rolling"), is("0.0"), is(".5"), is("v3")), (None, None, None, None, None));
}

#[test]
fn days_begin_at_midnight() {
    let at = |date: &str| midnight(date.as_bytes());
    assert_eq!(
        (at("1970-01-01"), at("2000-02-29"), at("2024-12-31")),
        (Some(0), Some(951_782_400), Some(1_735_603_200))
    );
    assert_eq!(at("1969-12-31"), Some(-86_400));
    for bad in ["", "2026-5-13", "2026-13-01", "2026-00-01", "2026-02-29", "2100-02-29", "2026-01-00", "2026-01-01 "] {
        assert_eq!(at(bad), None, "{bad}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, text: String) {
        release(vec![(text.clone(), text.clone())]);
        midnight(&bytes);
        version(&text);
    }
}
