//! Techniques as kill-chain lists name them: the leading number is the key, labels drift.

use crate::model::limits;
use crate::wire::pb;

/// The framework's name on the wire.
pub const KILL_CHAIN: &str = "online-operations-kill-chain";

/// The framework's phases by their number; published lists misspell and misnumber them.
const PHASES: [&str; 10] = [
    "Acquiring assets",
    "Disguising assets",
    "Gathering information",
    "Coordinating and planning",
    "Testing defenses",
    "Evading detection",
    "Indiscriminate engagement",
    "Targeted engagement",
    "Compromising assets",
    "Enabling longevity",
];

/// The technique that a row names, by its procedure, else by its technique; none if neither has a number.
pub fn kill_chain(tactic: &str, technique: &str, procedure: &str) -> Option<pb::Technique> {
    let (number, label) = [procedure, technique].into_iter().find_map(numbered)?;
    let phase = phase(&number, tactic);
    Some(pb::Technique {
        framework: KILL_CHAIN.to_owned(),
        version: String::new(),
        external_id: number,
        name: bounded(&label, limits::LABEL_BYTES_MAX),
        phase: bounded(&phase, limits::LABEL_BYTES_MAX),
        observed: String::new(),
    })
}

/// The phase that a number belongs to; as the row spells it, if the framework has none for it.
pub(super) fn phase(number: &str, tactic: &str) -> String {
    let digit = number.split('.').next().unwrap_or_default();
    let phase = digit.parse().ok().and_then(|digit: usize| PHASES.get(digit));
    phase.map_or_else(|| one_line(tactic), |phase| (*phase).to_owned())
}

/// `0.9.11.0 Creating petitions` as (`0.9.11`, `Creating petitions`).
pub(super) fn numbered(text: &str) -> Option<(String, String)> {
    let line = one_line(text);
    let (number, label) = line.split_once(' ').unwrap_or((line.as_str(), ""));
    let parts: Vec<&str> = number.trim_end_matches('.').split('.').collect();
    let valid = (2..=4).contains(&parts.len())
        && parts.iter().all(|part| {
            (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        });
    let kept = if parts.len() == 4 && parts.last() == Some(&"0") { 3 } else { parts.len() };
    valid
        .then(|| (parts.iter().take(kept).copied().collect::<Vec<_>>().join("."), label.to_owned()))
}

/// The text with every run of blanks and line breaks as one blank.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text, cut at a character with an ellipsis if it is longer.
pub(super) fn bounded(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let end = (0..=bytes_max.saturating_sub(3))
        .rev()
        .find(|end| text.is_char_boundary(*end))
        .unwrap_or(0);
    format!("{}…", text.get(..end).unwrap_or_default())
}
