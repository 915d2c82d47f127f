//! How far what is said about records reaches where its publisher does not say: as far as they do, as far as the hub
//! takes it.
//!
//! Pure, and narrower rather than wider where a member cannot know: who is in a custom audience is told to its
//! members only.

use crate::model::facts::Scope;
use crate::model::facts::Shape;
use crate::model::handling::Handling;
use crate::model::handling::OnwardUse;
use crate::model::handling::Reach;
use crate::model::handling::Tlp;
use crate::model::header::BodyKind;
use crate::model::limits;
use crate::model::names::Audience;
use crate::model::names::MemberId;
use crate::model::policy::Reader;
use crate::model::policy::may_see;
use crate::model::roster::Roster;
use crate::model::time::Timestamp;

/// What the publisher says about who may read; what it leaves out follows from the records that are spoken about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// The label.
    pub tlp: Option<Tlp>,
    /// The readers, all of them.
    pub reach: Option<Reach>,
    /// What readers may do beyond reading, all of it; without a word: nothing.
    pub onward_uses: Option<Vec<OnwardUse>>,
    /// After this, readers should no longer act on it; without a word: no end.
    pub use_until: Option<Timestamp>,
}

impl Wish {
    /// The handling, if nothing is left out.
    pub fn whole(&self) -> Option<Handling> {
        let (tlp, reach) = (self.tlp?, self.reach.clone()?);
        Some(self.handling(tlp, reach))
    }

    /// The handling with a label and readers that may follow from elsewhere. Onward uses and the end are never taken
    /// over from what is spoken about: they were given for that, by its publisher.
    pub fn handling(&self, tlp: Tlp, reach: Reach) -> Handling {
        let mut handling = Handling { tlp, reach, onward_uses: Vec::new(), use_until: None };
        self.say_uses(&mut handling);
        handling
    }

    /// Puts what it says about onward uses and the end into a handling, and leaves alone what it does not say.
    pub fn say_uses(&self, handling: &mut Handling) {
        if let Some(uses) = &self.onward_uses {
            handling.onward_uses.clone_from(uses);
            // What is signed has one spelling.
            handling.onward_uses.sort_unstable();
            handling.onward_uses.dedup();
        }
        handling.use_until = self.use_until.or(handling.use_until);
    }
}

/// A record that is spoken about, as its latest revision has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    /// Its publisher.
    pub(super) publisher: MemberId,
    /// Its handling.
    pub(super) handling: Handling,
}

/// Who there is to speak to, as far as a member can know.
#[derive(Clone, Debug)]
pub(super) struct Circle {
    /// Who speaks.
    pub(super) speaker: MemberId,
    /// Everyone who takes part, with those custom audiences that the speaker is in.
    pub(super) roster: Roster,
}

impl Subject {
    fn scope(&self) -> Scope {
        Scope {
            publisher: self.publisher.clone(),
            body_kind: BodyKind::Note,
            reach: self.handling.reach.clone(),
            publisher_is_reached: false,
            shapes: vec![Shape::default()],
        }
    }
}

impl Circle {
    /// The handling of what is said about these records: the strictest of their labels and the readers whom they have
    /// in common, but for what the speaker wishes otherwise. `None` if nothing says the label.
    pub(super) fn handling(&self, subjects: &[Subject], wish: &Wish) -> Option<Handling> {
        let strictest = subjects.iter().map(|subject| subject.handling.tlp).max();
        let tlp = wish.tlp.or(strictest)?;
        let reach = match &wish.reach {
            Some(reach) => reach.clone(),
            None => self.reach(subjects, tlp),
        };
        Some(wish.handling(tlp, reach))
    }

    /// Whether this reach, by what the speaker knows, lets a member read.
    pub(super) fn reaches(&self, reach: &Reach, member: &MemberId) -> bool {
        let scope = Scope {
            publisher: self.speaker.clone(),
            body_kind: BodyKind::Note,
            reach: reach.clone(),
            publisher_is_reached: false,
            shapes: vec![Shape::default()],
        };
        self.sees(member, &scope)
    }

