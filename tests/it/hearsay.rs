//! How far what is said may reach: tables over pairs of handlings, through the front door, each cell as
//! [`crate::oracle`] has it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use watchfire::client::Client;
use watchfire::client::Draft;
use watchfire::client::KeeperChange;
use watchfire::client::Signer;
use watchfire::model::handling::Handling;
use watchfire::model::handling::Tlp;
use watchfire::model::names::RecordName;
use watchfire::model::names::sha256;
use watchfire::wire::pb;
use watchfire::wire::pb::body::Content;

use crate::oracle;
use crate::oracle::Reach;
use crate::oracle::ReadBy;
use crate::oracle::Reader;
use crate::oracle::Role;
use crate::world::World;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;

const CIRCLE: &str = "q0circle7k3v9q0z8m1x7c5b2n";
/// A circle that is not there.
const NOWHERE: &str = "q0nowhere3v9q0z8m1x7c5b2n0";
/// Members, their roles, and whether they are in the circle.
const MEMBERS: [(&str, Role, bool); 6] = [
    ("acme-video", Role::Company, true),
    ("birch-social", Role::Company, true),
    ("cedar-chat", Role::Company, false),
    ("dune-maps", Role::Company, true),
    ("harbour-liaison", Role::Observer, false),
    ("lake-liaison", Role::Observer, true),
];
const LABELS: [(Tlp, &str); 5] = [
    (Tlp::Clear, "CLEAR"),
    (Tlp::Green, "GREEN"),
    (Tlp::Amber, "AMBER"),
    (Tlp::AmberStrict, "AMBER_STRICT"),
    (Tlp::Red, "RED"),
];

fn roster() -> Vec<Reader> {
    let reader = |(name, role, inside): &(&str, Role, bool)| Reader {
        name: (*name).to_owned(),
        role: *role,
        suspended: false,
        circles: inside.then(|| CIRCLE.to_owned()).into_iter().collect(),
    };
    MEMBERS.iter().map(reader).collect()
}

struct Hearsay {
    world: World,
    clients: BTreeMap<&'static str, Client>,
    signers: BTreeMap<&'static str, Signer>,
    roster: Vec<Reader>,
}

impl Hearsay {
    async fn open() -> Self {
        let members = MEMBERS.map(|(name, role, _)| {
            (name, if role == Role::Company { "company" } else { "observer" })
        });
        let world = World::with(&members).await;
        let (mut clients, mut signers) = (BTreeMap::new(), BTreeMap::new());
        for (name, _, _) in MEMBERS {
            let client = world.client(name).await;
            signers.insert(name, client.signer().expect("a key"));
            clients.insert(name, client);
        }
        let inside = MEMBERS.iter().skip(1).filter(|(_, _, inside)| *inside);
        let change = KeeperChange::Create {
            title: "Desk".to_owned(),
            members: inside.map(|(name, _, _)| name.parse().expect("a member")).collect(),
        };
        let circle = CIRCLE.parse().expect("an audience");
        clients["acme-video"].change_audience(&circle, change).await.expect("a circle");
        Self { world, clients, signers, roster: roster() }
    }

    fn reader(&self, name: &str) -> &Reader {
        self.roster.iter().find(|reader| reader.name == name).expect("a member")
    }

    fn sign(&self, author: &str, draft: Draft) -> pb::Envelope {
        let now = self.clients[author].now();
        self.signers[author].sign(draft, now).expect("a record")
    }

    /// Offers records in batches; for each the reason why it was refused, or nothing.
    async fn offer(&self, author: &str, records: Vec<pb::Envelope>) -> Vec<String> {
        let mut said = Vec::new();
        for batch in records.chunks(256) {
            let request =
                pb::PublishRequest { envelopes: batch.to_vec(), ..pb::PublishRequest::default() };
            let answer = self.clients[author].exchange_service().publish(request).await;
            let results = answer.expect("an answer").into_inner().results;
            said.extend(results.into_iter().map(|result| match result.outcome {
                Some(pb::publish_result::Outcome::Refusal(refusal)) => refusal.reason,
                _ => String::new(),
            }));
        }
        said
    }

