//! A stream, followed: every entry is a leaf of the tree that the checkpoints sign, at its place; the tree only grows;
//! and what the hub signs that it sent is what came.
//!
//! The reader keeps the frontier of the tree alone, so that it needs no more memory for a longer log. Of entries that
//! were not sent the hub gives the subtrees that stand for them.

use std::sync::Arc;

use arc_swap::ArcSwap;
use sha2::Digest as _;
use sha2::Sha256;

use crate::model::names::Digest;
use crate::model::names::ExchangeName;
use crate::model::names::MemberId;
use crate::signing;
use crate::signing::Claim;
use crate::transparency::Checkpoint;
use crate::transparency::Frontier;
use crate::transparency::LogKeys;
use crate::transparency::proof;
use crate::transparency::proof::PROOF_HASHES_MAX;
use crate::wire::MARK_PAYLOAD_TYPE;
use crate::wire::MarkStatement;
use crate::wire::StreamId;
use crate::wire::pb;

/// How the hub deviates from what an honest one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Deviation {
    /// Hashes are missing, too many, or not whole.
    #[error("the hashes for what was not sent do not fit the stream")]
    Hidden,
    /// The first mark does not begin where the stream was to begin, or a later one lies before what was sent.
    #[error("a mark does not stand where the stream does")]
    Place,
    /// A checkpoint is not signed by the log key, or is not one.
    #[error("a checkpoint is not signed by the log's key")]
    Checkpoint,
    /// The tree that was followed is not the one that the checkpoint signs.
    #[error(
        "what was sent is not in the log that the hub signed: an entry was altered, moved, added or left out"
    )]
    Root,
    /// A back-fill is not in the same tree.
    #[error("what was sent again is not in the log that the hub signed")]
    Backfill,
    /// A body is said to be gone, and no notice in the log says so.
    #[error(
        "the body at sequence {0} is said to be gone, and the notice that it names does not say so"
    )]
    NotErased(u64),
    /// The log is shorter than it was.
    #[error("the log is shorter than it was: it was rolled back")]
    RolledBack,
    /// Two checkpoints of one size have two roots.
    #[error("the hub signed two different logs of one size")]
    TwoHistories,
    /// A larger tree does not begin with the smaller one.
    #[error("the log is not a continuation of what it was: the hub shows two histories")]
    NotAContinuation,
    /// The roster that was shown is not the one that the checkpoint signs.
    #[error(
        "the roster that the hub shows is not the one that it signs: it hides or adds a change of who takes part"
    )]
    Roster,
    /// An entry is said to have been taken in before the one in front of it.
    #[error("the entry at sequence {0} was taken in before the one in front of it")]
    BackDated(u64),
    /// One revision of a record is there twice.
    #[error("sequences {first} and {second} have the same name and revision")]
    TakenTwice {
        /// The first place.
        first: u64,
        /// The second.
        second: u64,
    },
    /// It says that it is another epoch's.
    #[error(
        "the log's epoch is another: it was restored, and watchfire epoch accept says to where"
    )]
    Epoch,
    /// The epoch is one that ended.
    #[error("the log is in an earlier epoch than it was: it was rolled back")]
    EarlierEpoch,
    /// What the hub signed with a mark cannot be read, or is not signed by the log key.
    #[error("what the hub signs with its mark is not signed by the log's key")]
    Statement,
    /// The statement is about another stream, member or filter.
    #[error("what the hub signed with its mark is about another stream")]
    OtherStream,
    /// The statement names another place or log than the mark that brings it.
    #[error("what the hub signed with its mark is not what the mark says")]
    OtherMark,
    /// The statement counts other entries than came.
    #[error("the hub signed that it sent {said} entries on this stream, and {came} came")]
    Count {
        /// As signed.
        said: u64,
        /// As received.
        came: u64,
    },
    /// As many came, but not the same ones.
    #[error("the hub signed that it sent other entries on this stream than came")]
    Digest,
    /// The first mark brings no statement.
    #[error("the hub does not sign what it sends")]
    Unsigned,
    /// No fresh signed mark came for too long.
    #[error(
        "no fresh signed mark came for {0} seconds: the hub holds back what it should send, or this machine's clock is wrong"
    )]
    Frozen(u64),
    /// A mark of now has less than the log is known to have had for a while.
    #[error(
        "the hub signs as new that its log has {head} entries, and it is known to have had {known} of them half a minute \
         ago: it holds back what it should send"
    )]
    OldHead {
        /// What the log had.
        known: u64,
        /// What it is said to have.
        head: u64,
    },
}

/// Who follows which log.
#[derive(Clone, Debug)]
pub(super) struct Follower {
    pub(super) exchange: ExchangeName,
    pub(super) member: MemberId,
    /// Shared with whoever folds the roster, which may put another key in place.
    pub(super) log_keys: Arc<ArcSwap<LogKeys>>,
}

