//! Cursors and page tokens: opaque to their holder, and worthless if changed.
//!
//! `version || purpose || epoch u32 || position u64 || as of u64 || HMAC-SHA-256`, twice; exchange, member and filter
//! are bound by the HMAC without being in the token.

use aws_lc_rs::hmac;

use crate::model::names::Digest;
use crate::model::names::ExchangeName;
use crate::model::names::MemberId;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;

const VERSION: u8 = 2;
const BODY_BYTES: usize = 2 + 4 + 8 + 8;
const TAG_BYTES: usize = 32;

/// What a page token names that is no place in the log; `None` for the first page.
pub(super) fn named<T>(
    page_token: &str,
    name_of: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, Refusal> {
    if page_token.is_empty() {
        return Ok(None);
    }
    let refused = || {
        let message = "the page token was not made for this request";
        Refusal::field(Reason::PageTokenInvalid, "page_token", message)
    };
    name_of(page_token).map(Some).ok_or_else(refused)
}

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To go on with a subscription.
    Cursor,
    /// To go on with a list.
    Page,
}

/// What a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The log's epoch.
    pub(super) epoch: u32,
    /// Everything below was seen.
    pub(super) position: u64,
    /// For a cursor: the size of the log as of which its holder's access was taken. For a page: the size of the log
    /// that the pages show.
    pub(super) as_of: u64,
}

/// Makes and opens tokens of one exchange.
pub(super) struct Tokens {
    key: hmac::Key,
    exchange: ExchangeName,
}

impl Tokens {
    pub(super) fn new(key: &[u8; 32], exchange: ExchangeName) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key), exchange }
    }

    pub(super) fn seal(
        &self,
        purpose: Purpose,
        member: &MemberId,
        filter: &Digest,
        place: Place,
    ) -> Vec<u8> {
        let mut token = vec![VERSION, purpose_byte(purpose)];
        token.extend_from_slice(&place.epoch.to_be_bytes());
        token.extend_from_slice(&place.position.to_be_bytes());
        token.extend_from_slice(&place.as_of.to_be_bytes());
        let tag = hmac::sign(&self.key, &self.authenticated(&token, member, Some(filter)));
        let holder = hmac::sign(&self.key, &self.authenticated(&token, member, None));
        token.extend_from_slice(tag.as_ref());
        token.extend_from_slice(holder.as_ref());
        token
    }

    pub(super) fn open(
        &self,
        purpose: Purpose,
        member: &MemberId,
        filter: &Digest,
        token: &[u8],
    ) -> Result<Place, Refusal> {
        let invalid = || match purpose {
            Purpose::Cursor => Refusal::field(
                Reason::CursorInvalid,
                "cursor",
                "the cursor was not made by this exchange for this member",
            ),
            Purpose::Page => Refusal::field(
                Reason::PageTokenInvalid,
                "page_token",
                "the page token was not made by this exchange for this member and request",
            ),
        };
        let (body, tags) = token.split_at_checked(BODY_BYTES).ok_or_else(invalid)?;
        let (tag, holder) = tags.split_at_checked(TAG_BYTES).ok_or_else(invalid)?;
        let [VERSION, kind, rest @ ..] = body else {
            return Err(invalid());
        };
        let genuine =
            hmac::verify(&self.key, &self.authenticated(body, member, None), holder).is_ok();
        if !genuine || *kind != purpose_byte(purpose) {
            return Err(invalid());
        }
        if hmac::verify(&self.key, &self.authenticated(body, member, Some(filter)), tag).is_err() {
            return Err(match purpose {
                Purpose::Cursor => Refusal::field(
                    Reason::CursorFilterMismatch,
                    "filter",
                    "the cursor was made for another filter",
                ),
                Purpose::Page => invalid(),
            });
        }
        place(rest).ok_or_else(invalid)
    }

    fn authenticated(&self, body: &[u8], member: &MemberId, filter: Option<&Digest>) -> Vec<u8> {
        let mut bytes = body.to_vec();
        bytes.extend_from_slice(self.exchange.as_str().as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(member.as_str().as_bytes());
        bytes.push(0);
        if let Some(filter) = filter {
            bytes.extend_from_slice(filter);
        }
        bytes
    }
}

