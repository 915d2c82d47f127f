//! Nobody is shown what is not for them, by any path, and everybody is shown what is: a matrix of readers, records and
//! ways to ask. What each cell should hold is said by [`crate::oracle`], written from the documents.

mod asking;
mod cast;
mod paths;
mod pieces;
mod stage;
mod telling;
mod whole;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use prost::Message as _;
use tonic::Streaming;
use watchfire::wire::pb;
use watchfire::wire::pb::subscribe_request::Start;

use crate::matrix::asking::Asking;
use crate::matrix::asking::Shown;
use crate::matrix::asking::Streamed;
use crate::matrix::asking::Tally;
use crate::matrix::cast::Act;
use crate::matrix::cast::CAST;
use crate::matrix::stage::Stage;
use crate::matrix::telling::Telling;
use crate::oracle::Reader;
use crate::world::PATIENCE;

/// What is said of every call: that the matrix asks it, or why it need not.
enum Row {
    /// Its answers are held against the oracle.
    Asked,
    /// Why no record of another member can be in its answers.
    Apart(&'static str),
}

const CHANGE: Row = Row::Apart("answers with the receipt of the caller's own change");
const ROWS: [(&str, Row); 27] = [
    (
        "ExchangeService/Publish",
        Row::Apart("answers with receipts and refusals of the caller's own records: `hearsay`"),
    ),
    ("ExchangeService/PublishStream", Row::Apart("the same answers as Publish")),
    ("ExchangeService/Subscribe", Row::Asked),
    ("ExchangeService/GetRecord", Row::Asked),
    ("ExchangeService/ListRecords", Row::Asked),
    ("ExchangeService/LookupValues", Row::Asked),
    ("QueryService/GetOperation", Row::Asked),
    ("QueryService/ListLinks", Row::Asked),
    ("QueryService/SearchRecords", Row::Asked),
    ("QueryService/ListRecalls", Row::Asked),
    ("QueryService/GetLedger", Row::Asked),
    ("RosterService/GetExchange", Row::Asked),
    ("RosterService/ListMembers", Row::Asked),
    ("RosterService/GetMember", Row::Asked),
    ("RosterService/ListKeys", Row::Asked),
    ("RosterService/GetQuota", Row::Asked),
    ("RosterService/AdmitMember", CHANGE),
    ("RosterService/SuspendMember", CHANGE),
    ("RosterService/ReinstateMember", CHANGE),
    ("RosterService/RotateKey", CHANGE),
    ("RosterService/RetireKey", CHANGE),
    ("RosterService/SetQuota", CHANGE),
    ("AudienceService/ChangeAudience", CHANGE),
    ("AudienceService/ListAudiences", Row::Asked),
    ("SubscriptionService/CreateSubscription", Row::Asked),
    ("SubscriptionService/ListSubscriptions", Row::Asked),
    ("SubscriptionService/AcknowledgeSubscription", Row::Asked),
];
const LEAVES: Row =
    Row::Apart("digests of every entry, which every member may have: no header, no body");
const MORE_ROWS: [(&str, Row); 16] = [
    ("RosterService/ResetKeys", CHANGE),
    ("TransparencyService/GetCheckpoint", LEAVES),
    ("TransparencyService/GetInclusionProof", LEAVES),
    ("TransparencyService/GetMultiproof", LEAVES),
    ("TransparencyService/GetConsistencyProof", LEAVES),
    ("TransparencyService/ListLeafHashes", LEAVES),
    (
        "TransparencyService/AddCosignature",
        Row::Apart("answers with the caller's own cosigned checkpoint"),
    ),
    (
        "TransparencyService/PutPublisherHead",
        Row::Apart("keeps the caller's own head, and says nothing"),
    ),
    ("TransparencyService/ListPublisherHeads", Row::Asked),
    ("TransparencyService/ListPublisherEntries", Row::Asked),
    (
        "TransparencyService/ReportMisbehavior",
        Row::Apart("answers with what the hub signs of the caller's own evidence"),
    ),
    ("TransparencyService/ListMisbehaviorReports", Row::Asked),
    ("ExportService/Export", Row::Asked),
    ("SubscriptionService/SeekSubscription", Row::Asked),
    ("SubscriptionService/DeleteSubscription", Row::Asked),
    (
        "QueryService/ListTechniques",
        Row::Apart("answers from the operator's files, which hold no record"),
    ),
];

#[test]
fn every_call_is_in_the_matrix_or_says_why_not() {
    let rows: BTreeSet<&str> = ROWS.iter().chain(&MORE_ROWS).map(|(rpc, _)| *rpc).collect();
    let files = prost_types::FileDescriptorSet::decode(watchfire::wire::DESCRIPTORS);
    let services = files.expect("descriptors").file.into_iter().flat_map(|file| file.service);
    let calls: BTreeSet<String> = services
        .flat_map(|service| {
            let name = service.name().to_owned();
            let calls = service.method.into_iter();
            calls.map(move |call| format!("{name}/{}", call.name()))
        })
        .collect();
    assert_eq!(calls, rows.into_iter().map(str::to_owned).collect());
    let apart = ROWS.iter().filter_map(|(_, row)| match row {
        Row::Apart(why) => Some(why),
        Row::Asked => None,
    });
    assert!(apart.map(|why| why.len()).all(|length| length > 20), "a reason says something");
}

/// A live subscription of a member, and what it was shown so far.
struct Live {
    frames: Streaming<pb::SubscribeResponse>,
    streamed: Streamed,
}

/// Where a member stood, and what it could see then.
struct Stood {
    streamed: Streamed,
    could_see: Shown,
}

struct Matrix {
    stage: Stage,
    tally: Tally,
    live: BTreeMap<&'static str, Live>,
    stood: Vec<(&'static str, Stood)>,
}

impl Matrix {
    async fn open() -> Self {
        let stage = Stage::open().await;
        let mut live = BTreeMap::new();
        for (name, client) in &stage.clients {
            let request = pb::SubscribeRequest {
                start: Some(Start::From(pb::StartPoint::Start.into())),
                ..pb::SubscribeRequest::default()
            };
            let frames = client.exchange_service().subscribe(request).await.expect("a stream");
            live.insert(*name, Live { frames: frames.into_inner(), streamed: Streamed::default() });
        }
        Self { stage, tally: Tally::default(), live, stood: Vec::new() }
    }