    fn reach(&self, subjects: &[Subject], tlp: Tlp) -> Reach {
        let scopes: Vec<Scope> = subjects.iter().map(Subject::scope).collect();
        let mut reach = Reach::default();
        if tlp != Tlp::Red {
            reach.widen(&Reach { audiences: self.audiences(&scopes), recipients: Vec::new() });
        }
        let is_shared = |member: &&MemberId| {
            **member != self.speaker && scopes.iter().all(|scope| self.sees(member, scope))
        };
        // An audience of the record need not hold its publisher, who is the first to be told.
        let publishers = scopes.iter().map(|scope| &scope.publisher);
        let publishers = publishers.filter(|member| !self.reaches(&reach, member));
        let recipients = scopes.iter().flat_map(|scope| &scope.reach.recipients);
        let mut named: Vec<MemberId> = Vec::new();
        for member in publishers.chain(recipients).filter(is_shared) {
            if !named.contains(member) && named.len() < limits::RECIPIENTS_MAX {
                named.push(member.clone());
            }
        }
        if tlp == Tlp::Red && named.is_empty() {
            // RED names somebody; it is nobody but the speaker who may read.
            named.push(self.speaker.clone());
        }
        reach.widen(&Reach { audiences: Vec::new(), recipients: named });
        reach
    }

    /// The audiences of the records that cover each other and that the speaker may address.
    fn audiences(&self, scopes: &[Scope]) -> Vec<Audience> {
        let is_shared = |audience: &&Audience| {
            let alone = Reach { audiences: vec![(*audience).clone()], recipients: Vec::new() };
            let addressable =
                audience.is_built_in() || self.roster.audiences.contains(audience, &self.speaker);
            addressable && scopes.iter().all(|scope| scope.reach.covers(&alone))
        };
        let named = scopes.iter().flat_map(|scope| &scope.reach.audiences);
        let mut shared: Vec<Audience> = named.filter(is_shared).cloned().collect();
        if shared.contains(&Audience::all()) {
            shared.retain(|audience| *audience == Audience::all() || !audience.is_built_in());
        }
        shared
    }

