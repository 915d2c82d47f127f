//! What the log is, and who may see what of it, by rules of its own: nothing here asks the hub.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use bytes::Bytes;
use prost::Message as _;

use crate::model::header::BodyKind;
use crate::model::names::Digest;
use crate::model::names::RecordName;
use crate::model::names::sha256;
use crate::wire::pb;
use crate::wire::pb::body::Content;

/// Who may see an entry, for good.
#[derive(Clone, Debug, Default)]
struct Reach {
    audiences: BTreeSet<String>,
    members: BTreeSet<String>,
}

/// One entry.
#[derive(Clone, Debug)]
pub(super) struct Logged {
    pub(super) payload: Bytes,
    pub(super) body: Bytes,
    pub(super) kind: BodyKind,
    pub(super) erased: bool,
    time: (i64, i32),
    publisher: String,
    reach: Reach,
}

/// A record as its publisher has it.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) name: RecordName,
    pub(super) revision: u32,
    pub(super) digest: Digest,
    first: u64,
    reach: Reach,
    places: Vec<u64>,
    demanded: bool,
}

/// Everything that was taken in.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) log: Vec<Logged>,
    pub(super) records: Vec<Known>,
    places: BTreeMap<Digest, u64>,
    companies: BTreeSet<String>,
    suspended: BTreeSet<String>,
    members: BTreeMap<String, BTreeSet<String>>,
    /// When who left which audience last.
    left: BTreeMap<(String, String), u64>,
}

impl Model {
    pub(super) fn size(&self) -> u64 {
        self.log.len().try_into().unwrap()
    }

    pub(super) fn place_of(&self, digest: &Digest) -> Option<u64> {
        self.places.get(digest).copied()
    }

    pub(super) fn at(&self, sequence: u64) -> &Logged {
        &self.log[usize::try_from(sequence).unwrap()]
    }

    pub(super) fn is_suspended(&self, member: &str) -> bool {
        self.suspended.contains(member)
    }

    pub(super) fn is_in(&self, audience: &str, member: &str) -> bool {
        match audience {
            "all" | "companies" => self.companies.contains(member),
            custom => self.members.get(custom).is_some_and(|members| members.contains(member)),
        }
    }

    /// Whether a member may see an entry now.
    pub(super) fn may_see(&self, member: &str, sequence: u64) -> bool {
        let Logged { kind, publisher, reach, .. } = self.at(sequence);
        if self.is_suspended(member) {
            return false;
        }
        let is_common = kind.is_roster() || matches!(kind, BodyKind::Erasure | BodyKind::Retention);
        let is_operators = member == "operator" && *kind == BodyKind::AudienceChange;
        let is_reached = self.companies.contains(member)
            && (reach.members.contains(member)
                || reach.audiences.iter().any(|audience| self.is_in(audience, member)));
        is_common || publisher == member || is_operators || is_reached
    }

    /// Demands that should be met.
    pub(super) fn demanded(&self) -> impl Iterator<Item = u64> {
        let demanded = self.records.iter().filter(|known| known.demanded);
        demanded.flat_map(|known| known.places.clone())
    }

    /// Takes the next entry as it is in the log.
    pub(super) fn take(&mut self, entry: pb::Entry) {
        let place = self.size();
        assert_eq!(entry.sequence, place, "the log is dense");
        let time = entry.accept_time.unwrap_or_default();
        let time = (time.seconds, time.nanos);
        assert!(self.log.last().is_none_or(|last| last.time <= time), "time ran backwards");
        let envelope = entry.envelope.unwrap();
        let digest = sha256(&envelope.payload);
        assert_eq!(self.places.insert(digest, place), None, "one record has two places");
        let record = crate::wire::envelope::record(envelope.clone()).unwrap();
        let header = record.header;
        let content = pb::Body::decode(envelope.body.clone()).unwrap().content.unwrap();
        let publisher = header.name.member.as_str().to_owned();
        let own = Reach {
            audiences: header.handling.reach.audiences.iter().map(ToString::to_string).collect(),
            members: header.handling.reach.recipients.iter().map(ToString::to_string).collect(),
        };
        let reach = self.reach_of(place, &publisher, &content, own);
        if header.body_kind.is_chosen() {
            self.know(place, &header.name, header.revision, digest, &reach);
        }
        self.log.push(Logged {
            payload: envelope.payload,
            body: envelope.body,
            kind: header.body_kind,
            erased: false,
            time,
            publisher,
            reach,
        });
    }

