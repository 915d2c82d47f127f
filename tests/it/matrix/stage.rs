//! The setting of the matrix: one hub, its members, and what is published in each act.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use watchfire::client::Client;
use watchfire::client::proven_key;
use watchfire::model::handling::Tlp;
use watchfire::model::names::RecordName;
use watchfire::signing::SecretKey;
use watchfire::wire::pb;
use watchfire::wire::pb::body::Content;

use crate::matrix::cast;
use crate::matrix::cast::Act;
use crate::matrix::cast::CAST;
use crate::matrix::cast::CIRCLE;
use crate::matrix::pieces;
use crate::matrix::pieces::Author;
use crate::matrix::pieces::Base;
use crate::matrix::pieces::Book;
use crate::matrix::pieces::STATEMENTS;
use crate::matrix::pieces::handlings;
use crate::matrix::pieces::indicator;
use crate::matrix::pieces::statement;
use crate::matrix::pieces::widest;
use crate::oracle::Reach;
use crate::oracle::ReadBy;
use crate::world::World;
use crate::world::demand;
use crate::world::until;

const LABELS: [Tlp; 4] = [Tlp::Clear, Tlp::Green, Tlp::Amber, Tlp::AmberStrict];

pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) clients: BTreeMap<&'static str, Client>,
    pub(crate) authors: Vec<Author>,
    pub(crate) book: Book,
    bases: Vec<Base>,
    operations: Vec<RecordName>,
}

impl Stage {
    pub(crate) async fn open() -> Self {
        let mut stage = Self {
            world: World::new().await,
            clients: BTreeMap::new(),
            authors: Vec::new(),
            book: Book::default(),
            bases: Vec::new(),
            operations: Vec::new(),
        };
        stage.admit(Act::First).await;
        for (name, client) in &stage.clients {
            crate::reports::hand_in(client, name).await.expect("it is taken in");
        }
        for name in ["acme-video", "birch-social", "moor-liaison", "operator"] {
            stage.authors.push(Author::new(stage.clients[name].clone()));
        }
        stage.create_circle().await;
        stage.add_key().await;
        stage
    }

    async fn admit(&mut self, act: Act) {
        for part in CAST.iter().filter(|part| part.is_there(act)) {
            if self.clients.contains_key(part.name) {
                continue;
            }
            if part.name != "operator" {
                self.world.admit(part.name, part.role_name());
            }
            self.clients.insert(part.name, self.world.client(part.name).await);
        }
    }

    async fn create_circle(&mut self) {
        let members = CAST.iter().filter(|part| part.is_in_circle(Act::First));
        let members = members.map(|part| format!("members/{}", part.name)).collect();
        self.change_circle(|title| {
            pb::audience_change::Change::Create(pb::AudienceCreation {
                title: title.to_owned(),
                members,
            })
        })
        .await;
    }

    /// A change of keys, which everyone reads.
    async fn add_key(&mut self) {
        let acme = &self.authors[0];
        let key = SecretKey::generate().expect("a key");
        let member = "acme-video".parse().expect("a member");
        let added = proven_key(acme.client.pin().exchange(), &member, &key);
        let (index, envelope) = self.book.decree(acme, ReadBy::Everyone, |_marker| {
            Content::KeyChange(pb::KeyChange { change: Some(pb::key_change::Change::Add(added)) })
        });
        let request = pb::RotateKeyRequest { envelope: Some(envelope) };
        let changed = acme.client.roster_service().rotate_key(request).await;
        let receipt = changed.expect("a change").into_inner().receipt.expect("a receipt");
        self.book.pieces[index].sequence = receipt.sequence;
    }

    async fn change_circle(&mut self, change: impl FnOnce(&str) -> pb::audience_change::Change) {
        let acme = &self.authors[0];
        let inside = ReadBy::Circle(CIRCLE.to_owned());
        let (index, envelope) = self.book.decree(acme, inside, |marker| {
            Content::AudienceChange(pb::AudienceChange {
                audience: format!("audiences/{CIRCLE}"),
                change: Some(change(marker)),
            })
        });
        let request = pb::ChangeAudienceRequest { envelope: Some(envelope) };
        let changed = acme.client.audience_service().change_audience(request).await;
        let receipt = changed.expect("a change").into_inner().receipt.expect("a receipt");
        self.book.pieces[index].sequence = receipt.sequence;
    }

    /// The first half: what the rest is about.
    pub(crate) async fn publish_what_others_are_about(&mut self) {
        for which in [0, 2] {
            let acme = &self.authors[0];
            let reach = widest();
            let mut say = |content: &dyn Fn(&str) -> Content| {
                self.book.say(acme, Tlp::Clear, &reach, |marker| content(marker)).to_string()
            };
            let operation = say(&pieces::operation);
            let asset = say(&|marker| indicator(marker, which, &operation));
            let mut base = Base { operation, indicator: asset, inquiry: String::new() };
            base.inquiry = say(&|marker| statement(marker, 2, &base));
            self.bases.push(base);
        }
        for (index, (tlp, reach)) in handlings().iter().enumerate() {
            let author = &self.authors[index % 2];
            self.operations.push(self.book.say(author, *tlp, reach, pieces::operation));
        }
        self.publish().await;
    }