    fn asking<'a>(
        &'a self,
        telling: &'a Telling,
        (reader, everyone): (&'a Reader, &'a [Reader]),
    ) -> Asking<'a> {
        let mut cast = CAST.iter().enumerate();
        let (turn, part) =
            cast.find(|(_, part)| part.name == reader.name).expect("one of the cast");
        let book = &self.stage.book;
        let acts = [Act::First, Act::Second].into_iter().filter(|act| *act <= book.act);
        let was_inside = acts.into_iter().any(|act| part.is_in_circle(act));
        Asking {
            client: &self.stage.clients[part.name],
            reader,
            everyone,
            book,
            telling,
            ears: telling.ears(book, reader, was_inside),
            tally: &self.tally,
            turn,
            sees: (0..book.pieces.len()).map(|index| book.may(reader, index)).collect(),
            current: (0..book.pieces.len()).map(|index| book.is_current(index)).collect(),
        }
    }

    /// Members ask everything; of those paths that go record by record, each `every`th.
    async fn ask(&self, act: Act, who: &[&str], every: usize) {
        let telling = Telling::new(&self.stage.book);
        let everyone = cast::roster(act);
        let asks = |reader: &&Reader| {
            !reader.suspended && (who.is_empty() || who.contains(&reader.name.as_str()))
        };
        for reader in everyone.iter().filter(asks) {
            let asking = self.asking(&telling, (reader, &everyone));
            asking.everything(every).await;
        }
    }

    /// Every live subscription is read up to the head. What it shows beyond what it showed must be what its member may
    /// see by now.
    async fn drain(&mut self, act: Act) {
        let telling = Telling::new(&self.stage.book);
        let everyone = cast::roster(act);
        let mut live = std::mem::take(&mut self.live);
        for (name, live) in &mut live {
            let reader = everyone.iter().find(|reader| reader.name == *name).expect("a member");
            let asking = self.asking(&telling, (reader, &everyone));
            let before = live.streamed.shown.clone();
            while live.streamed.position < self.head() {
                let frame = tokio::time::timeout(PATIENCE, live.frames.message()).await;
                let frame = frame.expect("in time").expect("a frame").expect("no end");
                asking.take(&mut live.streamed, frame);
            }
            let new: Shown = live.streamed.shown.difference(&before).copied().collect();
            let expected = asking.visible(|index| !before.contains(&index));
            asking.compare("live", &new, &expected);
        }
        self.live = live;
    }

    /// The place behind the last piece.
    fn head(&self) -> u64 {
        let last = self.stage.book.pieces.iter().map(|piece| piece.sequence).max();
        last.unwrap_or_default() + 1
    }

