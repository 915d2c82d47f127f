//! Defanged text made whole, so that a value means the same however it was made harmless.

use std::borrow::Cow;

/// What is written for what, most common first; every left side ends in a bracket.
const BRACKETED: [(&str, &str); 14] = [
    ("[.]", "."),
    ("(.)", "."),
    ("{.}", "."),
    ("[dot]", "."),
    ("(dot)", "."),
    ("{dot}", "."),
    ("[:]", ":"),
    ("[://]", "://"),
    ("[:/]", ":/"),
    ("[/]", "/"),
    ("[@]", "@"),
    ("(@)", "@"),
    ("[at]", "@"),
    ("(at)", "@"),
];

/// Undoes defanging, removes invisible characters and trims. Idempotent, linear in time.
pub fn refang(text: &str) -> Cow<'_, str> {
    let mut out = String::with_capacity(text.len());
    for character in text.chars().filter(|character| !is_invisible(*character)) {
        push(&mut out, if is_odd_space(character) { ' ' } else { character });
    }
    let trimmed = out.trim();
    if trimmed == text { Cow::Borrowed(text) } else { Cow::Owned(trimmed.to_owned()) }
}

/// Makes a value harmless for display: nothing links it, nobody opens it by mistake.
pub fn defang(text: &str) -> String {
    let scheme = text.replace("http://", "hxxp://").replace("https://", "hxxps://");
    scheme.replace("://", "[://]").replace('.', "[.]").replace('@', "[@]")
}

fn push(out: &mut String, character: char) {
    out.push(character);
    match character {
        ']' | ')' | '}' => unbracket(out),
        ':' => restore_scheme(out),
        _ => {}
    }
}

fn unbracket(out: &mut String) {
    let found = BRACKETED.iter().find(|(defanged, _)| ends_with(out, defanged));
    if let Some((defanged, plain)) = found {
        out.truncate(out.len().saturating_sub(defanged.len()));
        plain.chars().for_each(|character| push(out, character));
    }
}

fn restore_scheme(out: &mut String) {
    for (defanged, plain) in [("hxxp:", "http:"), ("hxxps:", "https:")] {
        if ends_with(out, defanged) {
            out.truncate(out.len().saturating_sub(defanged.len()));
            out.push_str(plain);
        }
    }
}

fn ends_with(text: &str, ascii: &str) -> bool {
    text.len()
        .checked_sub(ascii.len())
        .and_then(|start| text.get(start..))
        .is_some_and(|tail| tail.eq_ignore_ascii_case(ascii))
}

fn is_odd_space(character: char) -> bool {
    character.is_whitespace() && !character.is_ascii()
}

/// Zero-width characters, controls of direction, soft hyphen, byte order mark.
pub(crate) fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_way_of_defanging_is_undone() {
        for (given, expected) in [
            ("hxxps[://]example[.]com", "https://example.com"),
            ("HXXP[:]//example(.)com", "http://example.com"),
            ("a[at]example[dot]com", "a@example.com"),
            ("\u{200a}exam\u{200b}ple{.}com\t", "example.com"),
            ("[[.].]", "[..]"),
            ("plain", "plain"),
        ] {
            assert_eq!(refang(given), expected);
        }
    }

    #[test]
    fn what_was_defanged_is_refanged() {
        let url = "https://user@www.example.com/a.b";
        assert_eq!(defang(url), "hxxps[://]user[@]www[.]example[.]com/a[.]b");
        assert_eq!(refang(&defang(url)), url);
    }

    proptest! {
        #[test]
        fn refang_is_idempotent(text in r"(\PC|\[|\]|\.|\(|\)|hxxp|s|:|/|@|dot|at|\x{200b}| ){0,40}") {
            let once = refang(&text).into_owned();
            prop_assert_eq!(refang(&once), once.as_str());
        }
    }
}
