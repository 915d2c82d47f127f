//! What the hub promised over all rounds, and whether it is so.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use watchfire::client::Client;
use watchfire::client::VerifiedEntry;
use watchfire::model::header::BodyKind;
use watchfire::model::names::Digest;
use watchfire::model::names::sha256;
use watchfire::transparency::Checkpoint;
use watchfire::transparency::proof::check_multiproof;
use watchfire::wire::pb;

use crate::kill::PUBLISHERS;
use crate::kill::load::Sent;
use crate::kill::load::receipt_of;

/// Places of one proof.
const PROVEN_AT_ONCE: usize = 1000;
/// Records that a round must have had promised, on the average, or it proves little.
const PROMISES_LEAST: usize = 10;

/// A record that has a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Promise {
    digest: Digest,
    leaf: Digest,
}

/// Everything that was promised, by its place.
#[derive(Default)]
pub(crate) struct Promises {
    by_place: BTreeMap<u64, Promise>,
    places: BTreeMap<Digest, u64>,
    /// Those whose places were not looked at yet.
    new: BTreeSet<u64>,
    /// What had no answer, by its publisher's number.
    unanswered: Vec<(usize, Vec<pb::Envelope>)>,
    /// Places whose body is gone, with the notices that say so.
    erased: BTreeMap<u64, u64>,
    recalled: usize,
    /// Notices that retention let bodies go.
    let_go: usize,
    asked_again: usize,
    /// Backups that were taken.
    backups: u64,
}

impl Promises {
    pub(crate) fn len(&self) -> usize {
        self.by_place.len()
    }

    /// So many backups were taken meanwhile.
    pub(crate) const fn note_backups(&mut self, taken: u64) {
        self.backups += taken;
    }

    /// What was promised below a place, and at or behind it.
    pub(crate) fn split_at(self, place: u64) -> (Self, Self) {
        let (mut below, mut behind) = (Self::default(), Self::default());
        for (one, promise) in self.by_place {
            let half = if one < place { &mut below } else { &mut behind };
            half.by_place.insert(one, promise);
        }
        (below, behind)
    }

    /// Takes what a publisher's round came to.
    pub(crate) fn take(&mut self, publisher: usize, sent: Sent) {
        self.recalled += sent.recalled;
        self.unanswered.push((publisher, sent.unanswered));
        for receipt in sent.receipts {
            self.note(receipt);
        }
    }

    fn note(&mut self, receipt: pb::Receipt) {
        let digest = receipt.header_digest.try_into().expect("32 bytes");
        let promise = Promise { digest, leaf: receipt.leaf_hash.try_into().expect("32 bytes") };
        let place = receipt.sequence;
        let known = self.places.insert(digest, place);
        assert!(known.is_none_or(|known| known == place), "two places for one record");
        let known = self.by_place.insert(place, promise);
        assert!(known.is_none_or(|known| known == promise), "two records at one place");
        self.new.insert(place);
    }

    /// What had no answer goes out again, byte for byte, and gets one place.
    pub(crate) async fn ask_again(&mut self, client: &Client) {
        let own = client.signer().expect("a key").member().to_string();
        let number = PUBLISHERS.iter().position(|member| *member == own).expect("a publisher");
        let (mine, others) =
            std::mem::take(&mut self.unanswered).into_iter().partition(|(one, _)| *one == number);
        self.unanswered = others;
        let mine: Vec<(usize, Vec<pb::Envelope>)> = mine;
        for (_publisher, envelopes) in mine {
            self.asked_again += envelopes.len();
            let request = pb::PublishRequest { envelopes, ..pb::PublishRequest::default() };
            let answer = client.exchange_service().publish(request).await.expect("an answer");
            for result in answer.into_inner().results {
                self.note(receipt_of(result).expect("the hub is whole: there is an outcome"));
            }
        }
    }

    /// The places of what was promised since the last look, by proofs of the log's tree.
    pub(crate) async fn check_new(&mut self, reader: &Client) {
        let new: Vec<u64> = std::mem::take(&mut self.new).into_iter().collect();
        for places in new.chunks(PROVEN_AT_ONCE) {
            assert!(self.are_in_place(reader, places, None).await, "a promise is not in its place");
        }
    }

    /// Every promise of all rounds, each by a proof under the checkpoint of now.
    pub(crate) async fn check_proofs(&self, reader: &Client) {
        assert!(self.are_kept(reader).await, "an earlier promise is lost");
    }