    /// Publishes one indicator for each handling; all are taken.
    async fn targets(&self, handlings: &[(usize, Reach)]) -> Vec<(RecordName, pb::Envelope)> {
        let signer = &self.signers["acme-video"];
        let drafts = handlings.iter().map(|(label, reach)| {
            draft(signer, domain("target.example"), handling_of(LABELS[*label].0, reach))
        });
        let records: Vec<(RecordName, pb::Envelope)> =
            drafts.map(|draft| (draft.name.clone(), self.sign("acme-video", draft))).collect();
        let envelopes = records.iter().map(|(_, envelope)| envelope.clone()).collect();
        let refused = self.offer("acme-video", envelopes).await;
        assert!(refused.iter().all(String::is_empty), "{refused:?}");
        records
    }

    /// Holds answers against what should be said.
    #[track_caller]
    fn compare(answers: &[String], expected: &[String], cell: impl Fn(usize) -> String) {
        assert_eq!(answers.len(), expected.len());
        let wrong = answers.iter().zip(expected).enumerate().filter(|(_, (one, two))| one != two);
        let wrong: Vec<String> = wrong
            .take(8)
            .map(|(place, (said, due))| format!("{}: {said:?}, due {due:?}", cell(place)))
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let kinds: BTreeSet<&String> = expected.iter().collect();
        assert!(kinds.len() > 1, "the table has taken and refused cells: {kinds:?}");
    }
}

fn handling_of(tlp: Tlp, reach: &Reach) -> Handling {
    let audiences: Vec<&str> = reach.audiences.iter().map(String::as_str).collect();
    let recipients: Vec<&str> = reach.recipients.iter().map(String::as_str).collect();
    Handling { tlp, ..handling(&audiences, &recipients) }
}

/// Every set of these audiences with each of these sets of recipients.
fn reaches(audiences: &[&str], recipients: &[&[&str]]) -> Vec<Reach> {
    let sets = 0..1_usize << audiences.len();
    let chosen = sets.map(|set| {
        let chosen = audiences.iter().enumerate().filter(move |(place, _)| set >> place & 1 == 1);
        chosen.map(|(_, name)| (*name).to_owned()).collect::<BTreeSet<String>>()
    });
    chosen
        .flat_map(|audiences| {
            recipients.iter().map(move |names| Reach {
                audiences: audiences.clone(),
                recipients: names.iter().map(|name| (*name).to_owned()).collect(),
            })
        })
        .collect()
}

fn note(about: &RecordName) -> Content {
    Content::Note(pb::Note { about: about.to_string(), text: "seen".to_owned() })
}

fn link(source: &RecordName, target: &RecordName) -> Content {
    let record = |name: &RecordName| {
        Some(pb::Reference { to: Some(pb::reference::To::Record(name.to_string())) })
    };
    Content::Link(pb::Link {
        source: record(source),
        target: record(target),
        r#type: pb::LinkType::Amplifies.into(),
        ..pb::Link::default()
    })
}

/// Why something that is said about a record is refused; nothing if it is taken.
fn verdict(roster: &[Reader], speaker: &Reader, said: &Reach, about: &Reach) -> &'static str {
    let publisher = "acme-video";
    if !oracle::may_address(speaker, said) {
        "AUDIENCE_FORBIDDEN"
    } else if !oracle::may_read(speaker, publisher, &ReadBy::Chosen(about.clone())) {
        "RECORD_NOT_FOUND"
    } else if oracle::exceeds(said, (speaker, roster), (publisher, about)) {
        "REACH_EXCEEDED"
    } else {
        ""
    }
}

