//! How many fields a message has, told before it is taken apart.
//!
//! An empty message within a message is two bytes, and a hundred once it is a value of ours. So the fields are counted
//! first, by what describes the message: bytes that only look like a message are not. Numbers that stand packed in one
//! field count one by one: a byte of them is eight once it is taken apart.

use bytes::Buf as _;
use prost::encoding::DecodeContext;
use prost::encoding::WireType;
use prost::encoding::decode_key;
use prost::encoding::decode_varint;
use prost::encoding::skip_field;
use prost_reflect::Kind;
use prost_reflect::MessageDescriptor;

use crate::wire::json::descriptor;

/// Messages within messages that are looked into; none of ours goes as deep, and no decoder of ours does.
const DEPTH_MAX: u32 = 100;

/// Whether an encoded message has no more fields than that. Bytes that are no such message have as many as were found:
/// what is wrong with them the decoder says.
pub fn has_at_most(name: &str, bytes: &[u8], fields: usize) -> bool {
    let Some(message) = descriptor(name) else { return bytes.len() <= fields };
    let mut left = fields;
    count(&message, bytes, DEPTH_MAX, &mut left).is_some()
}

/// Takes the fields away from what is left; `None` once there is nothing left.
fn count(
    message: &MessageDescriptor,
    mut bytes: &[u8],
    depth: u32,
    left: &mut usize,
) -> Option<()> {
    while bytes.has_remaining() {
        let Ok((number, wire)) = decode_key(&mut bytes) else { return Some(()) };
        *left = left.checked_sub(1)?;
        if wire != WireType::LengthDelimited {
            let skipped = skip_field(wire, number, &mut bytes, DecodeContext::default());
            if skipped.is_err() {
                return Some(());
            }
            continue;
        }
        let length = decode_varint(&mut bytes).ok().and_then(|length| usize::try_from(length).ok());
        let Some((inner, rest)) = length.and_then(|length| bytes.split_at_checked(length)) else {
            return Some(());
        };
        bytes = rest;
        let Some(field) = message.get_field(number) else { continue };
        if let (Kind::Message(inside), Some(depth)) = (field.kind(), depth.checked_sub(1)) {
            count(&inside, inner, depth, left)?;
        } else if field.is_list() {
            // One was counted with the field.
            *left = left.checked_sub(packed(&field.kind(), inner).saturating_sub(1))?;
        }
    }
    Some(())
}

/// How many numbers stand packed in the bytes of a field; one if it holds none that could.
fn packed(kind: &Kind, bytes: &[u8]) -> usize {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => bytes.len().div_ceil(8),
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => bytes.len().div_ceil(4),
        // The last byte of each has no mark that more follow.
        Kind::Bool
        | Kind::Int32
        | Kind::Int64
        | Kind::Uint32
        | Kind::Uint64
        | Kind::Sint32
        | Kind::Sint64
        | Kind::Enum(_) => bytes.iter().filter(|byte| **byte < 0x80).count(),
        Kind::String | Kind::Bytes | Kind::Message(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::wire::pb;

    const PUBLISH: &str = "watchfire.v1.PublishRequest";

    #[track_caller]
    fn check(bytes: &[u8], fields: usize) {
        check_of(PUBLISH, bytes, fields);
    }

    #[track_caller]
    fn check_of(name: &str, bytes: &[u8], fields: usize) {
        assert!(has_at_most(name, bytes, fields), "more than {fields}");
        let fewer = fields.checked_sub(1);
        assert!(fewer.is_none_or(|fewer| !has_at_most(name, bytes, fewer)), "fewer than {fields}");
    }

    #[test]
    fn fields_are_counted_at_every_level() {
        check(&[], 0);
        check(&[0x0a, 0].repeat(1000), 1000);
        let signature = pb::Signature { sig: vec![1].into(), ..pb::Signature::default() };
        let envelope = pb::Envelope { signatures: vec![signature; 9], ..pb::Envelope::default() };
        let request = pb::PublishRequest { envelopes: vec![envelope; 2], known_size: 1 };
        // Two envelopes with nine signatures of one field each, and a number.
        check(&request.encode_to_vec(), 2 * (1 + 9 * 2) + 1);
    }

    #[test]
    fn numbers_that_are_packed_are_counted_one_by_one() {
        let multiproof = "watchfire.v1.GetMultiproofRequest";
        let request = |sequences| pb::GetMultiproofRequest { sequences, known_size: 0 };
        // One byte each, and ten.
        check_of(multiproof, &request(vec![7; 1000]).encode_to_vec(), 1000);
        check_of(multiproof, &request(vec![u64::MAX; 1000]).encode_to_vec(), 1000);
        check_of(multiproof, &request(Vec::new()).encode_to_vec(), 0);
        let filter = pb::Filter { kinds: vec![1; 500], ..pb::Filter::default() };
        check_of("watchfire.v1.Filter", &filter.encode_to_vec(), 500);
        // An empty field of them is a field, and the end of one that is cut off is none.
        check_of(multiproof, &[0x0a, 0], 1);
        check_of(multiproof, &[0x0a, 3, 1, 1, 0x80], 2);
        // Texts are not looked into.
        let filter = pb::Filter { platforms: vec!["seven".to_owned()], ..pb::Filter::default() };
        check_of("watchfire.v1.Filter", &filter.encode_to_vec(), 1);
    }

    #[test]
    fn bytes_that_look_like_a_message_are_not_counted() {
        let payload = [0x0a, 0].repeat(30_000).into();
        let envelope = pb::Envelope { payload, ..pb::Envelope::default() };
        let request = pb::PublishRequest { envelopes: vec![envelope], known_size: 0 };
        check(&request.encode_to_vec(), 2);
    }

    #[test]
    fn what_is_cut_off_has_what_was_found() {
        check(&[0x0a, 0, 0x0a, 200], 2);
        check(&[0x0a, 0, 0xff], 1);
        check(&[0x7b].repeat(5000), 1);
    }

    #[test]
    fn a_message_that_nobody_knows_has_a_field_for_each_byte() {
        assert!(has_at_most("nobody.Knows", &[0; 9], 9));
        assert!(!has_at_most("nobody.Knows", &[0; 9], 8));
    }
}
