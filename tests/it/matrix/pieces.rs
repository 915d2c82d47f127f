//! What is published in the matrix: every kind of body with every handling, each revision with a marker of its own.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;

use prost::Message as _;
use watchfire::client::Client;
use watchfire::client::Draft;
use watchfire::client::HEAD_DUE_AFTER;
use watchfire::client::Signer;
use watchfire::model::handling::Handling;
use watchfire::model::handling::Tlp;
use watchfire::model::header::BodyKind;
use watchfire::model::names::Digest;
use watchfire::model::names::RecordName;
use watchfire::model::names::sha256;
use watchfire::wire::pb;
use watchfire::wire::pb::body::Content;

use crate::matrix::cast::Act;
use crate::matrix::cast::CIRCLE;
use crate::oracle;
use crate::oracle::Reach;
use crate::oracle::ReadBy;
use crate::oracle::Reader;
use crate::world::handling;

/// A word of every text that is published, besides its marker.
pub(crate) const COMMON: &str = "lanternfish";
/// A value that many indicators share.
pub(crate) const SHARED: &str = "shared-harbour.example";
/// A technique that many records share.
pub(crate) const TECHNIQUE: &str = "T0013";
pub(crate) const REGION: &str = "FR";

/// Who publishes.
pub(crate) struct Author {
    pub(crate) client: Client,
    signer: Signer,
}

impl Author {
    pub(crate) fn new(client: Client) -> Self {
        let signer = client.signer().expect("a key");
        Self { client, signer }
    }

    pub(crate) fn name(&self) -> &str {
        self.signer.member().as_str()
    }
}

/// One revision of a record, as the oracle needs to know it.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) name: RecordName,
    pub(crate) revision: u32,
    /// Stands in the body of this revision, and nowhere else.
    pub(crate) marker: String,
    pub(crate) kind: BodyKind,
    pub(crate) reach: Reach,
    pub(crate) read_by: ReadBy,
    pub(crate) digest: Digest,
    /// Records that it is about.
    pub(crate) about: Vec<RecordName>,
    /// The operation that it names, or that what it is about belongs to.
    pub(crate) operation: Option<RecordName>,
    /// For an indicator: kind, platform and value of its observable.
    pub(crate) asset: Option<(pb::ObservableKind, &'static str, String)>,
    pub(crate) sequence: u64,
    /// When it was published.
    pub(crate) act: Act,
}

impl Piece {
    pub(crate) fn publisher(&self) -> &str {
        self.name.member.as_str()
    }
}

/// Everything that was published.
#[derive(Default)]
pub(crate) struct Book {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) by_digest: HashMap<Digest, usize>,
    pub(crate) latest: BTreeMap<RecordName, usize>,
    revisions: HashMap<RecordName, Vec<usize>>,
    /// The pieces that name a record.
    pub(crate) naming: HashMap<RecordName, Vec<usize>>,
    /// The act that is played.
    pub(crate) act: Act,
    /// Records that were taken back, and by which piece.
    pub(crate) withdrawn: BTreeMap<RecordName, usize>,
    /// Records whose bodies are erased.
    pub(crate) erased: BTreeSet<RecordName>,
    waiting: BTreeMap<String, Vec<(usize, pb::Envelope)>>,
}

impl Book {
    /// Signs a new record; what it is called.
    pub(crate) fn say(
        &mut self,
        author: &Author,
        tlp: Tlp,
        reach: &Reach,
        say: impl FnOnce(&str) -> Content,
    ) -> RecordName {
        let name =
            RecordName { member: author.signer.member().clone(), record: uuid::Uuid::now_v7() };
        let read_by = ReadBy::Chosen(reach.clone());
        let piece = self.sign(author, (name.clone(), None), (tlp, reach), (read_by, say));
        self.keep(author, piece);
        name
    }

