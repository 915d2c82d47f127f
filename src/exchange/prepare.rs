//! Preparation: from received envelopes to records whose signature was checked.
//!
//! It runs in parallel, on threads of its own, and proves only "these bytes by this key"; whether the key and its
//! owner may say so at that place is the sequencer's to decide. A thread takes everything that waits, up to one
//! batch of signatures: calls with one record each share a batch when there are many, and wait for nobody when there
//! are few.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::RwLock;

use arc_swap::ArcSwap;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use crate::exchange::order::Order;
use crate::exchange::quota::Weight;
use crate::exchange::sequencer::Outcome;
use crate::exchange::sequencer::Submission;
use crate::exchange::sequencer::Work;
use crate::exchange::turns::Turn;
use crate::interop::framework::Frameworks;
use crate::interop::framework::Judgement;
use crate::interop::warning_list::WarningLists;
use crate::model::header::BodyKind;
use crate::model::header::HEADER_PAYLOAD_TYPE;
use crate::model::index_keys::Term;
use crate::model::limits;
use crate::model::names::KeyId;
use crate::model::names::MemberId;
use crate::model::observable::ObservableKind;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::roster::Roster;
use crate::signing;
use crate::signing::Claim;
use crate::signing::Verified;
use crate::signing::VerifyingKey;
use crate::wire;
use crate::wire::body::Content;
use crate::wire::envelope::Record;
use crate::wire::pb;

/// Keys that were parsed before: parsing one costs more than a signature check.
#[derive(Debug, Default)]
pub(super) struct KeyRing {
    parsed: RwLock<HashMap<KeyId, Arc<VerifyingKey>>>,
}

impl KeyRing {
    /// The parsed key with this id, if the roster has it.
    pub(super) fn key(&self, roster: &Roster, id: &KeyId) -> Option<Arc<VerifyingKey>> {
        let found = self.parsed.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        if found.is_some() {
            return found;
        }
        let key = Arc::new(VerifyingKey::from_spki(&roster.key(id)?.spki).ok()?);
        // Bounded by the roster: only registered keys come this far.
        self.parsed.write().unwrap_or_else(PoisonError::into_inner).insert(*id, Arc::clone(&key));
        Some(key)
    }
}

/// Envelopes of one call, and who waits for them.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) envelopes: Vec<pb::Envelope>,
    pub(super) then: Then,
    /// Its member's turn, until they are checked.
    pub(super) turn: Turn,
}

/// What becomes of records once their signatures were checked.
#[derive(Debug)]
pub(super) enum Then {
    /// The caller hands them over itself, in its own order.
    Return(oneshot::Sender<Vec<Checked>>),
    /// Straight to the sequencer.
    Submit { caller: MemberId, answer: oneshot::Sender<Vec<Outcome>> },
}

/// A record whose signature was checked, or why it is refused.
pub(super) type Checked = Result<Ready, Refusal>;

/// A record with what was worked out of it before its turn came.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) record: Verified<Box<Record>>,
    /// What it is found by in the indexes, besides what its facts will say.
    pub(super) terms: Vec<Term>,
    /// What its publisher may want to look at again.
    pub(super) warnings: Vec<Warning>,
}

/// Something about a record that looks like a mistake; it is taken in all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// Its value is a common benign one.
    CommonBenignValue {
        /// The list of common benign values that has it.
        list: String,
        /// The entry of the list.
        matched: String,
        /// How they met, in a word: `listed`, `below-listed`, ...
        how: &'static str,
    },
    /// It names an operation that is not there, or that its publisher may not see: alike, as everywhere.
    OperationNotFound,
    /// What it names as its operation is a record of another kind, which its publisher may see.
    NotAnOperation(BodyKind),
    /// It is of a kind that has a platform, and names none.
    PlatformMissing(ObservableKind),
    /// It names a technique that its framework does not have, as the operator supplied it.
    TechniqueUnknown {
        /// Where techniques are said.
        field: &'static str,
        /// The technique's code.
        external_id: String,
        /// The framework in the versions that were asked.
        asked: String,
    },
    /// It names a technique that another version of its framework has than the one that it names.
    TechniqueOfOtherVersion {
        /// Where techniques are said.
        field: &'static str,
        /// The technique's code.
        external_id: String,
        /// The version that it was named with.
        version: String,
        /// The framework in the versions that have it.
        having: String,
        /// Whether the version that it was named with is here.
        is_here: bool,
    },
}

/// What publishers are warned by.
#[derive(Debug, Default)]
pub(super) struct Advice {
    /// Lists of common benign values.
    pub(super) lists: WarningLists,
    /// Frameworks of techniques.
    pub(super) frameworks: Frameworks,
}

