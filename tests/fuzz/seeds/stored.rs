//! What lies on the disk.

use super::said::bodies;
use super::said::head;
use crate::targets::world::world;
use prost::Message as _;
use watchfire::store;
use watchfire::wire;
use watchfire::wire::disk;
use watchfire::wire::pb;

pub(super) fn rows() -> Vec<Vec<u8>> {
    let filter = pb::Filter { kinds: vec![1], ..pb::Filter::default() }.encode_to_vec();
    let subscription = disk::Subscription {
        filter: filter.clone(),
        epoch: 1,
        position: 3,
        access: 3,
        update_time_us: 9,
    };
    let delivery = disk::Delivery {
        member: "acme-video".to_owned(),
        filter,
        positions: vec![3],
        times_us: vec![9],
        passed: vec![disk::Passed { start: 0, end: 3, access: 3, since_us: 9 }],
        ..disk::Delivery::default()
    };
    let own = disk::Head {
        size: 3,
        accept_time_us: 9,
        epoch: 1,
        frontier: vec![vec![1; 32], vec![2; 32]],
        roster: vec![3; 32],
        checkpoint: world().note.clone(),
        bytes: 700,
    };
    let [_operator, key, _birch] = &world().keys;
    let cosignature = disk::Cosignature {
        note: world().note.clone(),
        key: key.id().as_bytes().to_vec(),
        time: 9,
    };
    let kept = disk::PublisherHead {
        statement: wire::head::head_bytes(&head()),
        signature: vec![1; 64],
        counted: true,
    };
    vec![
        subscription.encode_to_vec(),
        delivery.encode_to_vec(),
        own.encode_to_vec(),
        cosignature.encode_to_vec(),
        kept.encode_to_vec(),
        disk::MisbehaviorReport { time_us: 9, length: 7 }.encode_to_vec(),
        block(),
        store::fuzzing::run_filter_of(&(0..40).map(|value| value << 40).collect::<Vec<_>>()),
        store::fuzzing::head_key(&head().name),
        [&[0x30, 10], "acme-video".as_bytes(), b"feed"].concat(),
        vec![0; 17],
        scope(),
    ]
}

pub(super) fn scope() -> Vec<u8> {
    disk::Scope {
        publisher: "acme-video".to_owned(),
        body_kind: 2,
        audiences: vec!["companies".to_owned()],
        recipients: Vec::new(),
        shapes: vec![disk::Shape {
            observable_kind: 1,
            platform: "x".to_owned(),
            operation: String::new(),
            revision: 1,
        }],
        publisher_is_reached: false,
    }
    .encode_to_vec()
}

/// The payload of a block of one entry.
pub(super) fn block() -> Vec<u8> {
    let (kind, body) = bodies().into_iter().next().expect("a body");
    let framed = wire::entry::frame_of(1, 7, world().now, &world().envelope(1, kind, body));
    let scope = scope();
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).expect("short").to_be_bytes();
    let mut payload = vec![2, 1, 0, 0, 0, 0, 1];
    payload.extend(length(&scope));
    payload.extend(&scope);
    payload.extend(u32::from(u16::from_be_bytes(length(&framed))).to_be_bytes());
    payload.extend([0, 0, 0, 0, 1]);
    payload.extend([7; 16]);
    payload.push(0);
    payload.extend(framed);
    payload
}

pub(super) fn backups() -> Vec<Vec<u8>> {
    let row = store::fuzzing::seal(&block());
    let mut content = 0_u64.to_be_bytes().to_vec();
    content.extend([0, 0]);
    content.extend(u32::try_from(row.len()).expect("short").to_be_bytes());
    content.extend(&row);
    let frame = |kind: u8, content: &[u8]| {
        let length = u16::try_from(content.len()).expect("short").to_be_bytes();
        [&[kind], length.as_slice(), content].concat()
    };
    let state = [&[0, 3], b"key".as_slice(), b"value"].concat();
    vec![
        frame(2, &content),
        [frame(2, &content), frame(3, &state)].concat(),
        b"watchfire-backup 1\n".to_vec(),
    ]
}