    /// Signs the next revision of a record.
    pub(crate) fn revise(
        &mut self,
        author: &Author,
        name: &RecordName,
        (tlp, reach): (Tlp, &Reach),
        say: impl FnOnce(&str) -> Content,
    ) {
        let before = &self.pieces[self.latest[name]];
        let previous = Some((before.revision, before.digest));
        let read_by = ReadBy::Chosen(reach.clone());
        let piece = self.sign(author, (name.clone(), previous), (tlp, reach), (read_by, say));
        self.keep(author, piece);
    }

    /// Signs a record of a kind whose reach is not its publisher's to choose; its envelope.
    pub(crate) fn decree(
        &mut self,
        author: &Author,
        read_by: ReadBy,
        say: impl FnOnce(&str) -> Content,
    ) -> (usize, pb::Envelope) {
        let name =
            RecordName { member: author.signer.member().clone(), record: uuid::Uuid::now_v7() };
        let nobody = Reach::default();
        let (piece, envelope) =
            self.sign(author, (name, None), (Tlp::Green, &nobody), (read_by, say));
        (self.add(piece), envelope)
    }

    fn sign(
        &self,
        author: &Author,
        (name, previous): (RecordName, Option<(u32, Digest)>),
        (tlp, reach): (Tlp, &Reach),
        (read_by, say): (ReadBy, impl FnOnce(&str) -> Content),
    ) -> (Piece, pb::Envelope) {
        let marker = format!("mk{:05}q", self.pieces.len());
        let content = say(&marker);
        let handling = handling_of(tlp, reach);
        let revision = previous.map_or(1, |(revision, _)| revision + 1);
        let draft = Draft { name: name.clone(), previous, handling, content: content.clone() };
        let envelope = author.signer.sign(draft, author.client.now()).expect("a record");
        let about = about(&content);
        let piece = Piece {
            operation: self.operation_of(&content, &about),
            asset: asset_of(&content),
            kind: kind_of(&content),
            digest: sha256(&envelope.payload),
            reach: reach.clone(),
            sequence: u64::MAX,
            act: self.act,
            name,
            revision,
            marker,
            read_by,
            about,
        };
        (piece, envelope)
    }

    fn operation_of(&self, content: &Content, about: &[RecordName]) -> Option<RecordName> {
        if let Content::Indicator(said) = content {
            return said.operation.parse().ok();
        }
        let is_recall = matches!(content, Content::Withdrawal(_) | Content::Takedown(_));
        about.iter().filter(|_name| !is_recall).find_map(|name| {
            let target = &self.pieces[*self.latest.get(name)?];
            let is_one = target.kind == BodyKind::Operation;
            if is_one { Some(name.clone()) } else { target.operation.clone() }
        })
    }

    fn keep(&mut self, author: &Author, (piece, envelope): (Piece, pb::Envelope)) {
        let index = self.add(piece);
        self.waiting.entry(author.name().to_owned()).or_default().push((index, envelope));
    }

    fn add(&mut self, piece: Piece) -> usize {
        let index = self.pieces.len();
        self.by_digest.insert(piece.digest, index);
        self.latest.insert(piece.name.clone(), index);
        self.revisions.entry(piece.name.clone()).or_default().push(index);
        for name in piece.about.iter().chain(&piece.operation) {
            self.naming.entry(name.clone()).or_default().push(index);
        }
        if [BodyKind::Withdrawal, BodyKind::Takedown].contains(&piece.kind) {
            self.withdrawn.insert(piece.about[0].clone(), index);
        }
        self.pieces.push(piece);
        index
    }

    /// Publishes what an author signed; every record must be taken.
    pub(crate) async fn publish(&mut self, author: &Author) {
        let waiting = self.waiting.remove(author.name()).unwrap_or_default();
        for batch in waiting.chunks(128) {
            let envelopes: Vec<pb::Envelope> =
                batch.iter().map(|(_, envelope)| envelope.clone()).collect();
            let outcomes = author.client.publish(envelopes).await.expect("answers");
            for (outcome, (index, _)) in outcomes.into_iter().zip(batch) {
                let piece = &mut self.pieces[*index];
                let receipt = outcome.receipt();
                let receipt = receipt.unwrap_or_else(|error| panic!("{piece:?}: {error}"));
                piece.sequence = receipt.sequence;
            }
        }
        let heads = author.client.put_heads(false, HEAD_DUE_AFTER).await.expect("answers");
        assert!(heads.refused.is_empty(), "{}: {:?}", author.name(), heads.refused);
    }