fn purpose_byte(purpose: Purpose) -> u8 {
    match purpose {
        Purpose::Cursor => b'c',
        Purpose::Page => b'p',
    }
}

fn place(bytes: &[u8]) -> Option<Place> {
    let (epoch, rest) = bytes.split_first_chunk::<4>()?;
    let (position, rest) = rest.split_first_chunk::<8>()?;
    let as_of = rest.try_into().ok()?;
    Some(Place {
        epoch: u32::from_be_bytes(*epoch),
        position: u64::from_be_bytes(*position),
        as_of: u64::from_be_bytes(as_of),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(exchange: &str) -> Tokens {
        Tokens::new(
            &[1; 32],
            ExchangeName::from_name(&format!("exchanges/{exchange}-0123456789abcdef")).unwrap(),
        )
    }

    #[test]
    fn a_cursor_serves_its_member_filter_and_exchange_only() {
        let member: MemberId = "acme-video".parse().unwrap();
        let place = Place { epoch: 1, position: 7, as_of: 3 };
        let cursor = tokens("spring").seal(Purpose::Cursor, &member, &[2; 32], place);
        let open = |tokens: &Tokens, member: &str, filter: u8, cursor: &[u8]| {
            tokens
                .open(Purpose::Cursor, &member.parse().unwrap(), &[filter; 32], cursor)
                .map_err(|refusal| refusal.reason)
        };
        assert_eq!(open(&tokens("spring"), "acme-video", 2, &cursor), Ok(place));
        assert_eq!(open(&tokens("spring"), "other", 2, &cursor), Err(Reason::CursorInvalid));
        assert_eq!(
            open(&tokens("spring"), "acme-video", 3, &cursor),
            Err(Reason::CursorFilterMismatch)
        );
        assert_eq!(open(&tokens("autumn"), "acme-video", 2, &cursor), Err(Reason::CursorInvalid));
        for index in 0..cursor.len() {
            let mut forged = cursor.clone();
            forged[index] ^= 1;
            assert!(open(&tokens("spring"), "acme-video", 2, &forged).is_err(), "byte {index}");
        }
        assert!(open(&tokens("spring"), "acme-video", 2, &cursor[..20]).is_err());
        assert!(tokens("spring").open(Purpose::Page, &member, &[2; 32], &cursor).is_err());
    }

    #[test]
    fn a_page_token_that_is_a_name_is_understood_or_refused() {
        let name_of = |text: &str| text.strip_prefix("name-").map(str::to_owned);
        assert_eq!(named("", name_of), Ok(None), "the first page");
        assert_eq!(named("name-7", name_of), Ok(Some("7".to_owned())));
        let refusal = named("7", name_of).unwrap_err();
        assert_eq!(refusal.reason, Reason::PageTokenInvalid);
    }

    #[test]
    fn a_page_token_serves_its_member_request_and_purpose_only() {
        let member: MemberId = "acme-video".parse().unwrap();
        let place = Place { epoch: u32::MAX, position: u64::MAX - 1, as_of: u64::MAX };
        let page = tokens("spring").seal(Purpose::Page, &member, &[2; 32], place);
        let open = |purpose, filter: u8, token: &[u8]| {
            let opened = tokens("spring").open(purpose, &member, &[filter; 32], token);
            opened.map_err(|refusal| refusal.reason)
        };
        assert_eq!(open(Purpose::Page, 2, &page), Ok(place));
        assert_eq!(open(Purpose::Page, 3, &page), Err(Reason::PageTokenInvalid));
        assert_eq!(open(Purpose::Cursor, 2, &page), Err(Reason::CursorInvalid));
        let longer = [page.as_slice(), &[0]].concat();
        assert_eq!(open(Purpose::Page, 2, &longer), Err(Reason::PageTokenInvalid));
        assert_eq!(open(Purpose::Page, 2, &[]), Err(Reason::PageTokenInvalid));
    }
}
