//! Undoes what publishers do to a value so that nobody clicks it.

use std::borrow::Cow;

const MARKS: &[(&str, &str)] = &[
    ("[.]", "."),
    ("(.)", "."),
    ("{.}", "."),
    ("[dot]", "."),
    ("(dot)", "."),
    ("[.", "."),
    (".]", "."),
    ("[:]", ":"),
    ("[://]", "://"),
    ("[:/", ":/"),
    ("[@]", "@"),
    ("(@)", "@"),
    ("[at]", "@"),
    ("(at)", "@"),
    ("[/]", "/"),
];

/// The value as it works: `[.]`, `[dot]`, `hxxp`, `[:]`, `[@]` and the like undone, invisible characters gone,
/// trimmed. Refanging twice changes nothing.
pub fn refang(text: &str) -> Cow<'_, str> {
    let trimmed = text.trim();
    let suspicious = trimmed.len() >= 4
        && trimmed
            .get(..4)
            .is_some_and(|start| start.eq_ignore_ascii_case("hxxp"));
    if !suspicious && !trimmed.contains(['[', '(', '{', ']']) && !trimmed.chars().any(is_invisible)
    {
        return Cow::Borrowed(trimmed);
    }
    let mut value: String = trimmed
        .chars()
        .filter(|symbol| !is_invisible(*symbol))
        .collect();
    loop {
        let next = undo(&value);
        if next == value {
            return Cow::Owned(value);
        }
        value = next;
    }
}

/// Whether a character cannot be seen: zero-width, bidi, control, soft hyphen, byte order mark.
pub fn is_invisible(symbol: char) -> bool {
    matches!(symbol,
        '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
        || (symbol.is_control() && !symbol.is_whitespace())
}

fn undo(text: &str) -> String {
    let mut value = text.trim().to_owned();
    if let (Some(start), Some(rest)) = (value.get(..4), value.get(4..))
        && start.eq_ignore_ascii_case("hxxp")
    {
        value = format!("http{rest}");
    }
    for (mark, plain) in MARKS {
        value = replace(&value, mark, plain);
    }
    value
}

/// Replaces a mark in any case; every mark is ASCII and longer than its meaning, so the text only shrinks.
fn replace(text: &str, mark: &str, plain: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut value = String::with_capacity(text.len());
    let mut from = 0;
    for (at, _) in lower.match_indices(mark) {
        value.push_str(text.get(from..at).unwrap_or_default());
        value.push_str(plain);
        from = at + mark.len();
    }
    value.push_str(text.get(from..).unwrap_or_default());
    value
}