    pub(crate) fn of(&self, name: &RecordName) -> impl Iterator<Item = (usize, &Piece)> {
        self.revisions[name].iter().map(|index| (*index, &self.pieces[*index]))
    }

    pub(crate) fn is_latest(&self, index: usize) -> bool {
        self.latest[&self.pieces[index].name] == index
    }

    pub(crate) fn is_current(&self, index: usize) -> bool {
        self.is_latest(index) && !self.withdrawn.contains_key(&self.pieces[index].name)
    }

    pub(crate) fn may(&self, reader: &Reader, index: usize) -> bool {
        let piece = &self.pieces[index];
        oracle::may_read(reader, piece.publisher(), &piece.read_by)
    }

    /// The piece that an entry is.
    pub(crate) fn piece_of(&self, entry: &pb::Entry) -> Option<usize> {
        let payload = &entry.envelope.as_ref()?.payload;
        self.by_digest.get(&sha256(payload)).copied()
    }
}

/// Every combination of audiences and recipients, the ones of RED last; with a label, each label as often.
pub(crate) fn handlings() -> Vec<(Tlp, Reach)> {
    let recipients: [&[&str]; 4] =
        [&[], &["cedar-chat"], &["lake-liaison"], &["cedar-chat", "grove-ads", "island-liaison"]];
    let audiences = ["companies", "observers", "all", CIRCLE];
    let mut all = Vec::new();
    for chosen in 0..16_usize {
        let audiences: BTreeSet<String> = (0..4)
            .filter(|place| chosen >> place & 1 == 1)
            .map(|place| audiences[place].to_owned())
            .collect();
        for recipients in recipients {
            let recipients = recipients.iter().map(|name| (*name).to_owned()).collect();
            all.push(Reach { audiences: audiences.clone(), recipients });
        }
    }
    let labels = [Tlp::Clear, Tlp::Green, Tlp::Amber, Tlp::AmberStrict];
    let chosen = all.iter().enumerate();
    let mut handlings: Vec<(Tlp, Reach)> =
        chosen.map(|(index, reach)| (labels[index % 4], reach.clone())).collect();
    let named =
        all.iter().filter(|reach| reach.audiences.is_empty() && !reach.recipients.is_empty());
    handlings.extend(named.map(|reach| (Tlp::Red, reach.clone())));
    handlings
}

/// Everyone who can be a reader.
pub(crate) fn widest() -> Reach {
    let audiences = ["all", CIRCLE].map(str::to_owned).into_iter().collect();
    Reach { audiences, recipients: BTreeSet::new() }
}

pub(crate) fn handling_of(tlp: Tlp, reach: &Reach) -> Handling {
    let audiences: Vec<&str> = reach.audiences.iter().map(String::as_str).collect();
    let recipients: Vec<&str> = reach.recipients.iter().map(String::as_str).collect();
    Handling { tlp, ..handling(&audiences, &recipients) }
}

pub(crate) fn kind_of(content: &Content) -> BodyKind {
    // The number of the content's field, which is the first of the body's bytes behind the salt.
    let body = pb::Body { salt: Vec::new(), content: Some(content.clone()) }.encode_to_vec();
    let mut key = body.as_slice();
    let key = prost::encoding::decode_varint(&mut key).expect("a key");
    BodyKind::from_number(i32::try_from(key >> 3).expect("a number")).expect("a kind")
}

