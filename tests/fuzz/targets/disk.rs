//! What is read back from the disk: rows of the store, and backups.

use sha2::Digest as _;
use sha2::Sha256;
use watchfire::exchange;
use watchfire::store;
use watchfire::store::BACKUP_MAGIC;
use watchfire::store::BackupError;
use watchfire::store::read_backup;
use watchfire::transparency::Tile;
use watchfire::wire;

use super::world::world;

/// Bytes of a sealed value that are not its checksum.
const VALUE_BYTES: usize = 4092;
const BEGIN: u8 = 1;
const END: u8 = 4;

/// A row of the store, taken for one of each kind.
pub(super) fn store(data: &[u8]) {
    block(data);
    let _sealed_by_nobody = store::fuzzing::block(7, data, &[]);
    if let Some((head, again)) = store::fuzzing::head(data) {
        assert_eq!(store::fuzzing::head(&again).map(|found| found.0), Some(head));
    }
    let _unsealed = store::fuzzing::postings(data);
    if let Some(postings) = store::fuzzing::postings(&store::fuzzing::seal(data)) {
        assert_eq!(postings.len() * 16, data.len(), "every posting is read");
    }
    let value = data.first_chunk().copied().map_or(0, u64::from_be_bytes);
    if let Some((lets_through, again)) = store::fuzzing::run_filter(data, value) {
        let found = store::fuzzing::run_filter(&again, value);
        assert_eq!(found, Some((lets_through, again)), "a filter survives its bytes");
    }
    let named = store::fuzzing::named(data);
    for key in store::fuzzing::keys_of(&named) {
        assert_eq!(key.get(1..), data.get(1..), "a key has one spelling");
    }
    if let Some(scope) = wire::scope::decode(data) {
        assert_eq!(wire::scope::decode(&wire::scope::encode(&scope)), Some(scope));
    }
    if let Some(tile) = Tile::from_bytes(data) {
        assert_eq!(tile.to_bytes(), data);
    }
    for row in [exchange::fuzzing::delivery, exchange::fuzzing::subscription] {
        if let Some(again) = row(data) {
            assert_eq!(row(&again).as_ref(), Some(&again), "a row survives its bytes");
        }
    }
    let _kinds = exchange::fuzzing::testimony(data, &world().log_keys);
}

/// A block whose checksums hold.
fn block(payload: &[u8]) {
    let mut values = payload.chunks(VALUE_BYTES).map(store::fuzzing::seal);
    let row = values.next().unwrap_or_else(|| store::fuzzing::seal(&[]));
    let pieces: Vec<Vec<u8>> = values.collect();
    let Ok((block, head)) = store::fuzzing::block(7, &row, &pieces) else { return };
    for (sequence, entry) in block.entries_from(0) {
        assert!(block.at(sequence).is_some());
        assert_eq!(block.framed(entry).len(), entry.range.len());
        let _terms = block.terms(entry);
    }
    let Some((row, pieces)) = store::fuzzing::written(&block, head.as_deref()) else { return };
    let (again, head_again) =
        store::fuzzing::block(7, &row, &pieces).expect("what was written is read");
    assert_eq!(head_again, head);
    assert_eq!(again.bytes, block.bytes);
    let facts = |block: &store::LogBlock| {
        block.entries.iter().map(|entry| format!("{:?}", entry.facts)).collect::<Vec<_>>()
    };
    assert_eq!(facts(&again), facts(&block));
}

/// A backup as it comes, and one whose frames have these contents, whose checksums hold, and that ends as it must.
pub(super) fn backup(data: &[u8]) {
    let _whole = read(data);
    let file = sealed(data);
    let found = read(&file);
    let is_checksum = |error: &BackupError| {
        matches!(error, BackupError::Damaged { what: "the checksum does not match", .. })
    };
    assert!(!found.as_ref().is_err_and(is_checksum), "it was sealed: {found:?}");
    if found.is_ok() {
        for (at, bit) in [(9, 1), (file.len() / 2, 8), (file.len().saturating_sub(1), 64)] {
            let mut flipped = file.clone();
            flipped.get_mut(at).into_iter().for_each(|byte| *byte ^= bit);
            assert!(read(&flipped).is_err(), "a flipped bit at {at} is noticed");
        }
        let cut = file.get(..file.len().saturating_sub(1)).expect("a part");
        assert!(matches!(read(cut), Err(BackupError::Cut(_))), "a cut is noticed");
    }
}

fn read(file: &[u8]) -> Result<u64, BackupError> {
    let mut entries = 0_u64;
    let summary = read_backup(file, |block| {
        let framed = block.entries.iter().map(|entry| block.framed(entry).len()).sum::<usize>();
        assert_eq!(framed, block.bytes.len());
        entries += 1;
    })?;
    Ok(summary.size)
}

/// Frames of these contents, each led by its kind and length.
fn sealed(data: &[u8]) -> Vec<u8> {
    let mut file = BACKUP_MAGIC.to_vec();
    // The store's format, the size, a time.
    let format = u8::try_from(store::fuzzing::FORMAT).expect("a small number");
    frame(BEGIN, &[8, format, 16, 2, 24, 1], &mut file);
    let (mut rest, mut frames) = (data, 1_u64);
    while let Some(([kind, high, low], behind)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(behind.len());
        let (content, behind) = behind.split_at(length);
        rest = behind;
        if *kind != END {
            frame(*kind, content, &mut file);
            frames += 1;
        }
    }
    let digest: [u8; 32] = Sha256::digest(&file).into();
    let end = wire::disk::BackupEnd {
        size: 2,
        frames,
        digest: digest.to_vec(),
        checkpoint: world().note.clone(),
    };
    frame(END, &prost::Message::encode_to_vec(&end), &mut file);
    file
}

fn frame(kind: u8, content: &[u8], into: &mut Vec<u8>) {
    let start = into.len();
    into.push(kind);
    into.extend_from_slice(&u32::try_from(content.len()).expect("a length").to_be_bytes());
    into.extend_from_slice(content);
    let crc = crc32fast::hash(into.get(start..).expect("a frame"));
    into.extend_from_slice(&crc.to_be_bytes());
}
