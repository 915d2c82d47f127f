//! What the kept corpus began with: for each target inputs that are understood whole. Ours, made here.

mod brought;
mod said;
mod stored;

use crate::engine::folder;
use crate::targets;
use sha2::Digest as _;
use sha2::Sha256;
use std::fs;

use self::brought::bundle;
use self::brought::certificates;
use self::brought::configured;
use self::brought::lists;
use self::brought::notes;
use self::brought::papers;
use self::brought::patterns;
use self::brought::texts;
use self::brought::tokens;
use self::brought::values;
use self::said::bodies;
pub(crate) use self::said::different_envelopes;
use self::said::envelopes;
use self::said::headers;
use self::said::index;
use self::said::queries;
use self::said::roster;
use self::stored::backups;
use self::stored::rows;

const CONFIG: &str = include_str!("../../../docs/watchfired.sample.toml");
const LIST: &[u8] = include_bytes!("../../data/sample-list.csv");
const FLAT: &[u8] = include_bytes!("../../data/sample-flat.csv");

/// Writes the seeds of every target into its corpus.
pub(crate) fn write() {
    for target in targets::ALL {
        let folder = folder(target.name);
        fs::create_dir_all(&folder).expect("a folder");
        let has_some = fs::read_dir(&folder).expect("a folder").next().is_some();
        if has_some && target.name == "certificate" {
            continue; // their keys are new each time
        }
        for mut seed in seeds(target.name) {
            seed.truncate(target.bytes_max);
            (target.run)(&seed);
            let digest = hex::encode(Sha256::digest(&seed));
            let file = folder.join(digest.get(..16).unwrap_or_default());
            fs::write(file, seed).expect("a seed is written");
        }
    }
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    match name {
        "envelope" => envelopes(),
        "header" => headers(),
        "body" => {
            bodies().into_iter().map(|(kind, body)| [vec![index(kind)], body].concat()).collect()
        }
        "roster" => vec![roster()],
        "query" => queries(),
        "normal-form" => values(),
        "text" => texts(),
        "csv" => vec![LIST.to_vec(), FLAT.to_vec()],
        "bundle" => vec![bundle().to_string().into_bytes()],
        "pattern" => patterns(),
        "lists" => lists(),
        "json" => papers(),
        "config" => vec![
            CONFIG.into(),
            CONFIG.replace("\n# ", "\n").replace("\n#", "\n").into(),
            configured(),
        ],
        "checkpoint" => notes(),
        "proof" => (0..12_u8)
            .map(|seed| (0..64).map(|at| seed.wrapping_mul(31).wrapping_add(at)).collect())
            .collect(),
        "certificate" => certificates(),
        "token" => tokens(),
        "store" => rows(),
        "backup" => backups(),
        other => panic!("{other} has no seeds"),
    }
}