/// The records that a body is about.
fn about(content: &Content) -> Vec<RecordName> {
    let end = |end: &Option<pb::Reference>| match end.as_ref().and_then(|end| end.to.as_ref()) {
        Some(pb::reference::To::Record(name)) => name.clone(),
        _ => String::new(),
    };
    let names = match content {
        Content::Attribution(said) => vec![said.operation.clone()],
        Content::Link(said) => vec![end(&said.source), end(&said.target)],
        Content::Sighting(said) => vec![said.of.clone()],
        Content::Opinion(said) => vec![said.of.clone()],
        Content::ActionReport(said) => vec![said.of.clone()],
        Content::Inquiry(said) => vec![end(&said.about)],
        Content::Reply(said) => vec![said.to.clone()],
        Content::Note(said) => vec![said.about.clone()],
        Content::Withdrawal(said) => vec![said.of.clone()],
        Content::Takedown(said) => vec![said.of.clone()],
        Content::Acknowledgement(said) => vec![said.of.clone()],
        Content::Indicator(_)
        | Content::Operation(_)
        | Content::RosterChange(_)
        | Content::KeyChange(_)
        | Content::AudienceChange(_)
        | Content::Erasure(_)
        | Content::Retention(_)
        | Content::Epoch(_)
        | Content::Conflict(_)
        | Content::LogKeyChange(_)
        | Content::Genesis(_) => Vec::new(),
    };
    names.iter().filter_map(|name| name.parse().ok()).collect()
}

fn asset_of(content: &Content) -> Option<(pb::ObservableKind, &'static str, String)> {
    let Content::Indicator(said) = content else { return None };
    let observable = said.observable.as_ref()?;
    let platform = ["x", "facebook", "youtube"]
        .into_iter()
        .find(|platform| *platform == observable.platform)
        .unwrap_or_default();
    Some((observable.kind(), platform, observable.value.clone()))
}

/// An indicator; `which` chooses the kind of its asset.
pub(crate) fn indicator(marker: &str, which: usize, operation: &str) -> Content {
    use pb::ObservableKind::Account;
    use pb::ObservableKind::Aggregate;
    use pb::ObservableKind::Domain;
    use pb::ObservableKind::MediaHash;
    use pb::ObservableKind::Page;
    use pb::ObservableKind::Url;

    let (kind, platform, value) = match which % 7 {
        0 => (Domain, "", format!("{marker}.example")),
        1 => (Account, "x", marker.to_owned()),
        2 => (Url, "", format!("https://{marker}.example/{COMMON}")),
        3 => (Page, "facebook", marker.to_owned()),
        4 => (MediaHash, "", media(marker)),
        5 => (Aggregate, "youtube", String::new()),
        _ => (Domain, "", SHARED.to_owned()),
    };
    let figure = pb::Figure { value: Some(pb::figure::Value::Exact(7)) };
    let aggregate = pb::Aggregate { of: Account.into(), count: Some(figure), parts: Vec::new() };
    Content::Indicator(pb::Indicator {
        observable: Some(pb::Observable {
            kind: kind.into(),
            platform: platform.to_owned(),
            value,
            algorithm: if kind == MediaHash { "pdq" } else { "" }.to_owned(),
            aggregate: (kind == Aggregate).then_some(aggregate),
            ..pb::Observable::default()
        }),
        operation: operation.to_owned(),
        confidence: Some(70),
        techniques: techniques(marker),
        metrics: metrics(marker),
        description: text(marker),
        labels: vec![marker.to_owned()],
        ..pb::Indicator::default()
    })
}

/// A PDQ hash that differs from all others of its sort in some of 17 bits.
pub(crate) fn media(marker: &str) -> String {
    let number: u32 =
        marker.trim_matches(|letter: char| !letter.is_ascii_digit()).parse().expect("a number");
    let mut hash = sha256(COMMON.as_bytes());
    for (byte, bits) in hash.iter_mut().rev().zip(number.to_be_bytes().into_iter().rev()) {
        *byte ^= bits;
    }
    hex::encode(hash)
}

