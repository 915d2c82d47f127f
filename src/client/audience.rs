//! Custom audiences: made and changed by the member who keeps them, and listed for those who are in them.

use crate::client::connection::Client;
use crate::client::error::ClientError;
use crate::client::founding::invalid_name;
use crate::client::receipt::Receipt;
use crate::client::verifier::VerificationError;
use crate::model::names::Audience;
use crate::model::names::MemberId;
use crate::model::names::Sequence;
use crate::model::roster::Roster;
use crate::signing::InvalidKey;
use crate::wire::pb;

/// Characters of a handle: 26 of 36 letters and digits are 134 bits, which nobody guesses.
const HANDLE_LENGTH: usize = 26;
const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// A custom audience, as the hub lists it to those who are in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedAudience {
    /// Its handle.
    pub audience: Audience,
    /// A name for people; hostile until shown otherwise.
    pub title: String,
    /// Who keeps it.
    pub keeper: MemberId,
    /// Who is in it, its keeper included.
    pub members: Vec<MemberId>,
    /// The place at which it was made.
    pub created_sequence: u64,
    /// The place of its last change.
    pub changed_sequence: u64,
}

/// What a keeper changes about an audience.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeeperChange {
    /// Makes it.
    Create {
        /// A name for people.
        title: String,
        /// Who is in it besides its keeper.
        members: Vec<MemberId>,
    },
    /// Adds members.
    Add(Vec<MemberId>),
    /// Removes members. They keep what they have read.
    Remove(Vec<MemberId>),
}

impl Client {
    /// The custom audiences that this member is in, by handle; for the operator, all.
    pub async fn audiences(&self) -> Result<Vec<ListedAudience>, ClientError> {
        let mut all: Vec<ListedAudience> = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = pb::ListAudiencesRequest { page_size: 0, page_token };
            let response = self.audience_service().list_audiences(request).await?.into_inner();
            let pb::ListAudiencesResponse { audiences, next_page_token } = response;
            let page = audiences.into_iter().map(listed);
            all.extend(page.collect::<Result<Vec<_>, _>>()?);
            // They rise, so that no answer can make this go on for ever.
            if !all.is_sorted_by(|a, b| a.audience < b.audience) {
                return Err(VerificationError::answer("audiences are not in order").into());
            }
            if next_page_token.is_empty() {
                return Ok(all);
            }
            page_token = next_page_token;
        }
    }

    /// Makes or changes an audience that this member keeps.
    pub async fn change_audience(
        &self,
        audience: &Audience,
        change: KeeperChange,
    ) -> Result<Receipt, ClientError> {
        use pb::audience_change::Change;

        let names = |members: Vec<MemberId>| members.iter().map(MemberId::name).collect();
        let change = match change {
            KeeperChange::Create { title, members } => {
                Change::Create(pb::AudienceCreation { title, members: names(members) })
            }
            KeeperChange::Add(members) => {
                Change::Add(pb::AudienceMembers { members: names(members) })
            }
            KeeperChange::Remove(members) => {
                Change::Remove(pb::AudienceMembers { members: names(members) })
            }
        };
        let change = pb::AudienceChange { audience: audience.name(), change: Some(change) };
        self.change(&self.signer()?, pb::body::Content::AudienceChange(change)).await
    }
}

/// Draws the handle of a new audience: it tells strangers nothing, and none guesses it.
pub fn draw_audience() -> Result<Audience, ClientError> {
    // Bytes from here on would make the first letters likelier than the others.
    const FAIR: u8 = 252;

    let mut handle = String::with_capacity(HANDLE_LENGTH);
    while handle.len() < HANDLE_LENGTH {
        let mut bytes = [0; HANDLE_LENGTH];
        getrandom::fill(&mut bytes).map_err(|_no_randomness| InvalidKey::Private)?;
        let fair = bytes.into_iter().filter(|byte| *byte < FAIR);
        let letters = fair.filter_map(|byte| LETTERS.get(usize::from(byte) % LETTERS.len()));
        let missing = HANDLE_LENGTH - handle.len();
        handle.extend(letters.take(missing).copied().map(char::from));
    }
    handle.parse().map_err(|error| invalid_name(&error))
}

/// The roster with these audiences in it.
pub(super) fn with_audiences(roster: &Roster, audiences: &[ListedAudience]) -> Roster {
    let mut roster = roster.clone();
    for listed in audiences {
        let ListedAudience { audience, title, keeper, members, created_sequence, .. } = listed;
        let others: Vec<MemberId> =
            members.iter().filter(|member| *member != keeper).cloned().collect();
        let at = Sequence(*created_sequence);
        let created = roster.audiences.create(audience, title.clone(), keeper, &others, at);
        // What does not fit is an audience that nobody here is known to be in: nothing is addressed to it.
        created.unwrap_or_default();
    }
    roster
}

fn listed(wire: pb::Audience) -> Result<ListedAudience, ClientError> {
    let pb::Audience { name, title, keeper, members, created_sequence, changed_sequence } = wire;
    let malformed = |error| VerificationError::answer(format!("an audience: {error}"));
    Ok(ListedAudience {
        audience: Audience::from_name(&name).map_err(malformed)?,
        title,
        keeper: MemberId::from_name(&keeper).map_err(malformed)?,
        members: members
            .iter()
            .map(|member| MemberId::from_name(member))
            .collect::<Result<_, _>>()
            .map_err(malformed)?,
        created_sequence,
        changed_sequence,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_drawn_at_random() {
        let drawn: std::collections::BTreeSet<Audience> =
            (0..64).map(|_| draw_audience().unwrap()).collect();
        assert_eq!(drawn.len(), 64);
        for audience in drawn {
            assert_eq!(audience.as_str().len(), HANDLE_LENGTH);
            assert!(audience.is_random() && !audience.is_built_in());
            assert!(audience.as_str().bytes().all(|byte| LETTERS.contains(&byte)));
        }
    }

    #[test]
    fn what_is_listed_must_be_names() {
        let wire = pb::Audience {
            name: "audiences/abcdefghij0123456789".to_owned(),
            title: "Desk".to_owned(),
            keeper: "members/acme-video".to_owned(),
            members: vec!["members/acme-video".to_owned(), "members/bravo-net".to_owned()],
            created_sequence: 4,
            changed_sequence: 4,
        };
        let good = listed(wire.clone()).unwrap();
        let roster = with_audiences(&Roster::default(), &[good]);
        assert!(
            roster
                .audiences
                .contains(&"abcdefghij0123456789".parse().unwrap(), &"bravo-net".parse().unwrap())
        );
        listed(pb::Audience { name: "all".to_owned(), ..wire.clone() }).unwrap_err();
        listed(pb::Audience { keeper: String::new(), ..wire.clone() }).unwrap_err();
        listed(pb::Audience { members: vec!["x".to_owned()], ..wire }).unwrap_err();
    }
}
