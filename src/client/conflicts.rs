//! Publishers that signed two different records under one name and revision: the hub keeps the second header, and whoever may
//! read the first can prove it to others.

use std::path::PathBuf;

use crate::client::connection::Client;
use crate::client::error::ClientError;
use crate::client::evidence::Evidence;
use crate::client::evidence::Exhibit;
use crate::client::judge::Condition;
use crate::client::judge::Contradiction;
use crate::client::judge::Verdict;
use crate::client::subscribe::Delivery;
use crate::client::subscribe::From;
use crate::client::subscribe::Patience;
use crate::client::subscribe::SubscribeOptions;
use crate::client::verifier::VerificationError;
use crate::client::verifier::VerifiedEntry;
use crate::model::filter::Filter;
use crate::model::header::BodyKind;
use crate::model::names::RevisionName;
use crate::wire::body::Conflict;
use crate::wire::body::Content;
use crate::wire::pb;

/// A conflict that this member may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownConflict {
    /// The record and revision.
    pub name: RevisionName,
    /// The sequence of the first, which stands.
    pub first: u64,
    /// The sequence of the hub's notice.
    pub notice: u64,
    /// What the proof rests on that the file does not show.
    pub condition: Option<Condition>,
    /// The file of evidence.
    pub evidence: PathBuf,
}

impl Client {
    /// The conflicts that this member may see, each with evidence in the profile.
    pub async fn conflicts(&self) -> Result<Vec<KnownConflict>, ClientError> {
        let options = SubscribeOptions {
            from: From::Start,
            filter: Filter { body_kinds: vec![BodyKind::Conflict], ..Filter::default() },
            until_head: true,
            patience: Patience::Unlimited,
        };
        let mut subscription = self.subscribe(options).await?;
        let mut notices = Vec::new();
        while let Some(delivery) = subscription.next().await? {
            let Delivery::Entries { entries, .. } = delivery else { continue };
            notices.extend(entries);
        }
        let mut found = Vec::new();
        for entry in &notices {
            if let Content::Conflict(conflict) = &entry.record().content {
                found.push(self.prove(entry, conflict).await?);
            }
        }
        Ok(found)
    }

    async fn prove(
        &self,
        notice: &VerifiedEntry,
        conflict: &Conflict,
    ) -> Result<KnownConflict, ClientError> {
        let Conflict { first, payload, header, key_id, signature } = conflict;
        let name = RevisionName { record: header.name.clone(), revision: Some(header.revision) };
        let request = pb::GetRecordRequest { name: name.to_string(), include_record: false };
        let answer = self.exchange_service().get_record(request).await?.into_inner();
        let mut exhibits = self.roster_exhibits().await;
        let envelope = answer.entry.and_then(|entry| entry.envelope).unwrap_or_default();
        let signatures = envelope.signatures.iter();
        exhibits
            .extend(signatures.map(|one| Exhibit::header(&envelope.payload, &one.keyid, &one.sig)));
        exhibits.push(Exhibit::header(payload, &key_id.to_string(), signature));
        let what = format!("{} signed two different records as {name}", header.name.member.name());
        let evidence = Evidence::new(self.profile(), self.now(), what, exhibits)?;
        let condition = match evidence.judge() {
            Ok(Verdict::Proven(Contradiction::TwoHeaders { .. })) => None,
            Ok(Verdict::Conditional(Contradiction::TwoHeaders { .. }, condition)) => {
                Some(condition)
            }
            // Nobody is accused because the hub says so.
            Ok(Verdict::Proven(_) | Verdict::Conditional(..) | Verdict::Unproven) | Err(_) => {
                let why = format!(
                    "what the hub shows does not prove that two records were signed as {name}"
                );
                return Err(VerificationError::answer(why).into());
            }
        };
        let evidence = evidence.save(self.profile())?;
        Ok(KnownConflict { name, first: *first, notice: notice.sequence(), condition, evidence })
    }
}
