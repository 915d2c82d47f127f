//! Entries as they are stored and sent: a field of a stream frame, with tag and length before it.

use bytes::BufMut as _;
use bytes::Bytes;
use prost::Message as _;
use prost::encoding::WireType;
use prost::encoding::encode_key;
use prost::encoding::encode_varint;
use prost::encoding::encoded_len_varint;
use prost::encoding::key_len;

use crate::model::time::Timestamp;
use crate::wire::envelope;
use crate::wire::pb;
use crate::wire::time::timestamp_to_wire;

/// The tag of `entries` in `SubscribeResponse`, `ListRecordsResponse` and `ValueMatches`' own field apart.
const ENTRIES_TAG: u8 = 0x0a;
/// The number of `envelope` in `Entry`.
const ENVELOPE: u32 = 4;

/// Encodes an entry with tag and length before it, so that it is a field of a stream frame.
pub fn frame(entry: &pb::Entry) -> Vec<u8> {
    let length = entry.encoded_len();
    let mut framed = Vec::with_capacity(length + 6);
    framed.put_u8(ENTRIES_TAG);
    encode_varint(wide(length), &mut framed);
    entry.encode_raw(&mut framed);
    framed
}

/// The same of an entry that holds an envelope, which need not be copied for it.
pub fn frame_of(
    epoch: u32,
    sequence: u64,
    accept_time: Timestamp,
    envelope: &pb::Envelope,
) -> Vec<u8> {
    let accept_time = Some(timestamp_to_wire(accept_time));
    // What follows the envelope by its number is not there.
    let before = pb::Entry { epoch, sequence, accept_time, ..pb::Entry::default() };
    let envelope_bytes = envelope.encoded_len();
    let length = before.encoded_len()
        + key_len(ENVELOPE)
        + encoded_len_varint(wide(envelope_bytes))
        + envelope_bytes;
    let mut framed = Vec::with_capacity(length + 6);
    framed.put_u8(ENTRIES_TAG);
    encode_varint(wide(length), &mut framed);
    before.encode_raw(&mut framed);
    encode_key(ENVELOPE, WireType::LengthDelimited, &mut framed);
    encode_varint(wide(envelope_bytes), &mut framed);
    envelope::put(envelope, &mut framed);
    framed
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Decodes what [`frame`] made; `None` if it is damaged.
pub fn decode(mut framed: Bytes) -> Option<pb::Entry> {
    if framed.is_empty() || framed.split_to(1).first() != Some(&ENTRIES_TAG) {
        return None;
    }
    pb::Entry::decode_length_delimited(framed).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_is_framed_as_the_entry_that_holds_it() {
        let signature = pb::Signature { keyid: "ab".repeat(32), sig: vec![7; 64].into() };
        for (epoch, sequence, micros, body) in
            [(0, 0, 0, 0), (1, 127, 1_000_000, 1), (7, u64::MAX, 1_790_000_000_000_001, 60_000)]
        {
            let envelope = pb::Envelope {
                payload_type: "a type".to_owned(),
                payload: vec![1; 300].into(),
                signatures: vec![signature.clone(), pb::Signature::default(), signature.clone()],
                body: vec![2; body].into(),
            };
            let time = Timestamp::from_micros(micros).unwrap();
            let entry = pb::Entry {
                epoch,
                sequence,
                accept_time: Some(timestamp_to_wire(time)),
                envelope: Some(envelope.clone()),
                ..pb::Entry::default()
            };
            let framed = frame_of(epoch, sequence, time, &envelope);
            assert_eq!(framed, frame(&entry));
            assert_eq!(decode(framed.into()), Some(entry));
        }
        let empty = pb::Envelope::default();
        let entry = pb::Entry {
            accept_time: Some(timestamp_to_wire(Timestamp::default())),
            envelope: Some(empty.clone()),
            ..pb::Entry::default()
        };
        assert_eq!(frame_of(0, 0, Timestamp::default(), &empty), frame(&entry));
    }
}
