//! What peers present: certificates, lists, keys, and tokens that the hub made.

use watchfire::client::Cursor;
use watchfire::exchange::fuzzing::Holder;
use watchfire::model::names::sha256;
use watchfire::pki;
use watchfire::signing::InvalidKey;
use watchfire::signing::SecretKey;
use watchfire::signing::VerifyingKey;
use watchfire::tls;

use super::text;
use super::world::World;
use super::world::world;

const TRUST_DOMAIN: &str = "spring.example";
const ED25519_SPKI: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A certificate, a bundle of them, a revocation list, a key, a SPIFFE id.
pub(super) fn certificate(data: &[u8]) {
    if let Some(peer) = tls::fuzzing::certificate_identity(data, TRUST_DOMAIN) {
        assert!(!peer.serial.is_empty() && peer.serial.len() <= 2 * data.len());
    }
    if let Some((count, _are_apart)) = tls::fuzzing::authorities(data) {
        assert!(count > 0 && count <= data.len() / 8, "{count} certificates");
    }
    assert!(!tls::fuzzing::is_revocation_list(data, data), "nothing is both");
    if let Ok(key) = VerifyingKey::from_spki(data) {
        assert_eq!(key.spki(), data, "a key has one spelling");
    }
    if let Some(point) = data.first_chunk::<32>() {
        point_of(point);
    }
    let Some(text) = text(data) else { return };
    let _facts = pki::inspect(text);
    let _list = pki::inspect_list(text);
    let _end = pki::next_update(text);
    if let Ok(key) = SecretKey::from_pem(text) {
        let pem = key.to_pem().expect("it is written");
        assert_eq!(SecretKey::from_pem(&pem).map(|again| again.id()), Ok(key.id()));
    }
    if let Some((member, agent)) = tls::fuzzing::spiffe_id(text, TRUST_DOMAIN) {
        let agent = agent.map_or_else(String::new, |agent| format!("/agents/{agent}"));
        assert_eq!(
            format!("spiffe://{TRUST_DOMAIN}/members/{member}{agent}"),
            text,
            "one spelling"
        );
    }
}

fn point_of(point: &[u8; 32]) {
    let spki = [ED25519_SPKI.as_slice(), point].concat();
    match VerifyingKey::from_spki(&spki) {
        Ok(key) => assert_eq!(key.ed25519_bytes().as_ref(), Some(point)),
        Err(error) => assert!(matches!(error, InvalidKey::Format | InvalidKey::Weak)),
    }
}

/// A cursor or a page token: only what was sealed for this holder is opened.
pub(super) fn token(data: &[u8]) {
    let (member, filter, other) = (World::member(1), sha256(b"a filter"), sha256(b"another"));
    let holder = |filter, is_cursor| Holder {
        key: &[7; 32],
        exchange: &world().exchange,
        member: &member,
        filter,
        is_cursor,
    };
    for is_cursor in [false, true] {
        let own = holder(&filter, is_cursor);
        if let Some(place) = own.open(data) {
            assert_eq!(own.seal(place), data, "it was made for this holder");
            assert_eq!(holder(&other, is_cursor).open(data), None, "and for no other filter");
            assert_eq!(holder(&filter, !is_cursor).open(data), None, "and no other use");
        }
    }
    // What it may say: sealed, it says so.
    if let Some(place) = data.first_chunk::<20>() {
        let number = |range: std::ops::Range<usize>| {
            let bytes = place.get(range).and_then(|bytes| bytes.try_into().ok());
            bytes.map_or(0, u64::from_be_bytes)
        };
        let epoch = u32::try_from(number(12..20) >> 32).expect("four bytes");
        let said = (epoch, number(0..8), number(8..16));
        let own = holder(&filter, true);
        assert_eq!(own.open(&own.seal(said)), Some(said));
    }
    if let Some(Ok(cursor)) = text(data).map(str::parse::<Cursor>) {
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }
}