impl Ready {
    /// Works out what can be of a record whose signature was checked.
    pub(super) fn of(record: Verified<Box<Record>>, advice: Option<&Advice>) -> Self {
        let parsed = record.get();
        let terms = wire::terms(&parsed.content, &parsed.body, &parsed.header.handling.reach);
        let warnings = advice.map(|advice| {
            let said = record.get();
            let mut warnings = warnings(&said.content, &advice.lists);
            warn_of_techniques(&said.body, &advice.frameworks, &mut warnings);
            warnings
        });
        Self { record, terms, warnings: warnings.unwrap_or_default() }
    }

    /// What quotas and groups count for it.
    pub(super) fn weight(&self) -> Weight {
        let postings = self.postings();
        let bytes = postings.saturating_mul(limits::POSTING_BYTES);
        Weight { bytes: self.record.get().envelope.encoded_len().max(bytes), postings }
    }

    /// Whether the indexes have room for it.
    pub(super) fn demand_bounded(&self) -> Result<(), Refusal> {
        let (postings, most) = (self.postings(), limits::RECORD_POSTINGS_MAX);
        if postings <= most {
            return Ok(());
        }
        let message = format!(
            "it is found by {} terms (techniques, words and others) for each of its audiences and recipients: {postings} \
             postings, more than {most}; name fewer of either, or write less",
            self.terms.len()
        );
        Err(Refusal::field(Reason::RecordTooLarge, "body", message))
    }

    /// How often it lies in the indexes: once for each term and each group of its readers.
    fn postings(&self) -> usize {
        let reach = &self.record.get().header.handling.reach;
        self.terms.len().saturating_mul(reach.audiences.len() + reach.recipients.len() + 1)
    }
}

/// What frameworks say about the techniques that a body names: a few of them.
fn warn_of_techniques(body: &pb::Body, frameworks: &Frameworks, warnings: &mut Vec<Warning>) {
    if frameworks.all().is_empty() {
        return;
    }
    let (field, techniques) = match &body.content {
        Some(pb::body::Content::Indicator(said)) => ("body.indicator.techniques", &said.techniques),
        Some(pb::body::Content::Operation(said)) => ("body.operation.techniques", &said.techniques),
        _ => return,
    };
    let with_code = techniques.iter().filter(|technique| !technique.external_id.is_empty());
    let odd = with_code.filter_map(|technique| {
        let pb::Technique { framework, version, external_id, .. } = technique;
        match frameworks.judge(framework, version, external_id) {
            Judgement::Known(_) | Judgement::FrameworkNotHere => None,
            Judgement::Unknown { titles } => Some(Warning::TechniqueUnknown {
                field,
                external_id: external_id.clone(),
                asked: titles.join(", "),
            }),
            Judgement::OtherVersion { titles, is_here } => Some(Warning::TechniqueOfOtherVersion {
                field,
                external_id: external_id.clone(),
                version: version.clone(),
                having: titles.join(", "),
                is_here,
            }),
        }
    });
    warnings.extend(odd.take(limits::WARNINGS_MAX));
}

/// What an indicator lacks, and what lists of common benign values say about it, unless its publisher has seen that.
fn warnings(content: &Content, lists: &WarningLists) -> Vec<Warning> {
    let Content::Indicator { form: Some(form), warning_seen, .. } = content else {
        return Vec::new();
    };
    let mut warnings = Vec::new();
    if form.kind.lives_on_a_platform() && form.platform.is_none() {
        warnings.push(Warning::PlatformMissing(form.kind));
    }
    if !warning_seen {
        let hits = lists.find(form).into_iter();
        warnings.extend(hits.map(|hit| Warning::CommonBenignValue {
            list: hit.list.to_owned(),
            how: hit.why.as_str(),
            matched: hit.entry,
        }));
    }
    warnings
}

/// Checks signatures with the keys of the roster.
#[derive(Debug)]
pub(super) struct Checker {
    roster: Arc<ArcSwap<Roster>>,
    keys: KeyRing,
    advice: ArcSwap<Advice>,
}

impl Checker {
    pub(super) fn new(roster: Arc<ArcSwap<Roster>>, advice: Advice) -> Self {
        Self { roster, keys: KeyRing::default(), advice: ArcSwap::from_pointee(advice) }
    }

    /// Publishers are warned by something else from now on.
    pub(super) fn advise(&self, advice: Advice) {
        self.advice.store(Arc::new(advice));
    }

    /// What publishers are warned by.
    pub(super) fn advice(&self) -> Arc<Advice> {
        self.advice.load_full()
    }

    /// Parses envelopes and checks their signatures; each is answered for itself, in order.
    pub(super) fn check(&self, envelopes: Vec<pb::Envelope>) -> Vec<Checked> {
        let verified = prepare(envelopes, &self.roster.load(), &self.keys).into_iter();
        let advice = self.advice.load();
        verified.map(|record| Ok(Ready::of(record?, Some(&advice)))).collect()
    }
}

