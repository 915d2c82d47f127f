//! What the calls of one member hold of the hub's memory, all of its connections together: the bytes of requests that are
//! not answered, and of answers that are not sent.
//!
//! HTTP/2 bounds what comes on a connection before it is read, and nothing of what is read, or of an answer for which the
//! client gives no window. A call that finds no room hears BUSY and tries again. Of a stream its largest message counts as long as
//! more may come; batches that are worked on, and what goes out, have bounds of their own.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use http::Request;
use http::Response;
use http_body::Frame;
use http_body::SizeHint;
use http_body_util::BodyExt as _;
use tonic::Status;
use tonic::body::Body;
use tower::Layer;
use tower::Service;

use crate::model::limits::CALL_BYTES_MAX as ALL_MAX;
use crate::model::limits::CALL_BYTES_PER_MEMBER_MAX as MEMBER_MAX;
use crate::model::limits::REQUEST_BYTES_MAX;
use crate::model::names::MemberId;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::rpc::status;
use crate::tls::Peer;

/// Calls whose request or answer is a stream of messages.
const STREAMS: [&str; 3] = [
    "/watchfire.v1.ExchangeService/PublishStream",
    "/watchfire.v1.ExchangeService/Subscribe",
    "/watchfire.v1.ExportService/Export",
];
/// Services whose calls are streams too, and small.
const STREAMING_SERVICES: [&str; 2] = ["/grpc.reflection.", "/grpc.health."];

/// A call whose work is done must be told so: BUSY says that nothing was. Its answers are in proportion to its requests.
const TOLD_ANYHOW: &str = "/watchfire.v1.ExchangeService/Publish";
/// Bytes of an answer that is sent anyhow: all that change anything but `Publish` answer with less.
const SMALL_ANSWER_BYTES: usize = 16 * 1024;

/// Bytes that members hold.
type Held = Mutex<Holdings>;

#[derive(Debug, Default)]
struct Holdings {
    by_member: HashMap<MemberId, usize>,
    all: usize,
}

/// Counts what the calls of each member hold.
#[derive(Clone, Debug, Default)]
pub struct HeldLayer(Arc<Held>);

impl<S> Layer<S> for HeldLayer {
    type Service = HeldService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        HeldService { inner, held: Arc::clone(&self.0) }
    }
}

/// A service whose calls are counted.
#[derive(Clone, Debug)]
pub struct HeldService<S> {
    inner: S,
    held: Arc<Held>,
}

impl<S> Service<Request<Body>> for HeldService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let member = request.extensions().get::<Arc<Peer>>().map(|peer| peer.member.clone());
        let Some(member) = member else { return Box::pin(self.inner.call(request)) };
        let is_told = request.uri().path() == TOLD_ANYHOW;
        let share = Arc::new(Share { held: Arc::clone(&self.held), member, bytes: Mutex::new(0) });
        let asking = Arc::clone(&share);
        if is_stream(request.uri().path()) {
            let request = request.map(|body| Body::new(Counted::new(body, asking, true)));
            return Box::pin(self.inner.call(request));
        }
        let request = request.map(|body| Body::new(Counted::new(body, asking, false)));
        let answering = self.inner.call(request);
        Box::pin(async move {
            let answer = answering.await?;
            // The request is worked on no more.
            share.give_back();
            Ok(whole(answer, share, is_told).await)
        })
    }
}

fn is_stream(path: &str) -> bool {
    STREAMS.contains(&path) || STREAMING_SERVICES.iter().any(|service| path.starts_with(service))
}

/// An answer with all of its bytes, counted until they are sent. It is one message: nothing is waited for.
async fn whole(answer: Response<Body>, share: Arc<Share>, is_told: bool) -> Response<Body> {
    let (head, mut body) = answer.into_parts();
    let mut frames = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(status) => return status.into_http(),
        };
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        let is_sent = is_told || bytes <= SMALL_ANSWER_BYTES;
        let most = if is_sent { Most::ANYHOW } else { Most::OF_CALLS };
        if let Err(busy) = share.take(bytes, most) {
            return busy.into_http();
        }
        frames.push(frame);
    }
    frames.reverse();
    Response::from_parts(head, Body::new(Ready { frames, _share: share }))
}