pub(crate) fn operation(marker: &str) -> Content {
    Content::Operation(pb::Operation {
        title: text(marker),
        aliases: vec![marker.to_owned()],
        target_regions: vec![REGION.to_owned()],
        languages: vec!["fr-CA".to_owned()],
        narratives: vec![text(marker)],
        techniques: techniques(marker),
        metrics: metrics(marker),
        ..pb::Operation::default()
    })
}

/// What others are about.
#[derive(Clone)]
pub(crate) struct Base {
    pub(crate) operation: String,
    pub(crate) indicator: String,
    pub(crate) inquiry: String,
}

/// The kinds of what is said about a record, in an order that `statement` knows.
pub(crate) const STATEMENTS: usize = 8;

/// Something that is said about a record.
pub(crate) fn statement(marker: &str, which: usize, base: &Base) -> Content {
    let record =
        |name: &str| Some(pb::Reference { to: Some(pb::reference::To::Record(name.to_owned())) });
    let of = base.indicator.clone();
    match which % STATEMENTS {
        0 => Content::Sighting(pb::Sighting {
            of,
            count: 3,
            description: text(marker),
            ..pb::Sighting::default()
        }),
        1 => Content::Opinion(pb::Opinion {
            of,
            stance: pb::Stance::Agree.into(),
            text: text(marker),
            ..pb::Opinion::default()
        }),
        2 => Content::Inquiry(pb::Inquiry {
            about: record(&of),
            question: text(marker),
            ..pb::Inquiry::default()
        }),
        3 => Content::Reply(pb::Reply {
            to: base.inquiry.clone(),
            result: pb::ReplyResult::Yes.into(),
            text: text(marker),
        }),
        4 => Content::Note(pb::Note { about: base.operation.clone(), text: text(marker) }),
        5 => Content::Attribution(pb::Attribution {
            operation: base.operation.clone(),
            actor: text(marker),
            ..pb::Attribution::default()
        }),
        6 => Content::ActionReport(pb::ActionReport {
            of,
            action: pb::Action::Removed.into(),
            metrics: metrics(marker),
            text: text(marker),
            ..pb::ActionReport::default()
        }),
        _ => Content::Link(pb::Link {
            source: record(&of),
            target: Some(pb::Reference { to: Some(pb::reference::To::Value(domain(marker))) }),
            r#type: pb::LinkType::Amplifies.into(),
            description: text(marker),
            ..pb::Link::default()
        }),
    }
}

/// Whether an observer may say so.
pub(crate) const fn is_an_observers(which: usize) -> bool {
    which % STATEMENTS < 5
}

pub(crate) fn link(marker: &str, source: &RecordName, target: &str) -> Content {
    let record = |name: String| Some(pb::Reference { to: Some(pb::reference::To::Record(name)) });
    Content::Link(pb::Link {
        source: record(source.to_string()),
        target: record(target.to_owned()),
        r#type: pb::LinkType::PartOf.into(),
        description: text(marker),
        ..pb::Link::default()
    })
}

fn domain(marker: &str) -> pb::Observable {
    pb::Observable {
        kind: pb::ObservableKind::Domain.into(),
        value: format!("{marker}.example"),
        ..pb::Observable::default()
    }
}

fn text(marker: &str) -> String {
    format!("{COMMON} {marker}")
}

fn techniques(marker: &str) -> Vec<pb::Technique> {
    let technique = |external_id: &str| pb::Technique {
        framework: "disarm".to_owned(),
        external_id: external_id.to_owned(),
        ..pb::Technique::default()
    };
    vec![technique(TECHNIQUE), technique(marker)]
}

fn metrics(marker: &str) -> Vec<pb::Metric> {
    vec![pb::Metric {
        kind: pb::MetricKind::Views.into(),
        figure: Some(pb::Figure { value: Some(pb::figure::Value::AtLeast(5)) }),
        note: marker.to_owned(),
        ..pb::Metric::default()
    }]
}
