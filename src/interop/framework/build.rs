//! From what a file says to a framework: codes that can be looked up, texts that can be shown, parents that exist.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::interop::framework::Framework;
use crate::interop::framework::FrameworkError;
use crate::interop::framework::NAMES;
use crate::interop::framework::Tactic;
use crate::interop::framework::Technique;
use crate::interop::techniques::bounded;
use crate::model::limits;
use crate::model::visible::visible_line;

/// How deep techniques of techniques go: known frameworks have two levels.
const LEVELS_MAX: usize = 8;
/// Tactics of one technique.
const TACTICS_MAX: usize = 32;

/// A technique with the place where it stands, `objects[12]` or `line 7`.
pub(super) struct Placed {
    pub(super) place: String,
    pub(super) technique: Technique,
}

/// A framework of techniques as they were read.
pub(super) fn framework(
    name: &str,
    version: &str,
    found: Vec<Placed>,
) -> Result<Framework, FrameworkError> {
    if found.is_empty() {
        return Err(FrameworkError::whole("there is no technique in it"));
    }
    let name = self::name(name)?;
    let version = short(version, "the version", "")?;
    if found.len() > limits::FRAMEWORK_TECHNIQUES_MAX {
        let most = limits::FRAMEWORK_TECHNIQUES_MAX;
        return Err(FrameworkError::whole(format!("it has more than {most} techniques")));
    }
    let mut kept: Vec<Placed> = Vec::with_capacity(found.len());
    let mut places: HashMap<String, usize> = HashMap::with_capacity(found.len());
    for one in found {
        let one = checked(one)?;
        match places.entry(key(&one.technique.external_id)) {
            Entry::Vacant(free) => {
                free.insert(kept.len());
                kept.push(one);
            }
            Entry::Occupied(taken) => {
                let Some(standing) = kept.get_mut(*taken.get()) else { continue };
                // A code that was given up and is used again is what stands.
                match (standing.technique.retired, one.technique.retired) {
                    (true, false) => *standing = one,
                    (_, true) => {}
                    (false, false) => return Err(twice(&one, standing)),
                }
            }
        }
    }
    sorted(name, version, kept)
}

fn twice(one: &Placed, standing: &Placed) -> FrameworkError {
    let code = &one.technique.external_id;
    FrameworkError::at(&one.place, format!("{code} stands at {} already", standing.place))
}

/// Puts the techniques in the order of their codes, and demands that no technique is a kind of itself.
fn sorted(name: String, version: String, kept: Vec<Placed>) -> Result<Framework, FrameworkError> {
    let mut kept = kept;
    kept.sort_by_cached_key(|one| in_order(&one.technique.external_id));
    let places: HashMap<String, usize> = kept
        .iter()
        .enumerate()
        .map(|(place, one)| (key(&one.technique.external_id), place))
        .collect();
    for one in &kept {
        let (mut above, mut levels) = (one.technique.parent.as_str(), 0);
        while !above.is_empty() {
            levels += 1;
            if levels > LEVELS_MAX {
                let why = format!("{} is a technique below itself", one.technique.external_id);
                return Err(FrameworkError::at(&one.place, why));
            }
            let found = places.get(&key(above)).and_then(|place| kept.get(*place));
            above = found.map_or("", |found| found.technique.parent.as_str());
        }
    }
    let techniques: Vec<Technique> = kept.into_iter().map(|one| one.technique).collect();
    Ok(Framework { name, version, techniques, places })
}

/// The technique with texts that are whole and can be shown.
fn checked(one: Placed) -> Result<Placed, FrameworkError> {
    let Placed { place, technique } = one;
    let Technique { external_id, name, description, mut tactics, parent, retired } = technique;
    let external_id = short(&external_id, "the code", &place)?;
    let is_code = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    if external_id.is_empty() || !external_id.bytes().all(is_code) {
        let why = format!("{external_id:?} is no code of a technique");
        return Err(FrameworkError::at(&place, why));
    }
    if tactics.len() > TACTICS_MAX {
        let why = format!("{external_id} has more than {TACTICS_MAX} tactics");
        return Err(FrameworkError::at(&place, why));
    }
    for Tactic { external_id, name } in &mut tactics {
        *external_id = short(external_id, "the code of a tactic", &place)?;
        *name = short(name, "the name of a tactic", &place)?;
    }
    let technique = Technique {
        name: short(&name, "the name", &place)?,
        description: bounded(&visible_line(&description), limits::TEXT_BYTES_MAX),
        parent: short(&parent, "the code above", &place)?,
        external_id,
        tactics,
        retired,
    };
    Ok(Placed { place, technique })
}

/// A short text as one line; a longer one is refused, since it is none.
fn short(text: &str, what: &str, place: &str) -> Result<String, FrameworkError> {
    let line = visible_line(text);
    if line.len() <= limits::LABEL_BYTES_MAX {
        return Ok(line);
    }
    let why = format!("{what} is longer than {} bytes", limits::LABEL_BYTES_MAX);
    Err(FrameworkError::at(place, why))
}

/// What a framework is called on the wire.
fn name(given: &str) -> Result<String, FrameworkError> {
    let lower = short(given, "the name of the framework", "")?.to_lowercase();
    let known = NAMES.iter().find(|(theirs, _)| *theirs == lower);
    let name = known.map_or(lower.as_str(), |(_, ours)| ours);
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || !name.bytes().all(is_name) {
        let why = format!("{name:?} is no name of a framework: say one of a-z, 0-9 and hyphens");
        return Err(FrameworkError::whole(why));
    }
    Ok(name.to_owned())
}

/// What a code is found by.
pub(super) fn key(external_id: &str) -> String {
    let lower = external_id.to_ascii_lowercase();
    // Kill-chain lists write some procedures with a fourth number that says nothing.
    let digits = lower.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match lower.strip_suffix(".0") {
        Some(short) if digits && lower.split('.').count() == 4 => short.to_owned(),
        _ => lower,
    }
}

/// Codes in the order that people expect: numbers in them as numbers.
pub(super) fn in_order(external_id: &str) -> Vec<(u64, String)> {
    let parts = external_id.split(['.', '-', '_']);
    parts
        .map(|part| match part.parse() {
            Ok(number) => (number, String::new()),
            Err(_words) => (u64::MAX, part.to_ascii_lowercase()),
        })
        .collect()
}

/// The version in a file's name: `1.6` of `DISARM-1.6.json`.
pub(super) fn version_in(file_name: &str) -> String {
    let base = file_name.rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = base.rsplit_once('.').map_or(base, |(stem, _)| stem);
    let is_version = |piece: &&str| {
        let digits = piece.strip_prefix(['v', 'V']).unwrap_or(piece);
        let parts: Vec<&str> = digits.split('.').collect();
        (2..=4).contains(&parts.len())
            && parts.iter().all(|part| {
                (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
            })
    };
    let found = stem.split(['-', '_', ' ']).find(is_version).unwrap_or_default();
    found.trim_start_matches(['v', 'V']).to_owned()
}