/// Where a stream begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beginning {
    /// With a walk from the first entry on, before any mark.
    pub(super) is_first: bool,
    /// Its first mark stands here at the latest, where that is known.
    pub(super) latest: Option<u64>,
}

/// The account of one stream.
#[derive(Clone, Debug)]
pub(super) struct Account {
    follower: Follower,
    filter_digest: Digest,
    /// The tree up to what was sent; `None` before the first mark of a stream that begins in the midst.
    tree: Option<Frontier>,
    /// Where it must have begun at the latest.
    latest: Option<u64>,
    /// The same of a back-fill that runs.
    backfill: Option<Frontier>,
    stream: Option<StreamId>,
    count: u64,
    digest: Digest,
    /// The newest checkpoint that this stream, or its client before it, has seen.
    newest: Option<Checkpoint>,
    /// Whether the tree, as followed, is that of the newest checkpoint.
    is_at_newest: bool,
    access: u64,
}

/// A mark that holds.
#[derive(Clone, Debug)]
pub(super) struct Marked {
    pub(super) checkpoint: Checkpoint,
    pub(super) statement: Option<MarkStatement>,
    /// What it was shown to be a continuation of: the newest checkpoint of the stream, or of its client, before it.
    pub(super) before: Option<Checkpoint>,
}

/// The hashes of a frame.
pub(super) struct Hashes<'a>(std::slice::Iter<'a, Digest>);

impl<'a> Hashes<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Result<Self, Deviation> {
        let (hashes, rest) = bytes.as_chunks();
        if rest.is_empty() { Ok(Self(hashes.iter())) } else { Err(Deviation::Hidden) }
    }

    fn fill(&mut self, tree: &mut Frontier, to: u64) -> Result<(), Deviation> {
        tree.fill(to, &mut self.0.by_ref().copied()).then_some(()).ok_or(Deviation::Hidden)
    }

    /// What was not used.
    pub(super) fn rest(&self) -> Vec<u8> {
        self.0.as_slice().concat()
    }

    fn demand_end(&self) -> Result<(), Deviation> {
        if self.0.as_slice().is_empty() { Ok(()) } else { Err(Deviation::Hidden) }
    }

    /// A proof, which is no longer than one can be.
    pub(super) fn proof(self) -> Result<&'a [Digest], Deviation> {
        let hashes = self.0.as_slice();
        if hashes.len() <= PROOF_HASHES_MAX { Ok(hashes) } else { Err(Deviation::Hidden) }
    }
}

impl Account {
    /// Of a stream. `newest` is the newest checkpoint that the client knows.
    pub(super) fn new(
        follower: Follower,
        filter_digest: Digest,
        beginning: Beginning,
        newest: Option<Checkpoint>,
    ) -> Self {
        Self {
            follower,
            filter_digest,
            tree: beginning.is_first.then(Frontier::default),
            latest: beginning.latest,
            backfill: None,
            stream: None,
            count: 0,
            digest: [0; 32],
            newest,
            is_at_newest: false,
            access: 0,
        }
    }

    /// A back-fill begins, or begins again.
    pub(super) fn begin_backfill(&mut self) {
        self.backfill = Some(Frontier::default());
    }

    /// Takes entries that came, each with its place and leaf hash.
    pub(super) fn take(
        &mut self,
        leaves: &[(u64, Digest)],
        backfill: bool,
        hidden: &mut Hashes<'_>,
    ) -> Result<(), Deviation> {
        let tree = if backfill { self.backfill.as_mut() } else { self.tree.as_mut() };
        let tree = tree.ok_or(Deviation::Place)?;
        for (sequence, leaf) in leaves {
            hidden.fill(tree, *sequence)?;
            if tree.size() != *sequence {
                return Err(Deviation::Place);
            }
            tree.push(*leaf);
            self.digest =
                Sha256::new().chain_update(self.digest).chain_update(leaf).finalize().into();
            self.count += 1;
        }
        Ok(())
    }

    /// Takes a mark, behind the entries of its frame.
    pub(super) fn mark(
        &mut self,
        mark: &pb::Mark,
        mut hidden: Hashes<'_>,
    ) -> Result<Marked, Deviation> {
        let checkpoint = self.follower.log_keys.load().open(&mark.checkpoint);
        let checkpoint = checkpoint.map_err(|_invalid| Deviation::Checkpoint)?;
        if (checkpoint.epoch, checkpoint.size) != (mark.epoch, mark.head) {
            return Err(Deviation::Checkpoint);
        }
        if mark.position > mark.head {
            return Err(Deviation::Place);
        }
        let root = self.reach(mark, &mut hidden)?;
        hidden.demand_end()?;
        let at_head = mark.position == mark.head;
        let held = proof::check_consistency(
            (mark.position, &root),
            (checkpoint.size, &checkpoint.root),
            Hashes::of(&mark.head_proof)?.proof()?,
        );
        held.map_err(|_invalid| Deviation::Root)?;
        // Who had the whole tree, and has the whole tree, has followed it.
        let followed = self.is_at_newest && at_head;
        if !followed {
            self.demand_growth(&checkpoint, Hashes::of(&mark.growth_proof)?.proof()?)?;
        }
        let is_first = self.stream.is_none();
        let statement = self.statement(mark, &checkpoint)?;
        if is_first && statement.is_none() {
            return Err(Deviation::Unsigned);
        }
        let before = self.newest.replace(checkpoint);
        self.is_at_newest = at_head;
        Ok(Marked { checkpoint, statement, before })
    }