    /// Every kind of body with every handling; indicators with every label too.
    pub(crate) async fn publish_all_kinds(&mut self) {
        for (index, (tlp, reach)) in handlings().iter().enumerate() {
            let labels = if *tlp == Tlp::Red { &[Tlp::Red][..] } else { &LABELS[..] };
            for (place, tlp) in labels.iter().enumerate() {
                let number = index * 4 + place;
                let author = &self.authors[number % 2];
                let operation = match number {
                    _ if number % 7 == 0 => self.bases[0].operation.clone(),
                    _ if number % 11 == 0 => self.operations[(index + 5) % 67].to_string(),
                    _ if number % 13 == 0 => String::new(),
                    _ => self.operations[index].to_string(),
                };
                self.book.say(author, *tlp, reach, |marker| indicator(marker, number, &operation));
            }
            for which in 0..STATEMENTS {
                self.state(index + which, which, (*tlp, reach));
            }
            self.speak_of_operation(index, *tlp, reach);
        }
        self.widen_some(0..6);
        self.publish().await;
    }

    fn state(&mut self, turn: usize, which: usize, (tlp, reach): (Tlp, &Reach)) {
        let authors = if pieces::is_an_observers(which) { 3 } else { 2 };
        let author = &self.authors[turn % authors];
        let base = self.bases[turn % 2].clone();
        self.book.say(author, tlp, reach, |marker| statement(marker, which, &base));
    }

    /// An opinion on an operation by whoever may see it, and a link to it by its publisher.
    fn speak_of_operation(&mut self, index: usize, tlp: Tlp, reach: &Reach) {
        let name = self.operations[index].clone();
        let of = self.book.latest[&name];
        let roster = cast::roster(Act::First);
        for author in &self.authors[..3] {
            let reader = roster.iter().find(|reader| reader.name == author.name());
            if name.member.as_str() != author.name() && self.book.may(reader.expect("one"), of) {
                let base = Base { indicator: name.to_string(), ..self.bases[0].clone() };
                self.book.say(author, tlp, reach, |marker| statement(marker, 1, &base));
            }
        }
        let target = self.bases[index % 2].operation.clone();
        let author = &self.authors[index % 2];
        self.book.say(author, tlp, reach, |marker| pieces::link(marker, &name, &target));
    }

    /// Records for one member that are revised for more, and look different then.
    fn widen_some(&mut self, which: std::ops::Range<usize>) {
        let wide: [&[&str]; 3] = [&["companies"], &["all"], &[CIRCLE]];
        for number in which {
            let author = &self.authors[number % 2];
            let mut reach =
                Reach { recipients: ["lake-liaison".to_owned()].into(), ..Reach::default() };
            let (first, second) = (&self.operations[number], &self.operations[number + 1]);
            let first = |marker: &str| indicator(marker, 1, &first.to_string());
            let second = |marker: &str| indicator(marker, 3, &second.to_string());
            let name = self.book.say(author, Tlp::Amber, &reach, first);
            reach.audiences = wide[number % 3].iter().map(|name| (*name).to_owned()).collect();
            self.book.revise(author, &name, (Tlp::Amber, &reach), second);
        }
    }

    async fn publish(&mut self) {
        for author in &self.authors {
            self.book.publish(author).await;
        }
    }

    /// Between the acts: who joins, leaves, is suspended and reinstated.
    pub(crate) async fn change_who_is_there(&mut self) {
        self.book.act = Act::Second;
        self.admit(Act::Second).await;
        for name in ["grove-ads", "island-liaison", "heath-news"] {
            demand(&self.world.watchfire("operator", &["suspend", name]));
        }
        let names = |is: &dyn Fn(&cast::Part) -> bool| -> Vec<String> {
            CAST.iter()
                .filter(|part| is(part))
                .map(|part| format!("members/{}", part.name))
                .collect()
        };
        let was = |part: &cast::Part| part.is_in_circle(Act::First);
        let is = |part: &cast::Part| part.is_in_circle(Act::Second);
        let joined = pb::AudienceMembers { members: names(&|part| is(part) && !was(part)) };
        let left = pb::AudienceMembers { members: names(&|part| was(part) && !is(part)) };
        self.change_circle(|_| pb::audience_change::Change::Remove(left)).await;
        self.change_circle(|_| pb::audience_change::Change::Add(joined)).await;
    }

    /// The second half, after all that: new records, later revisions, and what is taken back.
    pub(crate) async fn publish_after_the_changes(&mut self) {
        for (index, (tlp, reach)) in handlings().iter().enumerate() {
            self.state(index, index / 4, (*tlp, reach));
            let operation = self.operations[index].to_string();
            let author = &self.authors[index % 2];
            self.book.say(author, *tlp, reach, |marker| indicator(marker, index, &operation));
        }
        self.widen_some(6..12);
        self.publish().await;
    }

