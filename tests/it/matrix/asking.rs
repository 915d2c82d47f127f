//! One member asks everything that can be asked, by every path, and each answer is held against the oracle.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use prost::Message;
use tonic::Code;
use tonic::Response;
use tonic::Status;
use watchfire::client::Client;
use watchfire::wire::pb;
use watchfire::wire::pb::subscribe_request::Start;

use crate::matrix::pieces::Book;
use crate::matrix::telling::Ears;
use crate::matrix::telling::Telling;
use crate::oracle::Reader;

/// What went wrong, how often, and what was asked.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) cells: AtomicU64,
    pub(crate) asked: Mutex<BTreeSet<&'static str>>,
    faults: Mutex<BTreeMap<String, (u64, String)>>,
}

impl Tally {
    /// Counts a fault; of each sort the first is kept whole.
    pub(crate) fn fault(&self, sort: String, what: impl FnOnce() -> String) {
        let mut faults = self.faults.lock().expect("nobody panics");
        faults.entry(sort).or_insert_with(|| (0, what())).0 += 1;
    }

    #[track_caller]
    pub(crate) fn demand_none(&self) {
        let faults = self.faults.lock().expect("nobody panics");
        let lines: Vec<String> = faults
            .iter()
            .map(|(sort, (times, first))| format!("{sort} ({times} times), first: {first}"))
            .collect();
        assert!(lines.is_empty(), "{}", lines.join("\n"));
    }
}

/// One member at one moment.
pub(crate) struct Asking<'a> {
    pub(crate) client: &'a Client,
    pub(crate) reader: &'a Reader,
    /// Everyone who takes part at that moment.
    pub(crate) everyone: &'a [Reader],
    pub(crate) book: &'a Book,
    pub(crate) telling: &'a Telling,
    pub(crate) ears: Ears,
    pub(crate) tally: &'a Tally,
    /// Which of what members ask by turns this one asks.
    pub(crate) turn: usize,
    /// For each piece, whether the member may see it.
    pub(crate) sees: Vec<bool>,
    /// For each piece, whether it is the latest revision of a record that was not taken back.
    pub(crate) current: Vec<bool>,
}

pub(crate) type Shown = BTreeSet<usize>;

/// What a stream showed, and where it stood.
#[derive(Clone, Default)]
pub(crate) struct Streamed {
    pub(crate) shown: Shown,
    pub(crate) cursor: Vec<u8>,
    pub(crate) position: u64,
    pub(crate) head: u64,
    /// Entries of the exchange itself, which are not in the book.
    pub(crate) common: u64,
}

