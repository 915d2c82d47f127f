//! What is done, with which records, and what came of it. Every system is given the same bytes.

use std::time::Duration;
use std::time::Instant;

use anyhow::ensure;
use bytes::Bytes;
use hdrhistogram::Histogram;

/// Bytes of a record.
pub const RECORD_BYTES: usize = 500;
/// Subscribers of a fan-out, on four connections.
pub const SUBSCRIBERS: usize = 32;
pub const CONNECTIONS: usize = 4;

/// The work, as it is named on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// One record a call, so many calls at once.
    Unary(usize),
    /// One record a message, so many acknowledgements outstanding, in order.
    Pipelined(usize),
    /// All-or-nothing batches of so many, by so many writers at once.
    Batches(usize, usize),
    /// From the publish to the delivery, one at a time.
    Latency,
    /// Everything to one subscriber.
    Replay,
    /// The same read in pages of keys, where there are any.
    ReplayPages,
    /// To 32 live subscribers, by batches of so many.
    FanoutBatches(usize),
    /// To 32 live subscribers, by so many single publishers.
    FanoutUnary(usize),
}

impl std::str::FromStr for Work {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let mut parts = text.split('-');
        let name = parts.next().unwrap_or_default();
        let numbers: Vec<usize> = parts.map(str::parse).collect::<Result<_, _>>()?;
        Ok(match (name, numbers.as_slice()) {
            ("unary", [at_once]) => Self::Unary(*at_once),
            ("pipelined", [window]) => Self::Pipelined(*window),
            ("batches", [size, writers]) => Self::Batches(*size, *writers),
            ("latency", []) => Self::Latency,
            ("replay", []) => Self::Replay,
            ("replaypages", []) => Self::ReplayPages,
            ("fanoutbatches", [size]) => Self::FanoutBatches(*size),
            ("fanoutunary", [at_once]) => Self::FanoutUnary(*at_once),
            _ => anyhow::bail!("no such work: {text}"),
        })
    }
}

/// The bytes of the record with a number.
pub fn record(number: u64) -> Bytes {
    let mut bytes = Vec::with_capacity(RECORD_BYTES);
    let mut state = number;
    while bytes.len() < RECORD_BYTES {
        bytes.extend_from_slice(&state.to_be_bytes());
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    }
    bytes.truncate(RECORD_BYTES);
    bytes.into()
}

/// The records that were published, each of which must come back once, whole.
pub struct Expected {
    seen: Vec<bool>,
    left: usize,
}

impl Expected {
    pub fn new(count: usize) -> Self {
        Self { seen: vec![false; count], left: count }
    }

    /// Takes a record that came.
    pub fn take(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let number = u64::from_be_bytes(
            *bytes.first_chunk().ok_or_else(|| anyhow::anyhow!("a short record"))?,
        );
        ensure!(bytes == record(number), "record {number} came with other bytes");
        let seen = self.seen.get_mut(usize::try_from(number)?);
        let seen = seen.ok_or_else(|| anyhow::anyhow!("record {number} was never sent"))?;
        ensure!(!std::mem::replace(seen, true), "record {number} came twice");
        self.left -= 1;
        Ok(())
    }

    pub fn taken(&self) -> usize {
        self.seen.len() - self.left
    }

    pub fn is_complete(&self) -> bool {
        self.left == 0
    }
}

/// Places in a log, which must rise.
#[derive(Default)]
pub struct Rising(Option<u64>);

impl Rising {
    pub fn last(&self) -> Option<u64> {
        self.0
    }

    pub fn take(&mut self, place: u64) -> anyhow::Result<()> {
        ensure!(self.0.is_none_or(|last| last < place), "place {place} came out of order");
        self.0 = Some(place);
        Ok(())
    }
}

/// What was done, in which time.
pub struct Done {
    pub count: usize,
    pub elapsed: Duration,
    pub latencies: Histogram<u64>,
}

/// A clock that is running.
pub struct Timer {
    begun: Instant,
    latencies: Histogram<u64>,
}

impl Timer {
    pub fn start() -> anyhow::Result<Self> {
        Ok(Self { begun: Instant::now(), latencies: Histogram::new_with_bounds(1, 60_000_000, 3)? })
    }

    /// Takes the time since the start of one operation.
    pub fn record(&mut self, start: Instant) -> anyhow::Result<()> {
        let micros = u64::try_from(start.elapsed().as_micros())?;
        Ok(self.latencies.record(micros.clamp(1, 60_000_000))?)
    }

    pub fn stop(self, count: usize) -> Done {
        Done { count, elapsed: self.begun.elapsed(), latencies: self.latencies }
    }
}

impl Done {
    /// One JSON object, with the names that `watchfire bench --json` uses.
    pub fn to_json(&self, work: &str) -> String {
        let millis = |quantile| {
            Duration::from_micros(self.latencies.value_at_quantile(quantile)).as_secs_f64() * 1e3
        };
        let timed = !self.latencies.is_empty();
        let count = f64::from(u32::try_from(self.count).unwrap_or(u32::MAX));
        serde_json::json!({
            "workload": work,
            "count": self.count,
            "rate": count / self.elapsed.as_secs_f64(),
            "p50_ms": timed.then(|| millis(0.5)),
            "p99_ms": timed.then(|| millis(0.99)),
        })
        .to_string()
    }
}