/// What every thread of preparation shares. They end when no more jobs can come.
#[derive(Debug)]
pub(super) struct Bench {
    pub(super) jobs: Mutex<mpsc::Receiver<Job>>,
    pub(super) checker: Arc<Checker>,
    pub(super) sequencer: mpsc::Sender<Work>,
}

impl Bench {
    /// Works until no more jobs can come.
    pub(super) fn work(&self) {
        while let Some(jobs) = self.take() {
            let counts: Vec<usize> = jobs.iter().map(|job| job.envelopes.len()).collect();
            let (envelopes, waiting): (Vec<_>, Vec<_>) =
                jobs.into_iter().map(|job| (job.envelopes, (job.then, job.turn))).unzip();
            let envelopes = envelopes.into_iter().flatten().collect();
            let mut checked = self.checker.check(envelopes).into_iter();
            let (then, turns): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
            drop(turns);
            for (count, then) in counts.into_iter().zip(then) {
                self.pass_on(checked.by_ref().take(count).collect(), then);
            }
        }
    }

    /// Nobody may be there any more: a caller that went away asks again, and when the sequencer has ended, dropping
    /// the answer tells the caller so.
    fn pass_on(&self, records: Vec<Checked>, then: Then) {
        match then {
            Then::Return(answer) => drop(answer.send(records)),
            Then::Submit { caller, answer } => {
                let order = Order::default();
                let submission = Submission { caller, records, order, answer };
                drop(self.sequencer.blocking_send(Work::Publish(submission)));
            }
        }
    }

    /// Waits for a job, then takes what waits behind it, up to one batch.
    fn take(&self) -> Option<Vec<Job>> {
        let mut queue = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let first = queue.blocking_recv()?;
        let mut records = first.envelopes.len();
        let mut jobs = vec![first];
        while records < limits::BATCH_RECORDS_MAX {
            let Ok(next) = queue.try_recv() else { break };
            records = records.saturating_add(next.envelopes.len());
            jobs.push(next);
        }
        Some(jobs)
    }
}

/// A record whose signature is not checked yet, and the key that is said to have made it.
type Parsed = (Box<Record>, Arc<VerifyingKey>);

fn prepare(
    envelopes: Vec<pb::Envelope>,
    roster: &Roster,
    keys: &KeyRing,
) -> Vec<Result<Verified<Box<Record>>, Refusal>> {
    // Records of one call have one key, as a rule: it is looked up once.
    let mut last: Option<(KeyId, Arc<VerifyingKey>)> = None;
    // Boxed: a record is some kilobytes, and goes through many hands.
    let parsed: Vec<Result<Parsed, Refusal>> = envelopes
        .into_iter()
        .map(|envelope| {
            let record = Box::new(wire::envelope::record(envelope)?);
            if let Some((id, key)) = &last
                && *id == record.key_id
            {
                return Ok((record, Arc::clone(key)));
            }
            let key = keys.key(roster, &record.key_id).ok_or_else(unknown_key)?;
            last = Some((record.key_id, Arc::clone(&key)));
            Ok((record, key))
        })
        .collect();
    let mut payloads: Vec<(bytes::Bytes, bytes::Bytes, Arc<VerifyingKey>)> =
        Vec::with_capacity(parsed.len());
    let mut refusals = Vec::with_capacity(parsed.len());
    let mut records = Vec::with_capacity(parsed.len());
    for outcome in parsed {
        match outcome {
            Ok((record, key)) => {
                let sig = record.envelope.signatures.first().map(|first| first.sig.clone());
                payloads.push((record.envelope.payload.clone(), sig.unwrap_or_default(), key));
                records.push(record);
                refusals.push(None);
            }
            Err(refusal) => refusals.push(Some(refusal)),
        }
    }
    let claims = records
        .into_iter()
        .zip(&payloads)
        .map(|(value, (payload, signature, key))| Claim {
            payload_type: HEADER_PAYLOAD_TYPE,
            payload,
            signature,
            key,
            value,
        })
        .collect();
    let mut verdicts = signing::verify_all(claims).into_iter();
    refusals
        .into_iter()
        .map(|refusal| match refusal {
            Some(refusal) => Err(refusal),
            None => match verdicts.next() {
                Some(Ok(verified)) => Ok(verified),
                Some(Err(_)) | None => Err(bad_signature()),
            },
        })
        .collect()
}

fn unknown_key() -> Refusal {
    let message = "the key is not registered with this exchange";
    Refusal::field(Reason::KeyNotValid, "envelope.signatures.keyid", message)
}

fn bad_signature() -> Refusal {
    let message = "the signature is not one by the named key over these bytes";
    Refusal::field(Reason::BadSignature, "envelope.signatures.sig", message)
}
