//! Every bit of an envelope, flipped: what comes of it is refused, or is the same envelope in the same bytes (T-I5).

use prost::Message as _;
use watchfire::signing;
use watchfire::signing::Claim;
use watchfire::signing::VerifyingKey;
use watchfire::wire;
use watchfire::wire::pb;

use crate::lane::is_on_demand;
use crate::seeds;
use crate::targets::world::world;

const ENVELOPES: usize = 200;
const ENVELOPES_WITH_EVERY_CHANGE: usize = 12;

/// Takes bytes as the hub does before it asks the log: apart, and signed by a key that is registered.
fn admissible(bytes: &[u8], keys: &[VerifyingKey]) -> Option<pb::Envelope> {
    let record = wire::envelope::record(pb::Envelope::decode(bytes).ok()?).ok()?;
    let key = keys.iter().find(|key| key.id() == record.key_id)?;
    let signature = record.envelope.signatures.first()?.sig.clone();
    let claim = Claim {
        payload_type: &record.envelope.payload_type,
        payload: &record.envelope.payload,
        signature: &signature,
        key,
        value: (),
    };
    signing::verify(claim).ok()?;
    Some(record.envelope)
}

#[test]
fn an_envelope_with_any_one_bit_flipped_is_refused_or_the_same_bytes() {
    let world = world();
    let secrets = world.keys.iter().chain([&world.log]);
    let keys: Vec<VerifyingKey> =
        secrets.map(|key| VerifyingKey::from_spki(&key.spki()).expect("a key")).collect();
    let count = if is_on_demand() { ENVELOPES } else { ENVELOPES_WITH_EVERY_CHANGE };
    let (mut flips, mut same) = (0_u64, 0_u64);
    let mut tried = 0;
    for envelope in seeds::different_envelopes().take(count) {
        tried += 1;
        let mut bytes = envelope.encode_to_vec();
        assert_eq!(admissible(&bytes, &keys).as_ref(), Some(&envelope), "as it was signed");
        for bit in 0..bytes.len() * 8 {
            flip(&mut bytes, bit);
            if let Some(taken) = admissible(&bytes, &keys) {
                assert_eq!(taken, envelope, "bit {bit} of {}", hex::encode(&bytes));
                same += 1;
            }
            flip(&mut bytes, bit);
            flips += 1;
        }
    }
    assert_eq!(tried, count);
    println!("{count} envelopes, {flips} flips, {same} of them the same bytes");
}

fn flip(bytes: &mut [u8], bit: usize) {
    bytes.get_mut(bit / 8).into_iter().for_each(|byte| *byte ^= 1 << (bit % 8));
}