    fn know(
        &mut self,
        place: u64,
        name: &RecordName,
        revision: u32,
        digest: Digest,
        reach: &Reach,
    ) {
        let known = self.records.iter_mut().find(|known| known.name == *name);
        if let Some(known) = known {
            assert_eq!(known.revision + 1, revision, "revisions follow one another");
            (known.revision, known.digest) = (revision, digest);
            known.places.push(place);
            known.reach.audiences.extend(reach.audiences.clone());
            known.reach.members.extend(reach.members.clone());
            return;
        }
        self.records.push(Known {
            name: name.clone(),
            revision,
            digest,
            first: place,
            reach: reach.clone(),
            places: vec![place],
            demanded: false,
        });
    }

    /// Who learns of a withdrawal: all who could see any revision, whoever has left an audience since.
    fn withdraw(&mut self, withdrawal: &pb::Withdrawal) -> Reach {
        let of = |known: &&mut Known| known.name.to_string() == withdrawal.of;
        let known = self.records.iter_mut().find(of).unwrap();
        known.demanded |= withdrawal.demand_deletion;
        let mut reach = known.reach.clone();
        reach.members.insert(known.name.member.as_str().to_owned());
        for audience in &known.reach.audiences {
            reach.members.extend(self.members.get(audience).into_iter().flatten().cloned());
            let left = self
                .left
                .iter()
                .filter(|((of, _member), at)| of == audience && **at >= known.first);
            reach.members.extend(left.map(|((_of, member), _at)| member.clone()));
        }
        reach
    }

    /// Whom an entry reaches; what it changes is changed.
    fn reach_of(&mut self, place: u64, publisher: &str, content: &Content, own: Reach) -> Reach {
        match content {
            Content::Withdrawal(withdrawal) => self.withdraw(withdrawal),
            Content::AudienceChange(change) => self.change(place, publisher, change),
            Content::Conflict(notice) => {
                let second = crate::wire::header::header(&notice.payload).unwrap();
                let mut reach = self.at(notice.first_sequence).reach.clone();
                reach.members.insert(second.name.member.as_str().to_owned());
                reach
            }
            Content::RosterChange(change) => {
                self.admit(change);
                Reach::default()
            }
            Content::Erasure(notice) => {
                notice.sequences.iter().for_each(|sequence| self.erase(*sequence));
                Reach::default()
            }
            Content::Retention(notice) => {
                (notice.first_sequence..notice.end_sequence).for_each(|at| self.erase(at));
                Reach::default()
            }
            Content::Indicator(_)
            | Content::Operation(_)
            | Content::Attribution(_)
            | Content::Link(_)
            | Content::Sighting(_)
            | Content::Opinion(_)
            | Content::ActionReport(_)
            | Content::Inquiry(_)
            | Content::Reply(_)
            | Content::Note(_)
            | Content::Acknowledgement(_)
            | Content::KeyChange(_)
            | Content::Takedown(_)
            | Content::Epoch(_)
            | Content::LogKeyChange(_)
            | Content::Genesis(_) => own,
        }
    }

    fn change(&mut self, place: u64, keeper: &str, change: &pb::AudienceChange) -> Reach {
        use pb::audience_change::Change;

        let audience = change.audience.strip_prefix("audiences/").unwrap().to_owned();
        let own = |names: &[String]| -> Vec<String> {
            names.iter().map(|name| name.strip_prefix("members/").unwrap().to_owned()).collect()
        };
        let members = self.members.entry(audience.clone()).or_default();
        match change.change.as_ref().unwrap() {
            Change::Create(creation) => {
                members.insert(keeper.to_owned());
                members.extend(own(&creation.members));
            }
            Change::Add(more) => members.extend(own(&more.members)),
            Change::Remove(fewer) => {
                for member in own(&fewer.members) {
                    members.remove(&member);
                    self.left.insert((audience.clone(), member), place);
                }
            }
        }
        Reach { audiences: [audience].into(), members: BTreeSet::new() }
    }

    fn admit(&mut self, change: &pb::RosterChange) {
        use pb::roster_change::Change;

        let member = change.member.strip_prefix("members/").unwrap().to_owned();
        match change.change.as_ref().unwrap() {
            Change::Admit(_) => drop(self.companies.insert(member)),
            Change::Suspend(_) => drop(self.suspended.insert(member)),
            Change::Reinstate(_) => drop(self.suspended.remove(&member)),
            other @ (Change::RetireKey(_) | Change::Quota(_) | Change::ResetKeys(_)) => {
                panic!("the driver does not say this: {other:?}")
            }
        }
    }

    fn erase(&mut self, sequence: u64) {
        let entry = &mut self.log[usize::try_from(sequence).unwrap()];
        entry.erased |= entry.kind.is_chosen();
    }
}