    /// Whether a member may see a record, whether it is suspended for now or not.
    fn sees(&self, member: &MemberId, scope: &Scope) -> bool {
        Reader::of(&self.roster, member).is_some_and(|reader| {
            reader.role.reads_bodies() && may_see(&Reader { suspended: false, ..reader }, scope)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::names::Sequence;
    use crate::model::roster::Role;
    use crate::model::roster::RosterMember;
    use proptest::prelude::*;

    const DESK: &str = "desk0000000000000000";
    const CELL: &str = "cell0000000000000000";
    const MEMBERS: [(&str, Role); 7] = [
        ("acme-video", Role::Company),
        ("birch-social", Role::Company),
        ("cedar-microblog", Role::Company),
        ("harbour-liaison", Role::Observer),
        ("island-liaison", Role::Observer),
        ("ledger-audit", Role::Auditor),
        ("operator", Role::Operator),
    ];

    fn id(text: &str) -> MemberId {
        text.parse().unwrap()
    }

    fn reach(audiences: &[&str], recipients: &[&str]) -> Reach {
        let mut reach = Reach::default();
        reach.widen(&Reach {
            audiences: audiences.iter().map(|text| text.parse().unwrap()).collect(),
            recipients: recipients.iter().map(|text| id(text)).collect(),
        });
        reach
    }

    fn subject(publisher: &str, tlp: Tlp, reach: Reach) -> Subject {
        let handling = Handling { tlp, reach, onward_uses: Vec::new(), use_until: None };
        Subject { publisher: id(publisher), handling }
    }

    fn admit(roster: &mut Roster, member: &str, role: Role) {
        let member = RosterMember::admitted(id(member), role, Sequence(1));
        roster.admit(member, []).unwrap();
    }

    /// Everyone, with audiences of these members; the first keeps it.
    fn everyone(audiences: &[(&str, Vec<MemberId>)]) -> Roster {
        let mut roster = Roster::default();
        for (member, role) in MEMBERS {
            admit(&mut roster, member, role);
        }
        for (name, members) in audiences {
            if let [keeper, others @ ..] = members.as_slice() {
                let name = name.parse().unwrap();
                roster.audiences.create(&name, String::new(), keeper, others, Sequence(2)).unwrap();
            }
        }
        roster
    }

    /// What one member knows of it.
    fn known_to(speaker: &str, audiences: &[(&str, Vec<MemberId>)]) -> Circle {
        let own: Vec<_> = audiences
            .iter()
            .filter(|(_name, members)| members.contains(&id(speaker)))
            .cloned()
            .collect();
        Circle { speaker: id(speaker), roster: everyone(&own) }
    }

    #[track_caller]
    fn check(speaker: &str, subjects: &[Subject], tlp: Option<Tlp>, expected: &Reach) {
        let desk = vec![id("acme-video"), id("birch-social")];
        let circle = known_to(speaker, &[(DESK, desk)]);
        let handling =
            circle.handling(subjects, &Wish { tlp, reach: None, ..Wish::default() }).unwrap();
        assert_eq!(handling.reach, *expected, "{speaker} about {subjects:?}");
    }

    #[test]
    fn what_is_said_reaches_as_far_as_what_it_is_about() {
        let to = |audiences: &[&str], recipients: &[&str]| {
            vec![subject("acme-video", Tlp::Green, reach(audiences, recipients))]
        };
        check("birch-social", &to(&["companies"], &[]), None, &reach(&["companies"], &[]));
        check(
            "harbour-liaison",
            &to(&["observers"], &[]),
            None,
            &reach(&["observers"], &["acme-video"]),
        );
        check(
            "birch-social",
            &to(&[], &["birch-social", "cedar-microblog"]),
            None,
            &reach(&[], &["acme-video", "cedar-microblog"]),
        );
        check("birch-social", &to(&[DESK], &[]), None, &reach(&[DESK], &[]));
        check(
            "cedar-microblog",
            &to(&[DESK], &["cedar-microblog"]),
            None,
            &reach(&[], &["acme-video"]),
        );
        check("acme-video", &to(&[], &[]), None, &reach(&[], &[]));
        check("birch-social", &to(&["all", "companies"], &[]), None, &reach(&["all"], &[]));
    }

    #[test]
    fn red_names_somebody_and_no_audience() {
        let companies = vec![subject("acme-video", Tlp::Green, reach(&["companies"], &[]))];
        check("birch-social", &companies, Some(Tlp::Red), &reach(&[], &["acme-video"]));
        check("acme-video", &companies, Some(Tlp::Red), &reach(&[], &["acme-video"]));
    }

    #[test]
    fn a_link_reaches_those_who_see_both_ends_and_is_as_strict_as_either() {
        let ends = [
            subject("acme-video", Tlp::Green, reach(&["all"], &[])),
            subject("birch-social", Tlp::Amber, reach(&["companies"], &["harbour-liaison"])),
        ];
        let circle = known_to("cedar-microblog", &[]);
        let handling = circle.handling(&ends, &Wish::default()).unwrap();
        assert_eq!(handling.tlp, Tlp::Amber);
        assert_eq!(handling.reach, reach(&["companies"], &["harbour-liaison"]));
    }

    #[test]
    fn about_no_record_the_label_must_be_said() {
        let circle = known_to("acme-video", &[]);
        assert_eq!(circle.handling(&[], &Wish::default()), None);
        let wish = Wish { tlp: Some(Tlp::Clear), reach: None, ..Wish::default() };
        assert_eq!(circle.handling(&[], &wish).unwrap().reach, Reach::default());
    }

    #[test]
    fn onward_uses_and_the_end_are_said_and_never_taken_over() {
        let end = Timestamp::from_micros(7);
        let mut subject = subject("acme-video", Tlp::Green, reach(&["companies"], &[]));
        subject.handling.onward_uses = vec![OnwardUse::Block];
        subject.handling.use_until = end;
        let circle = known_to("birch-social", &[]);
        let silent = circle.handling(&[subject.clone()], &Wish::default()).unwrap();
        assert_eq!((silent.onward_uses.as_slice(), silent.use_until), (&[][..], None));
        let uses = vec![OnwardUse::PassToGovernment, OnwardUse::Block, OnwardUse::Block];
        let wish = Wish { onward_uses: Some(uses), use_until: end, ..Wish::default() };
        let said = circle.handling(&[subject.clone()], &wish).unwrap();
        let sorted = [OnwardUse::Block, OnwardUse::PassToGovernment];
        assert_eq!((said.onward_uses.as_slice(), said.use_until), (&sorted[..], end));
        // What an amendment leaves out stays.
        let mut kept = subject.handling;
        Wish::default().say_uses(&mut kept);
        assert_eq!((kept.onward_uses.as_slice(), kept.use_until), (&[OnwardUse::Block][..], end));
    }

    #[test]
    fn no_more_are_named_than_a_handling_takes() {
        let mut roster = Roster::default();
        admit(&mut roster, "acme-video", Role::Company);
        admit(&mut roster, "harbour-liaison", Role::Observer);
        let many: Vec<String> =
            (0..limits::RECIPIENTS_MAX).map(|number| format!("many-{number}")).collect();
        for member in &many {
            admit(&mut roster, member, Role::Company);
        }
        let recipients: Vec<&str> = many.iter().map(String::as_str).collect();
        let subjects = [subject("acme-video", Tlp::Green, reach(&["observers"], &recipients))];
        let circle = Circle { speaker: id("harbour-liaison"), roster };
        let handling = circle.handling(&subjects, &Wish::default()).unwrap();
        assert_eq!(handling.reach.recipients.len(), limits::RECIPIENTS_MAX);
        assert!(handling.reach.recipients.contains(&id("acme-video")), "its publisher first");
    }

    const LABELS: [Tlp; 5] = [Tlp::Clear, Tlp::Green, Tlp::Amber, Tlp::AmberStrict, Tlp::Red];
    const AUDIENCES: [&str; 5] = ["companies", "observers", "all", DESK, CELL];

    fn readers() -> impl Strategy<Value = Vec<MemberId>> {
        prop::sample::subsequence(MEMBERS[..5].to_vec(), 0..=5)
            .prop_map(|members| members.into_iter().map(|(member, _role)| id(member)).collect())
    }

    fn subjects() -> impl Strategy<Value = Vec<Subject>> {
        let one = (
            0_usize..5,
            0_usize..5,
            prop::sample::subsequence(AUDIENCES.to_vec(), 0..=5),
            readers(),
        );
        let one = one.prop_map(|(publisher, label, audiences, recipients)| {
            let mut whole = reach(&audiences, &[]);
            whole.widen(&Reach { audiences: Vec::new(), recipients });
            if LABELS[label] == Tlp::Red {
                whole.audiences.clear();
            }
            subject(MEMBERS[publisher].0, LABELS[label], whole)
        });
        prop::collection::vec(one, 1..=2)
    }

    proptest! {
        /// The hub's rules, said a second time: whatever the records, nothing goes out by default that it refuses.
        #[test]
        fn the_default_is_never_refused(
            subjects in subjects(),
            desk in readers(),
            cell in readers(),
            speaker in 0_usize..5,
            stricter in prop::option::of(0_usize..5),
        ) {
            let audiences = [(DESK, desk), (CELL, cell)];
            let truth = everyone(&audiences);
            let speaker = MEMBERS[speaker].0;
            let sees = |member: &MemberId, subject: &Subject| {
                let reader = Reader::of(&truth, member).unwrap();
                may_see(&reader, &subject.scope())
            };
            prop_assume!(subjects.iter().all(|subject| sees(&id(speaker), subject)));
            let strictest = subjects.iter().map(|subject| subject.handling.tlp).max().unwrap();
            let tlp = stricter.map(|label| LABELS[label].max(strictest));
            let circle = known_to(speaker, &audiences);
            let handling = circle.handling(&subjects, &Wish { tlp, reach: None, ..Wish::default() }).unwrap();
            prop_assert!(handling.tlp >= strictest);
            let Reach { audiences, recipients } = &handling.reach;
            for audience in audiences {
                let own = truth.audiences.contains(audience, &id(speaker));
                prop_assert!(audience.is_built_in() || own, "{audience} is not one's own");
            }
            for subject in &subjects {
                let alone = Reach { audiences: audiences.clone(), recipients: Vec::new() };
                prop_assert!(subject.handling.reach.covers(&alone), "{audiences:?}");
                prop_assert!(recipients.iter().all(|member| sees(member, subject)));
            }
            let is_red = handling.tlp == Tlp::Red;
            prop_assert!(!is_red || (audiences.is_empty() && !recipients.is_empty()));
            let [subject] = subjects.as_slice() else { return Ok(()); };
            let told = circle.reaches(&handling.reach, &subject.publisher);
            prop_assert!(told, "the publisher is told what is said about its record");
        }
    }
}