/// The same for a link, by one of its ends.
fn link_verdict(
    roster: &[Reader],
    speaker: &Reader,
    (label, said): (&str, &Reach),
    (strict, about): &(usize, Reach),
) -> &'static str {
    match verdict(roster, speaker, said, about) {
        "" if oracle::looser(label, LABELS[*strict].1) => "REACH_EXCEEDED",
        otherwise => otherwise,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_reaches_nobody_whom_its_record_does_not() {
    let hearsay = Hearsay::open().await;
    let all = ["companies", "observers", "all", CIRCLE];
    let about = reaches(&all, &[&[], &["cedar-chat"]]);
    let handlings: Vec<(usize, Reach)> =
        about.iter().enumerate().map(|(place, reach)| (place % 4, reach.clone())).collect();
    let targets = hearsay.targets(&handlings).await;
    let mut said =
        reaches(&all, &[&[], &["acme-video"], &["dune-maps"], &["cedar-chat", "harbour-liaison"]]);
    said.extend(reaches(&[NOWHERE], &[&[]]));
    for speaker in ["birch-social", "cedar-chat", "harbour-liaison"] {
        let pairs = targets.iter().zip(&about);
        let cells: Vec<(&RecordName, &Reach, &Reach)> = pairs
            .flat_map(|((name, _), about)| said.iter().map(move |said| (name, said, about)))
            .collect();
        let signer = &hearsay.signers[speaker];
        let records = cells.iter().map(|(name, said, _)| {
            hearsay.sign(speaker, draft(signer, note(name), handling_of(Tlp::Green, said)))
        });
        let records = records.collect();
        let answers = hearsay.offer(speaker, records).await;
        let reader = hearsay.reader(speaker);
        let expected: Vec<String> = cells
            .iter()
            .map(|(_, said, about)| verdict(&hearsay.roster, reader, said, about).to_owned())
            .collect();
        Hearsay::compare(&answers, &expected, |place| format!("{speaker}: {:?}", cells[place]));
    }
    hearsay.world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_as_strict_as_its_stricter_end_and_reaches_whom_both_do() {
    let hearsay = Hearsay::open().await;
    // One end for each label and each of some reaches; RED names its readers.
    let wide = reaches(&["all"], &[&[]]).pop().expect("one");
    let circle = reaches(&[CIRCLE], &[&["birch-social"]]).pop().expect("one");
    let named = reaches(&[], &[&["birch-social", "cedar-chat"]]).pop().expect("one");
    let ends: Vec<(usize, Reach)> = (0..5)
        .flat_map(|label| [(label, wide.clone()), (label, circle.clone()), (label, named.clone())])
        .filter(|(label, reach)| oracle::label_fits(LABELS[*label].1, reach))
        .collect();
    let targets = hearsay.targets(&ends).await;
    let reader = hearsay.reader("birch-social");
    let every_two = (0..targets.len())
        .flat_map(|one| (0..targets.len()).map(move |two| (one, two)))
        .filter(|(one, two)| one != two);
    let all = [&wide, &circle, &named];
    let cells: Vec<(usize, usize, usize, &Reach)> = every_two
        .flat_map(|(one, two)| {
            (0..LABELS.len()).map(move |label| (one, two, label, all[(one + two + label) % 3]))
        })
        .filter(|(_, _, label, reach)| oracle::label_fits(LABELS[*label].1, reach))
        .collect();
    let records = cells.iter().map(|(one, two, label, reach)| {
        let signer = &hearsay.signers["birch-social"];
        let content = link(&targets[*one].0, &targets[*two].0);
        let link = draft(signer, content, handling_of(LABELS[*label].0, reach));
        hearsay.sign("birch-social", link)
    });
    let answers = hearsay.offer("birch-social", records.collect()).await;
    let expected: Vec<String> = cells
        .iter()
        .map(|(one, two, label, reach)| {
            let link = (LABELS[*label].1, *reach);
            let refused = |end| link_verdict(&hearsay.roster, reader, link, end);
            let ends = [refused(&ends[*one]), refused(&ends[*two])];
            ends.into_iter().find(|why| !why.is_empty()).unwrap_or_default().to_owned()
        })
        .collect();
    Hearsay::compare(&answers, &expected, |place| format!("{:?}", cells[place]));
    hearsay.world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_widens_and_never_narrows() {
    let hearsay = Hearsay::open().await;
    let all = reaches(
        &["companies", "observers", "all", CIRCLE],
        &[&[], &["cedar-chat"], &["cedar-chat", "lake-liaison"]],
    );
    let pairs: Vec<(&Reach, &Reach)> =
        all.iter().flat_map(|before| all.iter().map(move |after| (before, after))).collect();
    let handlings: Vec<(usize, Reach)> =
        pairs.iter().map(|(before, _)| (1, (*before).clone())).collect();
    let first = hearsay.targets(&handlings).await;
    let revised = first.iter().zip(&pairs).enumerate().map(|(place, ((name, before), pair))| {
        let next = Draft {
            name: name.clone(),
            previous: Some((1, sha256(&before.payload))),
            // The label binds onward use and may change either way.
            handling: handling_of(LABELS[place % 4].0, pair.1),
            content: domain("target.example"),
        };
        hearsay.sign("acme-video", next)
    });
    let answers = hearsay.offer("acme-video", revised.collect()).await;
    let expected: Vec<String> = pairs
        .iter()
        .map(|(before, after)| if oracle::narrows(before, after) { "REACH_NARROWED" } else { "" })
        .map(str::to_owned)
        .collect();
    Hearsay::compare(&answers, &expected, |place| format!("{:?}", pairs[place]));
    hearsay.world.finish();
}