    /// The same as an answer.
    pub(crate) async fn are_kept(&self, reader: &Client) -> bool {
        let all: Vec<u64> = self.by_place.keys().copied().collect();
        for places in all.chunks(PROVEN_AT_ONCE) {
            if !self.are_in_place(reader, places, None).await {
                return false;
            }
        }
        true
    }

    /// Whether promises are in the log at their places; one of them is taken for another record if that is asked.
    async fn are_in_place(&self, reader: &Client, places: &[u64], changed: Option<u64>) -> bool {
        let request = pb::GetMultiproofRequest { sequences: places.to_vec(), known_size: 0 };
        let proven = reader.transparency_service().get_multiproof(request).await;
        // A place behind the log's end is refused.
        let Ok(proven) = proven else { return false };
        let proven = proven.into_inner();
        let checkpoint = Checkpoint::read_unverified(&proven.checkpoint).expect("a checkpoint");
        let leaf = |place: &u64| {
            let mut leaf = self.by_place[place].leaf;
            leaf[0] ^= u8::from(changed == Some(*place));
            (*place, leaf)
        };
        let leaves: Vec<(u64, Digest)> = places.iter().map(leaf).collect();
        let (hashes, rest) = proven.hashes.as_chunks();
        assert!(rest.is_empty());
        check_multiproof(&leaves, (checkpoint.size, &checkpoint.root), hashes).is_ok()
    }

    /// The whole log against all promises: dense, each once, and what was erased is erased.
    pub(crate) fn check_all(&mut self, entries: &[VerifiedEntry]) {
        let hole = (0_u64..).zip(entries).find(|(place, entry)| *place != entry.sequence());
        assert_eq!(hole.map(|(place, _entry)| place), None, "the log has a hole");
        assert_eq!(self.lost(entries), None, "a promised record is not in its place");
        let digests: BTreeSet<Digest> =
            entries.iter().map(|entry| sha256(&entry.envelope().payload)).collect();
        assert_eq!(digests.len(), entries.len(), "nothing appears twice");
        let is_retention = |entry: &&VerifiedEntry| entry.header().body_kind == BodyKind::Retention;
        self.let_go = entries.iter().filter(is_retention).count();
        let erased =
            entries.iter().filter_map(|entry| Some((entry.sequence(), entry.erased_by()?)));
        let erased: BTreeMap<u64, u64> = erased.collect();
        for (place, notice) in &self.erased {
            assert_eq!(erased.get(place), Some(notice), "what was erased is back, or by another");
        }
        self.erased = erased;
    }

    /// The first promise that is not kept.
    fn lost(&self, entries: &[VerifiedEntry]) -> Option<u64> {
        let found = entries.iter();
        let found: BTreeMap<u64, Digest> =
            found.map(|entry| (entry.sequence(), sha256(&entry.envelope().payload))).collect();
        let mut all = self.by_place.iter();
        let lost = all.find(|(place, promise)| found.get(place) != Some(&promise.digest));
        lost.map(|(place, _promise)| *place)
    }

    /// Rounds in which little was promised, or nothing was cut off or erased, prove little.
    #[expect(clippy::print_stdout, reason = "how much was tried")]
    pub(crate) fn demand_load(&self, rounds: u64, acknowledged: u64) {
        let Self { by_place, erased, recalled, let_go, asked_again, backups, .. } = self;
        println!(
            "{} receipts over {rounds} kills, {asked_again} asked about again, {recalled} recalled, {} bodies gone, {let_go} retentions, {backups} backups, acknowledged to {acknowledged}",
            by_place.len(),
            erased.len()
        );
        let rounds = usize::try_from(rounds).expect("a number");
        assert!(by_place.len() > rounds * PROMISES_LEAST, "the load was too small");
        assert!(*asked_again > 0 && *recalled > 0, "nothing was cut off");
        assert!(rounds < 100 || (!erased.is_empty() && *let_go > 0), "time has erased nothing");
        assert!(
            rounds < 100 || (*backups > 0 && acknowledged > 0),
            "no backup, or nothing acknowledged"
        );
    }

    /// A promise that is not in the log is noticed by each of the checks.
    pub(crate) async fn demand_that_the_check_bites(&self, reader: &Client) {
        let entries =
            crate::world::replay(reader, watchfire::model::filter::Filter::default()).await;
        let place = *self.by_place.keys().next_back().expect("a promise");
        let without: Vec<VerifiedEntry> =
            entries.iter().filter(|entry| entry.sequence() != place).cloned().collect();
        assert_eq!(self.lost(&without), Some(place), "a record that is lost is noticed");
        assert!(self.are_in_place(reader, &[place], None).await);
        assert!(!self.are_in_place(reader, &[place], Some(place)).await);
    }
}
