//! `/proc/net/xfrm_stat`: packets that IPsec could not transform, by reason.
//!
//! Newer kernels have more reasons, for which there are no names yet; they are left out.

use crate::kit::{Error, Host, KeptFile, Options, Root, parse};
use crate::model::{Batch, Family, counter};
use crate::{Collector, Group, Spec};

static IN_ERROR: Family =
    counter("node_xfrm_in_error_packets_total", "Packets in that failed for a reason that no other figure tells.", &[]);
static IN_BUFFER_ERROR: Family =
    counter("node_xfrm_in_buffer_error_packets_total", "Packets in that found no buffer.", &[]);
static IN_HDR_ERROR: Family = counter("node_xfrm_in_hdr_error_packets_total", "Packets in with a bad header.", &[]);
static IN_NO_STATES: Family = counter(
    "node_xfrm_in_no_states_packets_total",
    "Packets in for which there is no state: the SPI, address or protocol is wrong.",
    &[],
);
static IN_STATE_PROTO_ERROR: Family = counter(
    "node_xfrm_in_state_proto_error_packets_total",
    "Packets in that the protocol refused, as with a wrong key.",
    &[],
);
static IN_STATE_MODE_ERROR: Family =
    counter("node_xfrm_in_state_mode_error_packets_total", "Packets in that the mode refused.", &[]);
static IN_STATE_SEQ_ERROR: Family = counter(
    "node_xfrm_in_state_seq_error_packets_total",
    "Packets in whose sequence number is out of the window.",
    &[],
);
static IN_STATE_EXPIRED: Family =
    counter("node_xfrm_in_state_expired_packets_total", "Packets in whose state has expired.", &[]);
static IN_STATE_MISMATCH: Family = counter(
    "node_xfrm_in_state_mismatch_packets_total",
    "Packets in that do not fit their state's options, such as the encapsulation in UDP.",
    &[],
);
static IN_STATE_INVALID: Family =
    counter("node_xfrm_in_state_invalid_packets_total", "Packets in whose state is not valid.", &[]);
static IN_TMPL_MISMATCH: Family =
    counter("node_xfrm_in_tmpl_mismatch_packets_total", "Packets in whose states fit no template of the policy.", &[]);
static IN_NO_POLS: Family =
    counter("node_xfrm_in_no_pols_packets_total", "Packets in with states for which there is no policy.", &[]);
static IN_POL_BLOCK: Family =
    counter("node_xfrm_in_pol_block_packets_total", "Packets in that a policy discards.", &[]);
static IN_POL_ERROR: Family =
    counter("node_xfrm_in_pol_error_packets_total", "Packets in for which the policy failed.", &[]);
static OUT_ERROR: Family = counter(
    "node_xfrm_out_error_packets_total",
    "Packets out that failed for a reason that no other figure tells.",
    &[],
);
static OUT_BUNDLE_GEN_ERROR: Family = counter(
    "node_xfrm_out_bundle_gen_error_packets_total",
    "Packets out for which no bundle of states could be made.",
    &[],
);
static OUT_BUNDLE_CHECK_ERROR: Family =
    counter("node_xfrm_out_bundle_check_error_packets_total", "Packets out whose bundle of states did not hold.", &[]);
static OUT_NO_STATES: Family =
    counter("node_xfrm_out_no_states_packets_total", "Packets out for which there is no state.", &[]);
static OUT_STATE_PROTO_ERROR: Family =
    counter("node_xfrm_out_state_proto_error_packets_total", "Packets out that the protocol refused.", &[]);
static OUT_STATE_MODE_ERROR: Family =
    counter("node_xfrm_out_state_mode_error_packets_total", "Packets out that the mode refused.", &[]);
static OUT_STATE_SEQ_ERROR: Family = counter(
    "node_xfrm_out_state_seq_error_packets_total",
    "Packets out for which the sequence numbers are used up.",
    &[],
);
static OUT_STATE_EXPIRED: Family =
    counter("node_xfrm_out_state_expired_packets_total", "Packets out whose state has expired.", &[]);
static OUT_POL_BLOCK: Family =
    counter("node_xfrm_out_pol_block_packets_total", "Packets out that a policy discards.", &[]);
static OUT_POL_DEAD: Family = counter("node_xfrm_out_pol_dead_packets_total", "Packets out whose policy is dead.", &[]);
static OUT_POL_ERROR: Family =
    counter("node_xfrm_out_pol_error_packets_total", "Packets out for which the policy failed.", &[]);
static FWD_HDR_ERROR: Family =
    counter("node_xfrm_fwd_hdr_error_packets_total", "Packets that may not be forwarded.", &[]);
static OUT_STATE_INVALID: Family = counter(
    "node_xfrm_out_state_invalid_packets_total",
    "Packets out whose state is not valid, perhaps as it has expired.",
    &[],
);
static ACQUIRE_ERROR: Family =
    counter("node_xfrm_acquire_error_packets_total", "Packets whose state was not complete when it was needed.", &[]);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    default: false,
    ..Spec::new(
        Group::Node,
        "xfrm",
        "Packets that IPsec could not transform, from /proc/net/xfrm_stat.",
        &FAMILIES,
        open,
    )
};

