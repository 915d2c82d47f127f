//! The one place that turns what is said into a draft with the right handling, so that no command, pipeline or bridge
//! has rules of its own about who reads it.

use std::collections::HashMap;

use prost::Message as _;
use uuid::Uuid;

use crate::client::audience::with_audiences;
use crate::client::connection::Client;
use crate::client::error::ClientError;
use crate::client::founding::unaddressed;
use crate::client::reach::Circle;
use crate::client::reach::Subject;
use crate::client::reach::Wish;
use crate::client::signer::Draft;
use crate::client::signer::kind_of;
use crate::model::handling::Handling;
use crate::model::handling::Reach;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::names::RevisionName;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::wire::body;
use crate::wire::body::Content;
use crate::wire::pb;

/// Records whose handling is remembered for the next draft.
const SUBJECTS_MAX: usize = 4096;

/// Makes drafts. It remembers the records that were spoken about and who takes part: it is for one command, or one
/// batch, not for a day.
pub struct Drafter {
    client: Client,
    circle: Option<Circle>,
    subjects: HashMap<RecordName, Subject>,
}

impl Client {
    /// Makes drafts for this member.
    pub fn drafter(&self) -> Drafter {
        Drafter { client: self.clone(), circle: None, subjects: HashMap::new() }
    }
}

impl Drafter {
    /// A new record that says this.
    ///
    /// What is said about records has the strictest of their labels and their readers, as far as the hub lets this
    /// member address them, unless `wish` says otherwise. What is said about no record needs a label. Withdrawals,
    /// answers to them, and changes of audiences, keys and the roster have no handling of their own.
    pub async fn draft(
        &mut self,
        content: pb::body::Content,
        wish: &Wish,
    ) -> Result<Draft, ClientError> {
        let member = self.client.profile().settings().member.clone();
        let name = RecordName { member, record: Uuid::now_v7() };
        let handling = self.handling(&content, wish).await?;
        Ok(Draft { name, previous: None, handling, content })
    }

    /// The next revision of one of this member's own records, which says this instead. Its handling is that of the
    /// revision before, unless `wish` says otherwise; it may reach more, never fewer.
    pub async fn amendment(
        &mut self,
        of: &RecordName,
        content: pb::body::Content,
        wish: &Wish,
    ) -> Result<Draft, ClientError> {
        if of.member != self.client.profile().settings().member {
            let message = "only its publisher amends a record";
            let refusal = Refusal::field(Reason::NotOwner, "header.name", message);
            return Err(ClientError::Invalid(refusal));
        }
        let name = RevisionName { record: of.clone(), revision: None };
        let latest = self.client.get(&name).await?.entry;
        let header = latest.header();
        let mut handling = header.handling.clone();
        let Wish { tlp, reach, onward_uses: _, use_until: _ } = wish;
        handling.tlp = tlp.unwrap_or(handling.tlp);
        handling.reach = reach.clone().unwrap_or(handling.reach);
        wish.say_uses(&mut handling);
        if let Content::Inquiry { addressees, .. } = parsed(&content)? {
            self.let_read(&mut handling, &addressees).await?;
        }
        let previous = Some((header.revision, latest.header_digest()));
        Ok(Draft { name: of.clone(), previous, handling, content })
    }

    /// The handling of a new record that says this.
    pub async fn handling(
        &mut self,
        content: &pb::body::Content,
        wish: &Wish,
    ) -> Result<Handling, ClientError> {
        if !kind_of(content).is_chosen() {
            return Ok(unaddressed());
        }
        let parsed = parsed(content)?;
        let mut handling = match wish.whole() {
            Some(handling) => handling,
            None => self.handling_about(&parsed, wish).await?,
        };
        if let Content::Inquiry { addressees, .. } = &parsed {
            self.let_read(&mut handling, addressees).await?;
        }
        Ok(handling)
    }

    async fn handling_about(
        &mut self,
        content: &Content,
        wish: &Wish,
    ) -> Result<Handling, ClientError> {
        let mut subjects = Vec::new();
        for (_field, name) in content.targets() {
            subjects.push(self.subject(name).await?);
        }
        if subjects.is_empty() {
            let reach = wish.reach.clone().unwrap_or_default();
            let tlp = wish.tlp.ok_or_else(|| ClientError::Invalid(unlabelled()))?;
            return Ok(wish.handling(tlp, reach));
        }
        let circle = self.circle().await?;
        circle.handling(&subjects, wish).ok_or_else(|| ClientError::Invalid(unlabelled()))
    }

    /// Whoever is asked can read the question.
    async fn let_read(
        &mut self,
        handling: &mut Handling,
        addressees: &[MemberId],
    ) -> Result<(), ClientError> {
        if addressees.is_empty() {
            return Ok(());
        }
        let circle = self.circle().await?;
        let deaf = addressees.iter().filter(|member| !circle.reaches(&handling.reach, member));
        let recipients = deaf.cloned().collect();
        handling.reach.widen(&Reach { audiences: Vec::new(), recipients });
        Ok(())
    }

    /// A record that is spoken about, verified.
    async fn subject(&mut self, name: &RecordName) -> Result<Subject, ClientError> {
        if let Some(subject) = self.subjects.get(name) {
            return Ok(subject.clone());
        }
        let latest = RevisionName { record: name.clone(), revision: None };
        let found = self.client.get(&latest).await?;
        let header = found.entry.header();
        let subject =
            Subject { publisher: header.name.member.clone(), handling: header.handling.clone() };
        if self.subjects.len() >= SUBJECTS_MAX {
            self.subjects.clear();
        }
        self.subjects.insert(name.clone(), subject.clone());
        Ok(subject)
    }

    async fn circle(&mut self) -> Result<&Circle, ClientError> {
        let circle = if let Some(circle) = self.circle.take() {
            circle
        } else {
            let verifier = self.client.roster().await?;
            let audiences = self.client.audiences().await?;
            let speaker = self.client.profile().settings().member.clone();
            Circle { speaker, roster: with_audiences(verifier.roster(), &audiences) }
        };
        Ok(self.circle.insert(circle))
    }
}

fn unlabelled() -> Refusal {
    let message = "what is said about no record needs a label of its own";
    Refusal::field(Reason::TlpMissing, "handling.tlp", message)
}

/// What is said, checked and taken apart as the hub will.
fn parsed(content: &pb::body::Content) -> Result<Content, ClientError> {
    let kind = kind_of(content);
    let body = pb::Body { salt: vec![0; 32], content: Some(content.clone()) }.encode_to_vec();
    body::content(&body, kind).map(|(content, _body)| content).map_err(ClientError::Invalid)
}
