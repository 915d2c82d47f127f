//! Messages that are made to cost: nested deep, of many empty parts, with fields twice or unknown (T-P7).

use prost::Message as _;
use watchfire::model::reason::Reason;
use watchfire::wire;
use watchfire::wire::pb;

use crate::engine::resident_kib;
use crate::engine::status_kib;
use crate::targets::world::world;

const EMPTY_PARTS: usize = 131_072;
const GROWTH_KIB_MAX: u64 = 32 * 1024;
const ALONE: &str = "WATCHFIRE_FUZZ_ALONE";

/// A message of one length-delimited field in another, so deep.
fn nested(field: u8, depth: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _level in 0..depth {
        let mut around = vec![field << 3 | 2];
        prost::encoding::encode_varint(u64::try_from(bytes.len()).expect("a length"), &mut around);
        around.append(&mut bytes);
        bytes = around;
    }
    bytes
}

#[test]
fn an_odd_message_is_refused_or_passed_over_as_documented() {
    let header = world().header(
        "acme-video".parse().expect("an id"),
        watchfire::model::header::BodyKind::Note,
        b"x",
    );
    let header = wire::header::header_bytes(&header);
    let refused = |bytes: &[u8]| wire::header::header(bytes).map_err(|refusal| refusal.reason);
    assert!(refused(&header).is_ok());
    for (odd, reason) in [
        ([header.as_slice(), &[0xf8, 1, 1]].concat(), Reason::UnsupportedField),
        ([header.as_slice(), &[0x18, 1]].concat(), Reason::UnsupportedField),
        ([&[0x0a, 2, 0xff, 0xfe], header.as_slice()].concat(), Reason::MalformedEnvelope),
        (nested(1, 150), Reason::MalformedEnvelope),
    ] {
        assert_eq!(refused(&odd), Err(reason), "{}", hex::encode(odd));
    }
    // A group, which nobody nests by hand: as an unknown field of a body, 150 deep and never closed.
    let groups = [[0xfb, 0x3f].repeat(150), [0xfc, 0x3f].repeat(150)].concat();
    assert!(wire::body::body(&groups).is_err(), "nested too deep");
    assert!(
        wire::body::body(&[0xba, 0x3e, 3, b'n', b'e', b'w']).is_ok(),
        "what is unknown is kept"
    );
    assert!(wire::body::body(&[0x12, 4, 0x62, 2, 0xff, 0xfe]).is_err(), "text is UTF-8");
}

#[test]
fn many_empty_parts_cost_little_memory() {
    if std::env::var_os(ALONE).is_none() {
        // In a process of its own: what others take does not count.
        let name = "hostile::many_empty_parts_cost_little_memory";
        let program = std::env::current_exe().expect("this program");
        let status =
            std::process::Command::new(program).args(["--exact", name]).env(ALONE, "1").status();
        assert!(status.expect("it runs").success(), "alone it fails");
        return;
    }
    // Each part is a field with nothing in it.
    let parts = |field: u8| [field << 3 | 2, 0].repeat(EMPTY_PARTS);
    let before = resident_kib();
    let mut refused = 0;
    for field in 1..16 {
        let bytes = parts(field);
        refused += u32::from(wire::header::header(&bytes).is_err());
        let envelope = pb::Envelope::decode(bytes.as_slice()).map(wire::envelope::record);
        refused += u32::from(!matches!(envelope, Ok(Ok(_))));
        refused += u32::from(wire::body::body(&bytes).is_ok_and(|body| body.content.is_none()));
        let filter =
            pb::Filter::decode(bytes.as_slice()).map(|filter| wire::filter::filter(Some(filter)));
        refused += u32::from(!matches!(filter, Ok(Ok(_))));
    }
    assert!(refused >= 30, "{refused}");
    let grown = status_kib("VmHWM:") - before;
    assert!(grown <= GROWTH_KIB_MAX, "{grown} KiB for {EMPTY_PARTS} empty parts");
}