    /// Follows the tree, and a back-fill's, up to the mark's position; its root there.
    fn reach(&mut self, mark: &pb::Mark, hidden: &mut Hashes<'_>) -> Result<Digest, Deviation> {
        let tree = if let Some(tree) = &mut self.tree {
            if tree.size() > mark.position {
                return Err(Deviation::Place);
            }
            hidden.fill(tree, mark.position)?;
            tree
        } else {
            if self.latest.is_some_and(|latest| mark.position > latest) {
                return Err(Deviation::Place);
            }
            let mut peaks = Hashes::of(&mark.frontier)?;
            let mut tree = Frontier::default();
            peaks.fill(&mut tree, mark.position)?;
            peaks.demand_end()?;
            self.tree.insert(tree)
        };
        let root = tree.root();
        if let Some(mut backfill) = self.backfill.take() {
            let mut rest = Hashes::of(&mark.backfill_hidden)?;
            if backfill.size() > mark.position {
                return Err(Deviation::Place);
            }
            rest.fill(&mut backfill, mark.position)?;
            rest.demand_end()?;
            if backfill.root() != root {
                return Err(Deviation::Backfill);
            }
        }
        Ok(root)
    }

    /// Demands that a checkpoint is of the newest one's log, grown.
    fn demand_growth(&self, checkpoint: &Checkpoint, path: &[Digest]) -> Result<(), Deviation> {
        let Some(newest) = &self.newest else { return Ok(()) };
        demand_growth(newest, checkpoint, path)
    }

    fn statement(
        &mut self,
        mark: &pb::Mark,
        checkpoint: &Checkpoint,
    ) -> Result<Option<MarkStatement>, Deviation> {
        if mark.statement.is_empty() {
            return Ok(None);
        }
        let log_keys = self.follower.log_keys.load();
        let statement = open_statement(&log_keys, &mark.statement, &mark.statement_signature)?;
        let is_own = statement.exchange == self.follower.exchange
            && statement.member == self.follower.member
            && statement.filter_digest == self.filter_digest
            && self.stream.is_none_or(|stream| stream == statement.stream);
        if !is_own {
            return Err(Deviation::OtherStream);
        }
        let fits = statement.position == mark.position
            && log_of(&statement) == *checkpoint
            && statement.access >= self.access
            && statement.access <= statement.head;
        if !fits {
            return Err(Deviation::OtherMark);
        }
        if statement.count != self.count {
            return Err(Deviation::Count { said: statement.count, came: self.count });
        }
        if statement.digest != self.digest {
            return Err(Deviation::Digest);
        }
        self.stream = Some(statement.stream);
        self.access = statement.access;
        Ok(Some(statement))
    }
}

/// Demands that a later checkpoint is of an earlier one's log, grown.
pub(super) fn demand_growth(
    earlier: &Checkpoint,
    later: &Checkpoint,
    path: &[Digest],
) -> Result<(), Deviation> {
    if earlier.epoch > later.epoch {
        return Err(Deviation::EarlierEpoch);
    }
    if earlier.epoch != later.epoch {
        return Err(Deviation::Epoch);
    }
    if later.size < earlier.size {
        return Err(Deviation::RolledBack);
    }
    if later.size == earlier.size && later != earlier {
        return Err(Deviation::TwoHistories);
    }
    proof::check_consistency((earlier.size, &earlier.root), (later.size, &later.root), path)
        .map_err(|_invalid| Deviation::NotAContinuation)
}

/// The log that the hub says there is.
pub(super) const fn log_of(statement: &MarkStatement) -> Checkpoint {
    Checkpoint {
        epoch: statement.epoch,
        size: statement.head,
        root: statement.root,
        roster: statement.roster_digest,
    }
}

/// Opens what the hub signed with a mark.
pub(super) fn open_statement(
    log_keys: &LogKeys,
    bytes: &[u8],
    signature: &[u8],
) -> Result<MarkStatement, Deviation> {
    // Which key must have signed it, it says itself: the one of the log's size.
    let said = MarkStatement::from_bytes(bytes).map_err(|_malformed| Deviation::Statement)?;
    let claim = Claim {
        payload_type: MARK_PAYLOAD_TYPE,
        payload: bytes,
        signature,
        key: log_keys.for_size(said.head).verifying(),
        value: (),
    };
    signing::verify(claim).map_err(|_bad| Deviation::Statement)?;
    Ok(said)
}