static FAMILIES: [&Family; 28] = [
    &IN_ERROR,
    &IN_BUFFER_ERROR,
    &IN_HDR_ERROR,
    &IN_NO_STATES,
    &IN_STATE_PROTO_ERROR,
    &IN_STATE_MODE_ERROR,
    &IN_STATE_SEQ_ERROR,
    &IN_STATE_EXPIRED,
    &IN_STATE_MISMATCH,
    &IN_STATE_INVALID,
    &IN_TMPL_MISMATCH,
    &IN_NO_POLS,
    &IN_POL_BLOCK,
    &IN_POL_ERROR,
    &OUT_ERROR,
    &OUT_BUNDLE_GEN_ERROR,
    &OUT_BUNDLE_CHECK_ERROR,
    &OUT_NO_STATES,
    &OUT_STATE_PROTO_ERROR,
    &OUT_STATE_MODE_ERROR,
    &OUT_STATE_SEQ_ERROR,
    &OUT_STATE_EXPIRED,
    &OUT_POL_BLOCK,
    &OUT_POL_DEAD,
    &OUT_POL_ERROR,
    &FWD_HDR_ERROR,
    &OUT_STATE_INVALID,
    &ACQUIRE_ERROR,
];

/// The kernel's names, in the order of [`FAMILIES`] and mostly of the file.
const NAMES: [&str; FAMILIES.len()] = [
    "XfrmInError",
    "XfrmInBufferError",
    "XfrmInHdrError",
    "XfrmInNoStates",
    "XfrmInStateProtoError",
    "XfrmInStateModeError",
    "XfrmInStateSeqError",
    "XfrmInStateExpired",
    "XfrmInStateMismatch",
    "XfrmInStateInvalid",
    "XfrmInTmplMismatch",
    "XfrmInNoPols",
    "XfrmInPolBlock",
    "XfrmInPolError",
    "XfrmOutError",
    "XfrmOutBundleGenError",
    "XfrmOutBundleCheckError",
    "XfrmOutNoStates",
    "XfrmOutStateProtoError",
    "XfrmOutStateModeError",
    "XfrmOutStateSeqError",
    "XfrmOutStateExpired",
    "XfrmOutPolBlock",
    "XfrmOutPolDead",
    "XfrmOutPolError",
    "XfrmFwdHdrError",
    "XfrmOutStateInvalid",
    "XfrmAcquireError",
];

struct Xfrm(KeptFile);

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let file = KeptFile::new(Root::Net, "xfrm_stat").whole();
    Ok(host.exists(Root::Net, "xfrm_stat").then(|| Box::new(Xfrm(file)) as Box<dyn Collector>))
}

impl Collector for Xfrm {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let text = host.read_kept(&mut self.0)?;
        let machine = out.machine();
        // The kernel gives the file as a whole: a last line without an end was not cut short.
        for (line, number) in text.split(|&byte| byte == b'\n').zip(1..) {
            match figure(line) {
                Some((family, Some(count))) => out.put(family, machine, count),
                Some((_, None)) => out.fault(Error::malformed("/proc/net/xfrm_stat", number, "a name and a count")),
                None => (),
            }
        }
        if out.is_empty() { Err(Error::malformed("/proc/net/xfrm_stat", 0, "names and counts")) } else { Ok(()) }
    }
}

/// `XfrmInNoStates          \t12`: what is counted, and the count; `None` for a name that is not known.
fn figure(line: &[u8]) -> Option<(&'static Family, Option<u64>)> {
    let mut words = parse::words(line);
    let name = words.next()?;
    let at = NAMES.iter().position(|known| known.as_bytes() == name)?;
    Some((FAMILIES.get(at)?, words.next().and_then(parse::number)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    #[test]
    fn every_reason_has_its_name() {
        let text: String = NAMES.iter().zip(1..).map(|(name, n)| format!("{name:<24}\t{n}\n")).collect();
        let said = Tree::new(&[("proc/net/xfrm_stat", &text)]).open(&SPEC, &[]).round();
        assert_eq!(said.lines().count(), NAMES.len());
        assert!(said.contains("node_xfrm_in_error_packets_total 1\nnode_xfrm_in_hdr_error_packets_total 3\n"));
        for (name, family) in NAMES.iter().zip(FAMILIES) {
            let words: String = family.name["node_xfrm_".len()..family.name.len() - "_packets_total".len()]
                .split('_')
                .map(|word| word[..1].to_uppercase() + &word[1..])
                .collect();
            assert_eq!(*name, format!("Xfrm{words}"));
        }
    }

    #[test]
    fn new_names_are_skipped_and_a_bad_line_costs_only_itself() {
        let text = "XfrmInStateDirError 1\nXfrmInError x\nXfrmInHdrError\n\nXfrmInNoPols 3 4\nXfrmOutError 9";
        let tree = Tree::new(&[("proc/net/xfrm_stat", text)]);
        tree.check(
            &SPEC,
            &[],
            "node_xfrm_in_no_pols_packets_total 3\nnode_xfrm_out_error_packets_total 9\n! malformed\n! malformed\n",
        );
        Tree::new(&[("proc/net/xfrm_stat", "")]).check(&SPEC, &[], "! malformed\n");
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            figure(&bytes);
        }
    }
}