/// What calls may hold, those of one member and those of all.
#[derive(Clone, Copy, Debug)]
struct Most {
    of_member: usize,
    of_all: usize,
}

impl Most {
    const OF_CALLS: Self = Self { of_member: MEMBER_MAX, of_all: ALL_MAX };
    /// What streams may hold leaves room for calls: a stream may be idle for as long as it likes.
    const OF_STREAMS: Self = Self { of_member: MEMBER_MAX / 6 * 5, of_all: ALL_MAX / 6 * 5 };
    const ANYHOW: Self = Self { of_member: usize::MAX, of_all: usize::MAX };
}

/// What one call holds.
#[derive(Debug)]
struct Share {
    held: Arc<Held>,
    member: MemberId,
    bytes: Mutex<usize>,
}

impl Share {
    /// So many bytes more; BUSY if all calls of the member together hold more than it may, or those of all members more
    /// than all may.
    fn take(&self, more: usize, most: Most) -> Result<(), Status> {
        if more == 0 {
            return Ok(());
        }
        let mut mine = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let all = held.all.saturating_add(more);
        let is_full = all > most.of_all;
        let own = held.by_member.entry(self.member.clone()).or_default();
        let would = own.saturating_add(more);
        // What a single call asks for is bounded elsewhere.
        if (would > most.of_member || is_full) && *own > *mine {
            let message = if is_full {
                "calls hold all the memory that there is for them: read answers first, or try again"
            } else {
                "this member's calls hold all the memory that they may: read answers, or end streams that sent large messages"
            };
            return Err(status::refused(&Refusal::new(Reason::Busy, message)));
        }
        *own = would;
        held.all = all;
        *mine = mine.saturating_add(more);
        Ok(())
    }

    /// So many bytes in all, or what it was if that is more.
    fn hold(&self, bytes: usize, most: Most) -> Result<(), Status> {
        let before = *self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        self.take(bytes.saturating_sub(before), most)
    }

    fn give_back(&self) {
        let bytes = *self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        self.release(bytes);
    }

