//! Publishing again: what is there already is not said twice, what changed becomes a revision, and what was
//! withdrawn is not brought back.

use std::collections::HashMap;
use std::collections::HashSet;

use futures_util::StreamExt as _;
use futures_util::TryStreamExt as _;
use futures_util::stream;

use crate::client::connection::Client;
use crate::client::error::ClientError;
use crate::client::said::Said;
use crate::client::signer::Draft;
use crate::client::verifier::VerifiedEntry;
use crate::model::filter::Filter;
use crate::model::handling::Handling;
use crate::model::header::BodyKind;
use crate::model::names::Digest;
use crate::model::names::RecordName;
use crate::model::names::RevisionName;
use crate::model::reason::Reason;
use crate::wire::pb;

/// Records that are asked for at once.
const CALLS_AT_ONCE: usize = 16;

/// The latest revision of a record, as the log has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Current {
    /// Its revision.
    pub revision: u32,
    /// Its identity.
    pub header_digest: Digest,
    /// Who may read it.
    pub handling: Handling,
    /// What it says.
    pub content: Option<pb::body::Content>,
    /// The same as bytes, with fields that this version does not know.
    pub said: Option<Said>,
    /// Whether it was withdrawn.
    pub is_withdrawn: bool,
}

/// What is to be done about a draft.
#[derive(Clone, Debug, PartialEq)]
pub enum Reconciled {
    /// Nothing of that name is there.
    New(Draft),
    /// The next revision of what is there.
    Changed(Draft),
    /// The same is there already.
    Unchanged(RecordName),
    /// It was withdrawn.
    Withdrawn(RecordName),
}

/// Compares a draft with what is there.
pub fn reconcile(draft: Draft, current: Option<&Current>) -> Reconciled {
    reconcile_said(draft, None, current)
}

/// The same; where the draft's bytes are given, fields that this version does not know count too.
pub fn reconcile_said(draft: Draft, said: Option<&Said>, current: Option<&Current>) -> Reconciled {
    match current {
        None => Reconciled::New(Draft { previous: None, ..draft }),
        Some(current) if current.is_withdrawn => Reconciled::Withdrawn(draft.name),
        Some(current)
            if current.handling == draft.handling
                && current.content.as_ref() == Some(&draft.content)
                && said.is_none_or(|said| current.said.as_ref() == Some(said)) =>
        {
            Reconciled::Unchanged(draft.name)
        }
        Some(current) => {
            let previous = Some((current.revision, current.header_digest));
            Reconciled::Changed(Draft { previous, ..draft })
        }
    }
}

impl Current {
    fn of(entry: &VerifiedEntry, is_withdrawn: bool) -> Self {
        Self {
            revision: entry.header().revision,
            header_digest: entry.header_digest(),
            handling: entry.header().handling.clone(),
            content: entry.body().content.clone(),
            said: Said::of(&entry.envelope().body),
            is_withdrawn,
        }
    }
}

impl Client {
    /// The latest revision of one of this member's records, if it is there.
    pub async fn current(&self, name: &RecordName) -> Result<Option<Current>, ClientError> {
        let name = RevisionName { record: name.clone(), revision: None };
        match self.get(&name).await {
            Ok(found) => Ok(Some(Current::of(&found.entry, found.withdrawn_sequence.is_some()))),
            Err(ClientError::Refused(refused)) if refused.is(Reason::RecordNotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The latest revisions of these records, as far as they are there.
    pub async fn current_each(
        &self,
        names: &[RecordName],
    ) -> Result<HashMap<RecordName, Current>, ClientError> {
        stream::iter(names)
            .map(|name| async move { Ok((name.clone(), self.current(name).await?)) })
            .buffer_unordered(CALLS_AT_ONCE)
            .try_filter_map(
                |(name, current)| async move { Ok(current.map(|current| (name, current))) },
            )
            .try_collect()
            .await
    }

    /// The latest revisions of this member's records of some operations, and of those operations.
    pub async fn current_of_operations(
        &self,
        operations: &[RecordName],
    ) -> Result<HashMap<RecordName, Current>, ClientError> {
        let filter = Filter {
            publishers: vec![self.profile().settings().member.clone()],
            operations: operations.to_vec(),
            ..Filter::default()
        };
        self.current_of(&filter).await
    }

    /// The latest revisions of all records of this member.
    pub async fn current_of_own(&self) -> Result<HashMap<RecordName, Current>, ClientError> {
        let publishers = vec![self.profile().settings().member.clone()];
        self.current_of(&Filter { publishers, ..Filter::default() }).await
    }

    async fn current_of(
        &self,
        filter: &Filter,
    ) -> Result<HashMap<RecordName, Current>, ClientError> {
        // Withdrawals come with every filter.
        let entries = self.list_all(filter).await?;
        let withdrawn: HashSet<RecordName> = entries.iter().filter_map(withdrawn_by).collect();
        let records = entries.iter().filter(|entry| entry.header().body_kind.is_chosen());
        Ok(records
            .map(|entry| {
                let name = entry.header().name.clone();
                let is_withdrawn = withdrawn.contains(&name);
                (name, Current::of(entry, is_withdrawn))
            })
            .collect())
    }
}

fn withdrawn_by(entry: &VerifiedEntry) -> Option<RecordName> {
    // Its publisher or the operator: the hub takes it from nobody else, and the verifier checks who signed.
    let of = entry.record().content.withdraws()?;
    let by_publisher = of.member == entry.header().name.member;
    (by_publisher || entry.header().body_kind == BodyKind::Takedown).then(|| of.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::tests::World;
    use crate::client::tests::domain;
    use crate::model::handling::Tlp;

    #[test]
    fn a_draft_is_compared_with_what_is_there() {
        let world = World::new();
        let draft = world.draft(&world.acme, domain("example.com"));
        let envelope = world.acme.sign(draft.clone(), world.now).unwrap();
        let entry = world.verifier().verify(World::entry(3, envelope)).unwrap();
        let current = Current::of(&entry, false);

        assert_eq!(reconcile(draft.clone(), None), Reconciled::New(draft.clone()));
        let unchanged = reconcile(draft.clone(), Some(&current));
        assert_eq!(unchanged, Reconciled::Unchanged(draft.name.clone()));

        let relabelled = Draft {
            handling: Handling { tlp: Tlp::Clear, ..draft.handling.clone() },
            ..draft.clone()
        };
        for changed in [relabelled, Draft { content: domain("example.org"), ..draft.clone() }] {
            let Reconciled::Changed(next) = reconcile(changed, Some(&current)) else {
                panic!("a change is a revision");
            };
            assert_eq!(next.previous, Some((1, entry.header_digest())));
            let envelope = world.acme.sign(next, world.now).unwrap();
            assert_eq!(crate::wire::header::header(&envelope.payload).unwrap().revision, 2);
        }

        let withdrawn = Current::of(&entry, true);
        assert_eq!(reconcile(draft.clone(), Some(&withdrawn)), Reconciled::Withdrawn(draft.name));
    }
}