    /// Records are taken back, some of them erased, and the recalls answered.
    pub(crate) async fn take_back(&mut self) {
        self.withdraw().await;
        self.await_erasures().await;
        self.acknowledge().await;
    }

    async fn withdraw(&mut self) {
        let is_base =
            |name: &RecordName| self.bases.iter().any(|base| base.indicator == name.to_string());
        let indicators: Vec<RecordName> = self
            .book
            .latest
            .iter()
            .filter(|(name, index)| {
                let piece = &self.book.pieces[**index];
                piece.asset.is_some() && piece.revision == 1 && !is_base(name)
            })
            .map(|(name, _)| name.clone())
            .collect();
        for (turn, name) in indicators.into_iter().skip(3).step_by(17).enumerate() {
            let read_by = self.recall_reach(self.book.latest[&name]);
            let recall = [Recall::Quiet, Recall::Demand, Recall::Takedown, Recall::Quiet][turn % 4];
            let publisher =
                if recall == Recall::Takedown { "operator" } else { name.member.as_str() };
            let author = self.authors.iter().find(|author| author.name() == publisher);
            let author = author.expect("its author");
            let (at, envelope) =
                self.book.decree(author, read_by, |marker| recall.of(marker, &name));
            let receipt = author.client.publish_one(envelope).await.expect("a receipt");
            self.book.pieces[at].sequence = receipt.sequence;
            if recall != Recall::Quiet {
                self.book.erased.insert(name);
            }
        }
    }

    /// Everyone who could see a record: then, or now.
    fn recall_reach(&self, index: usize) -> ReadBy {
        let published = self.book.pieces[index].act;
        let acts = [Act::First, Act::Second].into_iter().filter(|act| *act >= published);
        let readers = acts.flat_map(cast::roster);
        let could = readers.filter(|reader| self.book.may(reader, index));
        let once: BTreeSet<String> = could.map(|reader| reader.name).collect();
        ReadBy::WhoCouldSee(self.book.pieces[index].reach.clone(), once)
    }

    async fn await_erasures(&self) {
        for name in &self.book.erased {
            let client = &self.clients[name.member.as_str()];
            until("the body is erased", || async {
                let request =
                    pb::GetRecordRequest { name: name.to_string(), include_record: false };
                let answer = client.exchange_service().get_record(request).await.expect("a record");
                answer.into_inner().entry.expect("an entry").erased.map(|_| ())
            })
            .await;
        }
    }

    /// Two members answer what they were asked, but for some: one of them has left the circle since.
    async fn acknowledge(&mut self) {
        let recalled: Vec<(RecordName, usize)> =
            self.book.withdrawn.iter().map(|(name, by)| (name.clone(), *by)).collect();
        for who in ["fjord-mail", "cedar-chat"] {
            let part = CAST.iter().find(|part| part.name == who).expect("one of the cast");
            let reader = part.reader(Act::Second);
            let some = recalled.iter().enumerate().filter(|(turn, _)| turn % 3 != 2);
            let asked: Vec<&RecordName> = some
                .filter(|(_, (_, by))| self.book.may(&reader, *by))
                .map(|(_, (name, _))| name)
                .collect();
            for name in asked {
                self.answer(who, name).await;
            }
        }
    }

    async fn answer(&mut self, who: &str, name: &RecordName) {
        let author = Author::new(self.clients[who].clone());
        let publisher = ReadBy::PublisherOf(name.member.as_str().to_owned());
        let (at, envelope) = self.book.decree(&author, publisher, |marker| {
            Content::Acknowledgement(pb::Acknowledgement {
                of: name.to_string(),
                answer: pb::AcknowledgementAnswer::Deleted.into(),
                text: marker.to_owned(),
            })
        });
        let receipt = author.client.publish_one(envelope).await;
        let receipt = receipt.unwrap_or_else(|error| panic!("{who} answers {name}: {error}"));
        self.book.pieces[at].sequence = receipt.sequence;
    }

    pub(crate) fn reinstate_everyone(&self) {
        for part in CAST.iter().filter(|part| part.is_suspended(Act::Second)) {
            self.reinstate(part.name);
        }
    }

    pub(crate) fn reinstate(&self, name: &str) {
        demand(&self.world.watchfire("operator", &["reinstate", name]));
    }
}

/// How a record is taken back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Recall {
    /// By its publisher; the body stays.
    Quiet,
    /// By its publisher, who demands deletion: the body goes.
    Demand,
    /// By the operator: the body goes.
    Takedown,
}

impl Recall {
    fn of(self, marker: &str, name: &RecordName) -> Content {
        if self == Self::Takedown {
            return Content::Takedown(pb::Takedown {
                of: name.to_string(),
                reason: pb::TakedownReason::Legal.into(),
                explanation: marker.to_owned(),
            });
        }
        Content::Withdrawal(pb::Withdrawal {
            of: name.to_string(),
            reason: pb::WithdrawalReason::Error.into(),
            demand_deletion: self == Self::Demand,
            explanation: marker.to_owned(),
            ..pb::Withdrawal::default()
        })
    }
}
