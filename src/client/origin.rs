//! What a place in the log is good for: one exchange, one member, one filter.
//!
//! A cursor means nothing elsewhere, and a sequence of another filter would leave entries out without a word.

use crate::client::cursor::InvalidCursor;
use crate::client::subscribe::Place;
use crate::model::filter::Filter;
use crate::profile::SavedCursor;
use crate::profile::Settings;

/// For which exchange, member and filter a place is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// `exchanges/{exchange}`.
    exchange: String,
    /// `members/{member}`.
    member: String,
    /// Hex digest of the filter.
    filter: String,
}

/// Why a saved place is of no use here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPlace {
    /// It was made elsewhere; in what it differs.
    #[error("it was made for another {0}")]
    Foreign(&'static str),
    /// Its cursor is not one.
    #[error("its cursor is not HEX@POSITION")]
    Cursor,
}

impl Origin {
    /// What a profile's subscription with a filter is kept for.
    pub fn new(settings: &Settings, filter: &Filter) -> Self {
        Self {
            exchange: settings.exchange.name(),
            member: settings.member.name(),
            filter: hex::encode(filter.digest()),
        }
    }

    /// A place, as it is written.
    pub fn saved(&self, place: &Place) -> SavedCursor {
        let Self { exchange, member, filter } = self.clone();
        SavedCursor {
            exchange,
            member,
            filter,
            cursor: place.cursor.as_ref().map(ToString::to_string),
            epoch: place.epoch,
            sequence: place.sequence,
            offered: None,
        }
    }

    /// A place that was written; refuses one that was made for something else.
    pub fn place(&self, saved: &SavedCursor) -> Result<Place, InvalidPlace> {
        let pairs = [
            (&saved.exchange, &self.exchange, "exchange"),
            (&saved.member, &self.member, "member"),
            (&saved.filter, &self.filter, "filter"),
        ];
        if let Some((_, _, what)) = pairs.into_iter().find(|(saved, own, _)| saved != own) {
            return Err(InvalidPlace::Foreign(what));
        }
        let cursor = saved.cursor.as_ref().map(|text| text.parse()).transpose();
        let cursor = cursor.map_err(|InvalidCursor| InvalidPlace::Cursor)?;
        Ok(Place { cursor, epoch: saved.epoch, sequence: saved.sequence })
    }
}

#[cfg(test)]
pub(super) fn sample(filter: &str) -> Origin {
    Origin {
        exchange: "exchanges/spring-0123456789abcdef".to_owned(),
        member: "members/birch-social".to_owned(),
        filter: filter.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::cursor::cursor;

    #[track_caller]
    fn check(change: impl FnOnce(&mut SavedCursor), expected: Result<(), InvalidPlace>) {
        let origin = sample("00");
        let place = Place { cursor: Some(cursor(&[1, 2], 8)), epoch: 1, sequence: Some(9) };
        let mut saved = origin.saved(&place);
        change(&mut saved);
        assert_eq!(origin.place(&saved), expected.map(|()| place));
    }

    #[test]
    fn a_place_serves_only_where_it_was_made() {
        let foreign = |what| Err(InvalidPlace::Foreign(what));
        check(|_same| {}, Ok(()));
        check(|saved| saved.exchange.push('0'), foreign("exchange"));
        check(|saved| saved.member = "members/acme-video".to_owned(), foreign("member"));
        check(|saved| saved.filter.clear(), foreign("filter"));
        check(|saved| saved.cursor = Some("zz".to_owned()), Err(InvalidPlace::Cursor));
    }
}
