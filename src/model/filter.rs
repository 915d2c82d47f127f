//! Filters: which entries a reader is interested in.
//!
//! A filter never widens what a reader may see; it is decided after the policy.

use crate::model::facts::Facts;
use crate::model::facts::Shape;
use crate::model::header::BodyKind;
use crate::model::names::Digest;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::names::sha256;

/// Fields are joined by AND, the values of a field by OR; an empty field matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Kinds of body.
    pub body_kinds: Vec<BodyKind>,
    /// Kinds of observable, as numbers of the proto; indicators only.
    pub kinds: Vec<i32>,
    /// Platforms in canonical spelling; indicators only.
    pub platforms: Vec<String>,
    /// Publishers.
    pub publishers: Vec<MemberId>,
    /// Operations: themselves, and the indicators that name them.
    pub operations: Vec<RecordName>,
}

/// What a filter says of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// It matches.
    Yes,
    /// It no longer does, but an earlier revision did, whoever could see that one.
    Left,
    /// It does not.
    No,
}

impl Filter {
    /// Whether everything matches.
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// Whether two entries of one scope may be told apart.
    pub fn looks_at_records(&self) -> bool {
        !self.operations.is_empty()
    }

    /// Whether it takes what the exchange is made of and nothing that anyone could take back.
    pub fn is_common(&self) -> bool {
        !self.body_kinds.is_empty() && self.body_kinds.iter().all(|kind| kind.is_common())
    }

    /// Whether it takes who takes part and nothing else.
    pub fn is_roster(&self) -> bool {
        !self.body_kinds.is_empty() && self.body_kinds.iter().all(|kind| kind.is_roster())
    }

    /// Decides about one entry. A recall matches whatever the filter, if what it takes back could have matched: it must
    /// reach its readers.
    pub fn matches(&self, facts: &Facts) -> Match {
        if self.is_open() || (facts.scope.body_kind.is_recall() && !self.is_common()) {
            return Match::Yes;
        }
        let fixed =
            self.takes_kind(facts.scope.body_kind) && self.takes_publisher(&facts.scope.publisher);
        if !fixed {
            return Match::No;
        }
        match facts.scope.shapes.iter().position(|shape| self.takes_shape(facts, shape)) {
            Some(0) => Match::Yes,
            Some(_earlier) => Match::Left,
            None => Match::No,
        }
    }

    /// The earlier revisions, each the last of its look, that match where this one does not.
    pub fn matched_before(&self, facts: &Facts) -> Vec<u32> {
        let earlier = facts.scope.shapes.iter().skip(1);
        let matching = earlier.filter(|shape| self.takes_shape(facts, shape));
        matching.map(|shape| shape.revision).collect()
    }

    /// What tells filters apart in a cursor.
    pub fn digest(&self) -> Digest {
        let mut text = String::new();
        let mut part = |mut items: Vec<String>| {
            items.sort_unstable();
            items.dedup();
            for item in items {
                text.push_str(&item);
                text.push('\n');
            }
            text.push('\u{1f}');
        };
        part(self.body_kinds.iter().map(|kind| kind.number().to_string()).collect());
        part(self.kinds.iter().map(ToString::to_string).collect());
        part(self.platforms.clone());
        part(self.publishers.iter().map(ToString::to_string).collect());
        part(self.operations.iter().map(ToString::to_string).collect());
        sha256(text.as_bytes())
    }

    fn takes_kind(&self, kind: BodyKind) -> bool {
        self.body_kinds.is_empty() || self.body_kinds.contains(&kind)
    }

    fn takes_publisher(&self, publisher: &MemberId) -> bool {
        self.publishers.is_empty() || self.publishers.contains(publisher)
    }

    fn takes_shape(&self, facts: &Facts, shape: &Shape) -> bool {
        let kind = self.kinds.is_empty() || self.kinds.contains(&shape.kind);
        let platform = self.platforms.is_empty() || self.platforms.contains(&shape.platform);
        kind && platform && self.takes_operation(facts, shape)
    }

    fn takes_operation(&self, facts: &Facts, shape: &Shape) -> bool {
        self.operations.is_empty()
            || self.operations.iter().any(|operation| {
                shape.operation.as_ref() == Some(operation)
                    || (operation.record == facts.record
                        && operation.member == facts.scope.publisher)
            })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::facts::Scope;
    use crate::model::handling::Reach;

    fn entry(kind: BodyKind) -> Facts {
        Facts {
            scope: Arc::new(Scope {
                publisher: "acme-video".parse().unwrap(),
                body_kind: kind,
                reach: Reach::default(),
                publisher_is_reached: false,
                shapes: vec![Shape::default()],
            }),
            record: uuid::Uuid::nil(),
            revision: 1,
            value_digest: None,
            withdraws: None,
        }
    }

    #[track_caller]
    fn check(body_kinds: &[BodyKind], kind: BodyKind, expected: Match) {
        let filter = Filter {
            body_kinds: body_kinds.to_vec(),
            kinds: if body_kinds.is_empty() { vec![1] } else { Vec::new() },
            ..Filter::default()
        };
        assert_eq!(filter.matches(&entry(kind)), expected, "{body_kinds:?} {kind:?}");
    }

    #[test]
    fn a_recall_matches_every_filter_that_could_have_taken_what_it_takes_back() {
        for recall in [BodyKind::Withdrawal, BodyKind::Takedown] {
            check(&[], recall, Match::Yes);
            check(&[BodyKind::Operation], recall, Match::Yes);
            check(&[BodyKind::Genesis, BodyKind::Operation], recall, Match::Yes);
            check(&[BodyKind::Genesis, BodyKind::RosterChange], recall, Match::No);
        }
        check(&[], BodyKind::Operation, Match::No);
        check(&[BodyKind::Genesis], BodyKind::Genesis, Match::Yes);
    }
}