    fn release(&self, bytes: usize) {
        {
            let mut own = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
            *own = own.saturating_sub(bytes);
        }
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.all = held.all.saturating_sub(bytes);
        if let Some(own) = held.by_member.get_mut(&self.member) {
            *own = own.saturating_sub(bytes);
            if *own == 0 {
                held.by_member.remove(&self.member);
            }
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Where a body is within its messages: each has a flag and its length before it (gRPC over HTTP/2, "Length-Prefixed-Message").
#[derive(Debug, Default)]
struct Place {
    prefix: Vec<u8>,
    /// Bytes of the message that is coming, and how many of them are to come.
    length: usize,
    left: usize,
    /// What stood before a message was wrong: nothing behind it is read as a message.
    is_lost: bool,
}

impl Place {
    fn pass(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first()
            && !self.is_lost
        {
            if self.left == 0 {
                bytes = rest;
                self.begin(*first);
                continue;
            }
            let taken = bytes.len().min(self.left);
            self.left -= taken;
            bytes = bytes.get(taken..).unwrap_or_default();
        }
    }

    /// One byte more of what stands before a message.
    fn begin(&mut self, byte: u8) {
        self.prefix.push(byte);
        let Some((flag, length)) = self.prefix.split_first() else { return };
        let Ok(length) = <[u8; 4]>::try_from(length) else { return };
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        self.is_lost = *flag != 0 || length > REQUEST_BYTES_MAX;
        if !self.is_lost {
            (self.length, self.left) = (length, length);
        }
        self.prefix.clear();
    }
}

/// The body of a request, counted as it comes: a message with all the bytes that it says it has, since that much is set aside
/// for it as soon as it says so.
struct Counted {
    body: Body,
    share: Arc<Share>,
    place: Place,
    is_stream: bool,
    come: usize,
}

impl Counted {
    fn new(body: Body, share: Arc<Share>, is_stream: bool) -> Self {
        Self { body, share, place: Place::default(), is_stream, come: 0 }
    }

    fn count(&mut self, bytes: &[u8]) -> Result<(), Status> {
        self.place.pass(bytes);
        if self.is_stream {
            // The room of the largest is used again for the next.
            self.share.hold(self.place.length, Most::OF_STREAMS)
        } else {
            self.come = self.come.saturating_add(bytes.len());
            self.share.hold(self.come.saturating_add(self.place.left), Most::OF_CALLS)
        }
    }
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(bytes) = frame.data_ref()
            && let Err(busy) = self.count(bytes)
        {
            return Poll::Ready(Some(Err(busy)));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer that stands ready, last frame first.
struct Ready {
    frames: Vec<Frame<Bytes>>,
    _share: Arc<Share>,
}

impl http_body::Body for Ready {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Poll::Ready(self.frames.pop().map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(held: &Arc<Held>, member: &str) -> Share {
        let member = member.parse().unwrap();
        Share { held: Arc::clone(held), member, bytes: Mutex::new(0) }
    }

    #[test]
    fn a_members_calls_share_what_it_may_hold_and_others_have_their_own() {
        let held: Arc<Held> = Arc::default();
        let (first, second) = (share(&held, "acme-video"), share(&held, "acme-video"));
        let other = share(&held, "birch-social");
        first.take(MEMBER_MAX, Most::OF_CALLS).unwrap();
        assert_eq!(second.take(1, Most::OF_CALLS).unwrap_err().code(), tonic::Code::Unavailable);
        second.take(1, Most::ANYHOW).unwrap();
        other.take(1, Most::OF_CALLS).unwrap();
        first.give_back();
        second.give_back();
        second.take(MEMBER_MAX, Most::OF_CALLS).unwrap();
        drop((first, second, other));
        assert_eq!(held.lock().unwrap().all, 0);
        assert!(held.lock().unwrap().by_member.is_empty());
    }

    #[test]
    fn a_few_members_that_hold_all_there_is_leave_each_other_member_a_call() {
        let held: Arc<Held> = Arc::default();
        let many = ALL_MAX / MEMBER_MAX;
        let greedy: Vec<Share> =
            (0..many).map(|number| share(&held, &format!("greedy-{number}"))).collect();
        for one in &greedy {
            one.take(MEMBER_MAX, Most::OF_CALLS).unwrap();
        }
        let (first, second) = (share(&held, "birch-social"), share(&held, "birch-social"));
        first.take(1000, Most::OF_CALLS).unwrap();
        first.take(1000, Most::OF_CALLS).unwrap();
        assert_eq!(second.take(1000, Most::OF_CALLS).unwrap_err().code(), tonic::Code::Unavailable);
        // What was done must be told.
        second.take(1000, Most::ANYHOW).unwrap();
        drop((first, greedy));
        assert_eq!(held.lock().unwrap().all, 1000);
        drop(second);
        assert_eq!(held.lock().unwrap().all, 0);
    }

    fn prefix(length: u32) -> Vec<u8> {
        [&[0][..], &length.to_be_bytes()].concat()
    }

    fn largest() -> u32 {
        u32::try_from(REQUEST_BYTES_MAX).unwrap()
    }

    #[test]
    fn messages_are_followed_however_they_are_cut() {
        let message = [&prefix(9)[..], &[7; 9]].concat();
        let ends = |pieces: &[&[u8]]| {
            let mut place = Place::default();
            for piece in pieces {
                place.pass(piece);
            }
            (place.length, place.left, place.is_lost)
        };
        assert_eq!(ends(&[&message]), (9, 0, false));
        assert_eq!(ends(&[&message, &[0, 0, 0], &[1, 0]]), (256, 256, false));
        assert_eq!(ends(&[&message[..8], &message[8..], &message, &message[..6]]), (9, 8, false));
        assert_eq!(ends(&[&prefix(0), &prefix(0), &message[..5]]), (9, 9, false));
        assert_eq!(ends(&[&prefix(largest()), &[0; 99]]).1, REQUEST_BYTES_MAX - 99);
        // Nothing is set aside for these, whatever comes behind them.
        for wrong in [prefix(largest() + 1), vec![1, 0, 0, 0, 9], vec![7; 5]] {
            assert_eq!(ends(&[&wrong, &prefix(1000)]), (0, 0, true));
        }
    }

    #[test]
    fn a_call_holds_what_its_message_says_it_has_and_no_less_than_came() {
        let held: Arc<Held> = Arc::default();
        let all = || held.lock().unwrap().all;
        let mut call = counted(&held, false);
        for bytes in [&prefix(1000)[..], &[0; 400], &[0; 600]] {
            call.count(bytes).unwrap();
            assert_eq!(all(), 1005);
        }
        call.count(&prefix(1000)).unwrap();
        assert_eq!(all(), 2010);
        drop(call);
        assert_eq!(all(), 0);
        let most = MEMBER_MAX / (REQUEST_BYTES_MAX + 5);
        let mut calls: Vec<Counted> = (0..=most).map(|_call| counted(&held, false)).collect();
        let refused = calls.iter_mut().filter_map(|call| call.count(&prefix(largest())).err());
        assert_eq!(refused.count(), 1);
        // Who was let in stays in until all came.
        assert!(calls[0].count(&vec![0; REQUEST_BYTES_MAX]).is_ok());
    }

    #[test]
    fn a_stream_holds_its_largest_message_until_it_ends() {
        let held: Arc<Held> = Arc::default();
        let all = || held.lock().unwrap().all;
        let mut stream = counted(&held, true);
        for (bytes, holds) in
            [(prefix(9), 9), (vec![7; 9], 9), (prefix(1000), 1000), (vec![7; 1005], 1000)]
        {
            stream.count(&bytes).unwrap();
            assert_eq!(all(), holds);
        }
        drop(stream);
        assert_eq!(all(), 0);
    }

    #[test]
    fn streams_that_are_idle_leave_room_for_calls() {
        let held: Arc<Held> = Arc::default();
        let most = Most::OF_STREAMS.of_member / REQUEST_BYTES_MAX;
        let mut streams: Vec<Counted> = (0..=most).map(|_one| counted(&held, true)).collect();
        let refused = streams.iter_mut().filter_map(|one| one.count(&prefix(largest())).err());
        assert_eq!(refused.count(), 1);
        assert!(counted(&held, false).count(&prefix(largest())).is_ok());
    }

    #[test]
    fn whoever_holds_nothing_has_one_call_of_any_size() {
        let held: Arc<Held> = Arc::default();
        let greedy = share(&held, "greedy");
        greedy.take(ALL_MAX, Most::ANYHOW).unwrap();
        let mut call = counted(&held, false);
        for bytes in [prefix(100_000), vec![0; 16_384], vec![0; 83_616]] {
            call.count(&bytes).unwrap();
        }
        assert!(counted(&held, false).count(&prefix(1)).is_err());
    }

    fn counted(held: &Arc<Held>, is_stream: bool) -> Counted {
        Counted::new(Body::empty(), Arc::new(share(held, "acme-video")), is_stream)
    }

    #[test]
    fn every_call_that_streams_is_known() {
        let protos =
            ["exchange", "audience", "export", "query", "roster", "subscription", "transparency"];
        let mut streams = Vec::new();
        for name in protos {
            let path =
                format!("{}/proto/watchfire/v1/{name}_service.proto", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(path).unwrap();
            let (_before, body) = text.split_once("\nservice ").unwrap();
            let (service, body) = body.split_once(' ').unwrap();
            let calls = body.lines().filter(|line| line.contains("(stream "));
            streams.extend(calls.filter_map(|line| {
                let (method, _takes) = line.trim().strip_prefix("rpc ")?.split_once('(')?;
                Some(format!("/watchfire.v1.{service}/{method}"))
            }));
        }
        streams.sort();
        let mut known = STREAMS.map(str::to_owned);
        known.sort();
        assert_eq!(streams, known);
    }
}
