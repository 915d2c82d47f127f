//! Checkpoints, cosignatures and proofs: nothing holds but what was signed, and what leads to it.

use std::sync::OnceLock;

use watchfire::model::names::Digest;
use watchfire::signing::VerifyingKey;
use watchfire::transparency::Checkpoint;
use watchfire::transparency::ConflictingCheckpoints;
use watchfire::transparency::Cosigner;
use watchfire::transparency::proof;

use super::plain::Plain;
use super::text;
use super::world::World;
use super::world::world;

/// A signed note, perhaps cosigned.
pub(super) fn checkpoint(data: &[u8]) {
    let Some(note) = text(data) else { return };
    let world = world();
    let read = Checkpoint::read_unverified(note);
    let opened = world.log_keys.open(note);
    if let Ok(opened) = opened {
        assert_eq!(read, Ok(opened), "what is opened is what is read");
        assert_eq!(opened, world.checkpoint, "nothing else was ever signed");
    }
    let cosigner = cosigner();
    let both = world.log_keys.open_cosigned(note, cosigner);
    if let Ok(both) = &both {
        assert!(opened.is_ok());
        let again = world.log_keys.open_cosigned(&both.note, cosigner);
        assert_eq!(again.as_ref(), Ok(both), "the two signatures alone say the same");
    }
    let [_operator, secret, _birch] = &world.keys;
    if let Ok(own) = world.log_keys.cosign(note, cosigner, (7, secret)) {
        assert_eq!(world.log_keys.open_cosigned(&own.note, cosigner), Ok(own));
    }
    let notes = [note.to_owned(), world.note.clone()];
    ConflictingCheckpoints { notes }.check(&world.log_keys).expect_err("it signed one");
}

fn cosigner() -> &'static Cosigner {
    static COSIGNER: OnceLock<Cosigner> = OnceLock::new();
    COSIGNER.get_or_init(|| {
        let [_operator, secret, _birch] = &world().keys;
        let key = VerifyingKey::from_spki(&secret.spki()).expect("a key");
        Cosigner::of_member(&world().exchange, &World::member(1), key).expect("an Ed25519 key")
    })
}

/// Leaves of the largest tree.
const LEAVES: u64 = 700;

fn plain() -> &'static Plain {
    static PLAIN: OnceLock<Plain> = OnceLock::new();
    PLAIN.get_or_init(|| Plain::of(LEAVES))
}

/// Takes numbers off the input.
struct Taken<'a>(&'a [u8]);

impl Taken<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn below(&mut self, end: u64) -> u64 {
        let number = u16::from_be_bytes([self.byte(), self.byte()]);
        u64::from(number) % end.max(1)
    }

    fn hash(&mut self) -> Digest {
        let mut hash = [0; 32];
        for byte in &mut hash {
            *byte = self.byte();
        }
        hash
    }
}

/// A tree, a proof in it, and what was done to it: it holds if nothing was, and not if anything was.
pub(super) fn proof(data: &[u8]) {
    let mut taken = Taken(data);
    match taken.byte() % 3 {
        0 => inclusion(&mut taken),
        1 => consistency(&mut taken),
        _ => multiproof(&mut taken),
    }
}

/// Changes hashes; whether they are others now.
fn change(hashes: &mut Vec<Digest>, taken: &mut Taken<'_>) -> bool {
    let before = hashes.clone();
    for _change in 0..taken.byte() % 4 {
        let count = u64::try_from(hashes.len()).expect("a number");
        let at = usize::try_from(taken.below(count + 1)).expect("a place");
        match taken.byte() % 6 {
            0 => {
                let (byte, bit) = (usize::from(taken.byte() % 32), taken.byte() % 8);
                if let Some(byte) = hashes.get_mut(at).and_then(|hash| hash.get_mut(byte)) {
                    *byte ^= 1 << bit;
                }
            }
            1 if at < hashes.len() => drop(hashes.remove(at)),
            2 => hashes.insert(at, taken.hash()),
            3 if at < hashes.len() => hashes.swap(0, at),
            4 => hashes.extend(before.get(at).copied()),
            _ => hashes.truncate(at),
        }
    }
    *hashes != before
}

fn inclusion(taken: &mut Taken<'_>) {
    let size = 1 + taken.below(LEAVES);
    let index = taken.below(size);
    let Ok(mut path) = proof::inclusion(plain(), index, size);
    let leaf = plain().leaf(index);
    let (root, mut place) = (plain().root(size), index);
    let mut is_other = change(&mut path, taken);
    if taken.byte() % 4 == 1 {
        place = taken.below(size + 3);
        is_other |= place != index;
    }
    let holds = proof::check_inclusion(leaf, place, (size, &root), &path).is_ok();
    assert_eq!(holds, !is_other, "leaf {index} at {place} of {size}");
    let _root = proof::root_then(leaf, place, size, &path);
    let far = (u64::MAX - taken.below(9), u64::MAX - taken.below(9));
    let holds = proof::check_inclusion(leaf, far.0, (far.1, &root), &path).is_ok();
    assert!(!holds, "no such tree was made");
}

fn consistency(taken: &mut Taken<'_>) {
    let new = 1 + taken.below(LEAVES);
    let old = 1 + taken.below(new);
    let Ok(mut path) = proof::consistency(plain(), old, new);
    let roots = (plain().root(old), plain().root(new));
    let mut is_other = change(&mut path, taken);
    let mut claimed = old;
    if taken.byte() % 4 == 1 {
        claimed = 1 + taken.below(new + 2);
        is_other |= claimed != old;
    }
    let holds = proof::check_consistency((claimed, &roots.0), (new, &roots.1), &path).is_ok();
    assert_eq!(holds, !is_other, "{claimed} for {old} in {new}");
    let far = (u64::MAX - taken.below(9), u64::MAX - taken.below(9));
    let holds = proof::check_consistency((far.0, &roots.0), (far.1, &roots.1), &path).is_ok();
    assert!(!holds || roots.0 == roots.1, "no such tree was made");
}

fn multiproof(taken: &mut Taken<'_>) {
    let size = 1 + taken.below(LEAVES);
    let mut places: Vec<u64> = (0..taken.byte() % 24).map(|_place| taken.below(size)).collect();
    places.sort_unstable();
    places.dedup();
    let Ok(mut hashes) = proof::multiproof(plain(), &places, size);
    let leaf = |place: &u64| (*place, plain().leaf(*place));
    let mut leaves: Vec<(u64, Digest)> = places.iter().map(leaf).collect();
    let before = leaves.clone();
    let mut is_other = change(&mut hashes, taken);
    let at = usize::from(taken.byte());
    if let (1, Some(leaf)) = (taken.byte() % 4, leaves.get_mut(at)) {
        leaf.0 = taken.below(size + 3);
    }
    is_other |= leaves != before;
    let root = plain().root(size);
    let holds = proof::check_multiproof(&leaves, (size, &root), &hashes).is_ok();
    assert_eq!(holds, !is_other, "{places:?} of {size}");
    let holds = proof::check_multiproof(&leaves, (u64::MAX, &root), &hashes).is_ok();
    assert!(!holds || (leaves.is_empty() && hashes.is_empty()), "no such tree was made");
}
