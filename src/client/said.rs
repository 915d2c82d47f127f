//! What a body says besides its salt, as bytes: what is published again somewhere else keeps the fields that this
//! version does not know.

use prost::bytes::Bytes;

/// How a body begins: its salt is field 1 and has 32 bytes.
const SALT_HEAD: [u8; 2] = [0x0a, 32];
const SALT_BYTES: usize = 32;

/// A body behind its salt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said(Bytes);

impl Said {
    /// What a body says; `None` if it does not begin with a salt.
    pub fn of(body: &Bytes) -> Option<Self> {
        let begins = body.starts_with(&SALT_HEAD);
        let head = SALT_HEAD.len().saturating_add(SALT_BYTES);
        (begins && body.len() >= head).then(|| Self(body.slice(head..)))
    }

    /// The same behind a salt of its own.
    pub(super) fn salted(&self, salt: &[u8; SALT_BYTES]) -> Vec<u8> {
        [SALT_HEAD.as_slice(), salt, &self.0].concat()
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::client::tests::World;
    use crate::client::tests::domain;
    use crate::wire::pb;

    #[test]
    fn fields_that_nobody_knows_stay_and_the_salt_does_not() {
        let world = World::new();
        let mut body = pb::Body { salt: vec![7; 32], content: Some(domain("a.example")) };
        let mut bytes = body.encode_to_vec();
        // Field 999, a text.
        bytes.extend([0xba, 0x3e, 3, b'n', b'e', b'w']);
        let said = Said::of(&bytes.clone().into()).unwrap();
        let draft = world.draft(&world.acme, domain("a.example"));
        let envelope = world.acme.sign_said(draft, &said, world.now).unwrap();
        assert!(envelope.body.ends_with(b"new"), "{:?}", envelope.body);
        assert_ne!(envelope.body, bytes);
        assert_eq!(Said::of(&envelope.body), Some(said.clone()));
        world.verifier().verify(World::entry(3, envelope)).unwrap();

        let other = world.draft(&world.acme, domain("other.example"));
        world.acme.sign_said(other, &said, world.now).expect_err("it says something else");
        body.salt = vec![7; 31];
        assert_eq!(Said::of(&body.encode_to_vec().into()), None);
        assert_eq!(Said::of(&Bytes::new()), None);
    }
}
