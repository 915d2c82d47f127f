//! Bytes in, `Verified` out: DSSE envelopes, keys and key ids.
//!
//! What is signed is the DSSE pre-authentication encoding of a payload type and exact payload bytes; nobody
//! ever re-encodes a message to verify it. The only module that names the signature libraries.

mod ed25519;
mod key;
mod verify;

use rustix::process::Resource;
use rustix::process::Rlimit;

pub use self::key::InvalidKey;
pub use self::key::SecretKey;
pub use self::key::VerifyingKey;
pub use self::verify::BadSignature;
pub use self::verify::Claim;
pub use self::verify::Verified;
pub use self::verify::verify;
pub use self::verify::verify_all;
pub use self::verify::verify_bytes;

/// The pre-authentication encoding: what a DSSE signature is made over
/// (<https://github.com/secure-systems-lab/dsse/blob/master/protocol.md>).
pub fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload_type.len() + payload.len() + 40);
    bytes.extend_from_slice(b"DSSEv1 ");
    bytes.extend_from_slice(payload_type.len().to_string().as_bytes());
    bytes.push(b' ');
    bytes.extend_from_slice(payload_type.as_bytes());
    bytes.push(b' ');
    bytes.extend_from_slice(payload.len().to_string().as_bytes());
    bytes.push(b' ');
    bytes.extend_from_slice(payload);
    bytes
}

/// What a key signs to prove that its holder wants it registered for this member of this exchange.
pub fn possession_payload(
    exchange: &crate::model::names::ExchangeName,
    member: &crate::model::names::MemberId,
    key: &crate::model::names::KeyId,
) -> Vec<u8> {
    format!("{}\n{}\n{key}", exchange.name(), member.name()).into_bytes()
}

/// Has the kernel write no core file of this process, nor of what it starts: keys lie in its memory. To be called first.
///
/// A limit may always be lowered; that it cannot be is the machine's fault.
pub fn leave_no_core_file() -> std::io::Result<()> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    Ok(rustix::process::setrlimit(Resource::Core, none)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_that_of_the_dsse_test_vector() {
        let encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
        assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn a_proof_of_possession_names_the_exchange_the_member_and_the_key() {
        let exchange = "exchanges/spring-0123456789abcdef";
        let exchange = crate::model::names::ExchangeName::from_name(exchange).unwrap();
        let member = "acme-video".parse().unwrap();
        let key = crate::model::names::KeyId::of_spki(b"key");
        let payload = String::from_utf8(possession_payload(&exchange, &member, &key)).unwrap();
        let said = format!("exchanges/spring-0123456789abcdef\nmembers/acme-video\n{key}");
        assert_eq!(payload, said);
    }
}