    /// Every member takes note of where it stands.
    async fn stand(&mut self, act: Act) {
        let telling = Telling::new(&self.stage.book);
        let everyone = cast::roster(act);
        let mut stood = Vec::new();
        for part in CAST.iter().filter(|part| part.is_there(act) && !part.is_suspended(act)) {
            let reader = part.reader(act);
            let asking = self.asking(&telling, (&reader, &everyone));
            let from = Start::From(pb::StartPoint::Start.into());
            let streamed = asking.stream(from, None, false).await.expect("a stream");
            stood.push((part.name, Stood { streamed, could_see: asking.visible(|_| true) }));
        }
        self.stood.extend(stood);
    }

    /// Every member goes on from where it stood: it is sent what came since, and what it could not see then and can
    /// now.
    async fn go_on(&self, act: Act) {
        let telling = Telling::new(&self.stage.book);
        let everyone = cast::roster(act);
        for (name, stood) in &self.stood {
            let reader = everyone.iter().find(|reader| reader.name == *name).expect("a member");
            if reader.suspended {
                continue;
            }
            let asking = self.asking(&telling, (reader, &everyone));
            let cursor = Start::Cursor(stood.streamed.cursor.clone());
            let streamed = asking.stream(cursor, None, false).await.unwrap_or_default();
            let is_new = |index: usize| {
                let piece = &self.stage.book.pieces[index];
                piece.sequence >= stood.streamed.position || !stood.could_see.contains(&index)
            };
            asking.compare("an old cursor", &streamed.shown, &asking.visible(is_new));
        }
    }

    /// Streams of suspended members end within a second, and say why.
    async fn suspended_streams_end(&mut self) {
        for name in ["grove-ads", "island-liaison", "heath-news"] {
            let mut live = self.live.remove(name).expect("a stream");
            let ended = tokio::time::timeout(Duration::from_secs(1), self.end_of(&mut live.frames));
            let ended = ended.await.expect("within a second");
            assert_eq!(reason_of(&ended), "MEMBER_SUSPENDED", "{name}");
        }
    }

    /// How a stream ends. Until then it shows entries of the exchange itself, and no record.
    async fn end_of(&self, frames: &mut Streaming<pb::SubscribeResponse>) -> tonic::Status {
        loop {
            let frame = match frames.message().await {
                Ok(frame) => frame.expect("no end without a word"),
                Err(status) => return status,
            };
            let mut shown =
                frame.entries.iter().filter_map(|entry| self.stage.book.piece_of(entry));
            assert_eq!(shown.next(), None, "a record is shown");
        }
    }
}

fn reason_of(status: &tonic::Status) -> String {
    let info = tonic_types::StatusExt::get_details_error_info(status);
    info.map(|info| info.reason).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_is_shown_what_is_for_them_and_nothing_else() {
    // Those who will join, leave, be suspended; and one of each kind who will not.
    const CHANGING: &[&str] = &[
        "elm-books",
        "fjord-mail",
        "grove-ads",
        "island-liaison",
        "heath-news",
        "jetty-audit",
        "operator",
    ];
    let mut matrix = Matrix::open().await;
    matrix.stage.publish_what_others_are_about().await;
    matrix.stand(Act::First).await;
    matrix.stage.publish_all_kinds().await;
    matrix.drain(Act::First).await;
    matrix.stand(Act::First).await;
    matrix.ask(Act::First, CHANGING, 25).await;

    matrix.stage.change_who_is_there().await;
    matrix.suspended_streams_end().await;
    matrix.stage.reinstate("heath-news");
    matrix.stage.publish_after_the_changes().await;
    matrix.drain(Act::Second).await;
    matrix.stage.take_back().await;
    matrix.drain(Act::Second).await;
    matrix.go_on(Act::Second).await;
    matrix.ask(Act::Second, &[], 8).await;

    matrix.stage.reinstate_everyone();
    matrix.go_on(Act::Third).await;
    matrix.ask(Act::Third, &["grove-ads", "island-liaison"], 25).await;

    matrix.tally.demand_none();
    let asked = matrix.tally.asked.lock().expect("nobody panics").clone();
    let rows = ROWS.iter().chain(&MORE_ROWS);
    let wanted = rows.filter(|(_, row)| matches!(row, Row::Asked)).map(|(rpc, _)| *rpc);
    assert_eq!(asked, wanted.collect());
    let cells = matrix.tally.cells.load(Ordering::Relaxed);
    println!("{cells} cells");
    assert!(cells > 5_000_000, "{cells} cells");
    let log = matrix.stage.world.log_text();
    let told = matrix.stage.book.pieces.iter().find(|piece| log.contains(&piece.marker));
    assert!(told.is_none(), "the hub's log holds what {told:?} says");
    matrix.stage.world.finish();
}
