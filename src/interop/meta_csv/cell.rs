//! What stands in a cell: values, remarks behind them, or prose.

use crate::interop::meta_csv::SkipReason;
use crate::model::limits;
use crate::model::normal_form::NormalForm;
use crate::model::normal_form::normal_form;
use crate::model::normal_form::recognise;
use crate::model::observable::ObservableKind;
use crate::model::refang::refang;

/// A value that was found.
pub(super) struct Found {
    pub(super) form: NormalForm,
    /// As the publisher wrote it.
    pub(super) value: String,
    /// For hashes: the algorithm.
    pub(super) algorithm: &'static str,
}

/// What a cell says.
pub(super) enum Reading {
    /// Values, and the remark behind them.
    Values(Vec<Found>, String),
    /// Nothing but text.
    Prose,
    /// Neither.
    Skip(SkipReason),
}

/// Reads a cell of the indicator column.
pub(super) fn read(cell: &str) -> Reading {
    let words: Vec<&str> = cell.split_whitespace().collect();
    let Some((first, others)) = words.split_first() else {
        return Reading::Prose;
    };
    let mut found = match value(first) {
        Some(found) => vec![found],
        None if looks_like_a_value(first) => return Reading::Skip(SkipReason::Invalid),
        None => return Reading::Prose,
    };
    let mut rest = others;
    while let Some((word, after)) = rest.split_first() {
        let bare = word.trim_matches([',', ';']);
        match value(bare) {
            Some(another) if found.len() < limits::ITEMS_MAX => found.push(another),
            Some(_) => return Reading::Skip(SkipReason::TooLong),
            None if bare.is_empty() || matches!(bare, "and" | "&") => {}
            None => break,
        }
        rest = after;
    }
    if rest.is_empty() || is_remark(rest) {
        return Reading::Values(found, rest.join(" "));
    }
    if found.len() > 1 || !refang(first).contains("://") {
        return if refang(first).contains("://") {
            Reading::Skip(SkipReason::Ambiguous)
        } else {
            Reading::Prose
        };
    }
    join(first, others).map_or(Reading::Skip(SkipReason::Ambiguous), |joined| {
        Reading::Values(vec![joined], String::new())
    })
}

/// Values that a remark says the row's own leads to.
pub(super) fn redirects(remark: &str) -> Vec<Found> {
    let mut words = remark.split_whitespace();
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        if word.eq_ignore_ascii_case("redirects") {
            let target = words
                .by_ref()
                .find(|word| !word.eq_ignore_ascii_case("to") && !word.eq_ignore_ascii_case("to:"));
            found.extend(target.and_then(value));
        }
    }
    found.truncate(limits::ITEMS_MAX);
    found
}

/// One word as a value.
pub(super) fn value(word: &str) -> Option<Found> {
    let word = word.trim_end_matches([',', ';']);
    let plain = refang(word);
    let text = plain.as_ref();
    let of = |kind, algorithm| {
        let form = normal_form(kind, None, text).ok()?;
        Some(Found { form, value: word.to_owned(), algorithm })
    };
    if text.starts_with('#') && text.len() > 1 {
        return of(ObservableKind::Hashtag, "");
    }
    if let Some(algorithm) = algorithm(text) {
        return of(ObservableKind::FileHash, algorithm);
    }
    if text.contains('@') && !text.contains('/') {
        return of(ObservableKind::EmailAddress, "");
    }
    if let Some(found) = of(ObservableKind::IpAddress, "") {
        return Some(found);
    }
    if !text.contains("://") && !is_public(text) {
        return None;
    }
    address(word)
}

/// A profile, a domain (an address without a path names the site), or a URL.
pub(super) fn address(word: &str) -> Option<Found> {
    let form = recognise(word)
        .or_else(|| normal_form(ObservableKind::Domain, None, word).ok())
        .or_else(|| normal_form(ObservableKind::Url, None, word).ok())?;
    Some(Found { form, value: word.to_owned(), algorithm: "" })
}

/// The algorithm of a hash, by its length.
pub(super) fn algorithm(text: &str) -> Option<&'static str> {
    let name = match text.len() {
        32 => "md5",
        40 => "sha1",
        64 => "sha256",
        _ => return None,
    };
    text.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(name)
}

/// Whether the host of a bare word ends in a suffix that exists, or in a reserved one.
fn is_public(text: &str) -> bool {
    let host = text
        .split(['/', '?', '#', ':'])
        .next()
        .unwrap_or_default()
        .trim_end_matches('.')
        .to_lowercase();
    let reserved = [".example", ".test"].iter().any(|suffix| host.ends_with(suffix));
    reserved
        || (host.contains('.')
            && psl::suffix(host.as_bytes()).is_some_and(|suffix| suffix.is_known()))
}

/// Defanged or with a scheme: it was meant as a value.
pub(super) fn looks_like_a_value(word: &str) -> bool {
    let lower = word.to_lowercase();
    ["[.]", "[dot]", "://", "hxxp", "[:]", "[.", "(.)"].iter().any(|mark| lower.contains(mark))
}

/// Remarks begin with a bracket or dash, or say where the value leads.
fn is_remark(words: &[&str]) -> bool {
    words.first().is_some_and(|word| {
        word.starts_with(['(', '[', '-', '–', '—']) || word.eq_ignore_ascii_case("redirects")
    })
}

/// Joins a URL that a line wrap tore, if every piece can only be one of a URL.
fn join(first: &str, others: &[&str]) -> Option<Found> {
    let plain = refang(first);
    let path = plain.split_once("://")?.1.split_once('/')?.1;
    let mut before = path.chars().next_back();
    for piece in others {
        let digits = before.is_some_and(|last| last.is_ascii_digit())
            && piece.bytes().all(|byte| byte.is_ascii_digit());
        if !digits && !piece.contains(['/', '_', '%', '=']) {
            return None;
        }
        before = piece.chars().next_back();
    }
    address(&format!("{first}{}", others.concat()))
}