impl Asking<'_> {
    /// Takes an answer, whatever it is, and looks for what is not for this member in all of it.
    pub(crate) fn hear<R: Message>(
        &self,
        rpc: &'static str,
        answer: Result<Response<R>, Status>,
    ) -> Result<R, Status> {
        self.hear_but(rpc, answer, |_whole| {})
    }

    /// The same; `strip` takes out what the member said itself.
    pub(crate) fn hear_but<R: Message>(
        &self,
        rpc: &'static str,
        answer: Result<Response<R>, Status>,
        strip: impl FnOnce(&mut R),
    ) -> Result<R, Status> {
        self.tally.asked.lock().expect("nobody panics").insert(rpc);
        match answer {
            Ok(response) => {
                self.listen(rpc, format!("{:?}", response.metadata()).as_bytes());
                let mut said = response.into_inner();
                strip(&mut said);
                self.listen(rpc, &said.encode_to_vec());
                Ok(said)
            }
            Err(status) => {
                self.listen(rpc, format!("{status:?}").as_bytes());
                self.listen(rpc, status.details());
                Err(status)
            }
        }
    }

    pub(crate) fn listen(&self, rpc: &str, bytes: &[u8]) {
        if let Some(leak) = self.telling.leak(self.book, &self.ears, bytes) {
            self.tally
                .fault(format!("LEAK {rpc}"), || format!("{} hears {leak}", self.reader.name));
        }
    }

    pub(crate) fn may(&self, index: usize) -> bool {
        self.sees[index]
    }

    /// The pieces for which something holds, among those that the member may see.
    pub(crate) fn visible(&self, holds: impl Fn(usize) -> bool) -> Shown {
        (0..self.book.pieces.len()).filter(|index| self.may(*index) && holds(*index)).collect()
    }

    pub(crate) fn entries(&self, entries: &[pb::Entry]) -> Shown {
        self.in_order(entries).into_iter().collect()
    }

    pub(crate) fn in_order(&self, entries: &[pb::Entry]) -> Vec<usize> {
        entries.iter().filter_map(|entry| self.book.piece_of(entry)).collect()
    }

    /// Holds what was shown against what should be: a cell for each piece.
    pub(crate) fn compare(&self, path: &str, shown: &Shown, expected: &Shown) {
        let cells = u64::try_from(self.book.pieces.len()).expect("a number");
        self.tally.cells.fetch_add(cells, Ordering::Relaxed);
        let told = |index: &usize| {
            let piece = &self.book.pieces[*index];
            format!("{}: {piece:?}", self.reader.name)
        };
        for index in shown.difference(expected) {
            self.tally.fault(format!("SHOWN WRONGLY {path}"), || told(index));
        }
        for index in expected.difference(shown) {
            self.tally.fault(format!("REFUSED WRONGLY {path}"), || told(index));
        }
    }

    pub(crate) fn same<T: PartialEq + std::fmt::Debug>(&self, path: &str, said: &T, expected: &T) {
        self.tally.cells.fetch_add(1, Ordering::Relaxed);
        if said != expected {
            self.tally.fault(format!("NOT THE SAME {path}"), || {
                format!("{}: {said:?}, expected {expected:?}", self.reader.name)
            });
        }
    }

    /// A call that must be answered.
    pub(crate) fn answered<R>(&self, path: &str, answer: Result<R, Status>) -> Option<R> {
        answer
            .map_err(|status| {
                self.tally.fault(format!("NOT ANSWERED {path}"), || {
                    format!("{}: {status:?}", self.reader.name)
                });
            })
            .ok()
    }

    /// Whether a record was answered; everything but an answer must be the one refusal.
    pub(crate) fn found<R>(&self, path: &str, answer: Result<R, Status>) -> Option<R> {
        answer
            .map_err(|status| {
                if status.code() != Code::NotFound {
                    self.tally.fault(format!("REFUSED STRANGELY {path}"), || format!("{status:?}"));
                }
            })
            .ok()
    }

    /// Streams to the head.
    pub(crate) async fn stream(
        &self,
        start: Start,
        filter: Option<pb::Filter>,
        include_record: bool,
    ) -> Option<Streamed> {
        let request = pb::SubscribeRequest {
            start: Some(start),
            filter,
            include_record,
            until_head: true,
            ..pb::SubscribeRequest::default()
        };
        let answer = self.client.exchange_service().subscribe(request).await;
        self.tally.asked.lock().expect("nobody panics").insert("ExchangeService/Subscribe");
        let mut frames = self.answered("subscribe", answer)?.into_inner();
        let mut streamed = Streamed::default();
        loop {
            let frame = match frames.message().await {
                Ok(Some(frame)) => frame,
                Ok(None) => return Some(streamed),
                Err(status) => {
                    self.answered::<()>("subscribe, on the way", Err(status));
                    return None;
                }
            };
            self.take(&mut streamed, frame);
        }
    }

    pub(crate) fn take(&self, streamed: &mut Streamed, frame: pb::SubscribeResponse) {
        self.listen("ExchangeService/Subscribe", &frame.encode_to_vec());
        let known = self.in_order(&frame.entries);
        let common = frame.entries.len() - known.len();
        streamed.common += u64::try_from(common).expect("a number");
        for index in known {
            if !streamed.shown.insert(index) {
                let piece = &self.book.pieces[index];
                self.tally.fault("TWICE".to_owned(), || format!("{piece:?}"));
            }
        }
        if let Some(mark) = frame.mark {
            streamed.cursor = mark.cursor;
            streamed.position = mark.position;
            streamed.head = mark.head;
        }
    }
}
