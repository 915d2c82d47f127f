//! What `tests/fuzz` reaches of this module and nothing else does: its parsers of foreign bytes, which stay private.

use crate::exchange::deliveries;
use crate::exchange::durable;
use crate::exchange::testimony;
use crate::exchange::token::Place;
use crate::exchange::token::Purpose;
use crate::exchange::token::Tokens;
use crate::model::names::Digest;
use crate::model::names::ExchangeName;
use crate::model::names::MemberId;
use crate::transparency::LogKeys;

/// Whose a token is, and for what: a cursor, or else a page token, of a member, for a filter.
#[derive(Clone, Copy, Debug)]
pub struct Holder<'a> {
    /// The key that seals them.
    pub key: &'a [u8; 32],
    /// The exchange.
    pub exchange: &'a ExchangeName,
    /// The member.
    pub member: &'a MemberId,
    /// What was asked.
    pub filter: &'a Digest,
    /// A cursor.
    pub is_cursor: bool,
}

impl Holder<'_> {
    const fn purpose(&self) -> Purpose {
        if self.is_cursor { Purpose::Cursor } else { Purpose::Page }
    }

    fn tokens(&self) -> Tokens {
        Tokens::new(self.key, self.exchange.clone())
    }

    /// Epoch, position and size in a token that is this holder's.
    pub fn open(&self, token: &[u8]) -> Option<(u32, u64, u64)> {
        let place = self.tokens().open(self.purpose(), self.member, self.filter, token).ok()?;
        Some((place.epoch, place.position, place.as_of))
    }

    /// The token that says so.
    pub fn seal(&self, (epoch, position, as_of): (u32, u64, u64)) -> Vec<u8> {
        let place = Place { epoch, position, as_of };
        self.tokens().seal(self.purpose(), self.member, self.filter, place)
    }
}

/// A row that says what was sent to whom, and a row that says the same, if it is one.
pub fn delivery(row: &[u8]) -> Option<Vec<u8>> {
    deliveries::decode(row).map(|(key, passed)| deliveries::encode(&key, &passed))
}

/// The same of a durable subscription.
pub fn subscription(row: &[u8]) -> Option<Vec<u8>> {
    durable::decode(row).map(|kept| durable::encode(&kept))
}

/// Which of the rows about what members say beside the log this can be: a report, a cosignature, a head.
pub fn testimony(row: &[u8], log_keys: &LogKeys) -> [bool; 3] {
    [
        testimony::report(row).is_some(),
        testimony::witnessed(row, log_keys).is_some(),
        testimony::head(row).is_some(),
    ]
}
