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

/// Makes a value harmless for display: nothing links it, nobody opens it by mistake. What is harmless stays as it is.
pub fn defang(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(8));
    for (before, character, after) in amid(&break_scheme(text)) {
        let is_dot = matches!(character, '.' | '\u{3002}') || is_wide_dot(character);
        let is_broken = before == Some('[') && after == Some(']');
        if is_dot && !is_broken {
            out.push_str("[.]");
        } else {
            out.push(character);
        }
    }
    break_at(&out)
}

/// Makes every address in a free text harmless, and leaves sentences, numbers and initials as they are.
///
/// `see example.com, about 1.5 million` becomes `see example[.]com, about 1.5 million`. Idempotent: what is harmless stays
/// as it is.
pub fn defang_text(text: &str) -> String {
    let words: Vec<String> = text.split(' ').map(defang_word).collect();
    words.join(" ")
}

fn defang_word(word: &str) -> String {
    let broken = if is_number_or_initials(word) { word.to_owned() } else { break_dots(word) };
    break_at(&break_scheme(&broken))
}

/// `1.5`, `0.9.11`, `T1566.001`, `U.S.`: no name has a last part of one letter or of digits, no address three numbers.
fn is_number_or_initials(word: &str) -> bool {
    let core = word.trim_matches(|character: char| !character.is_ascii_alphanumeric());
    let parts: Vec<&str> = core.split('.').collect();
    let digits = |part: &&str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit() || byte == b',')
    };
    let letter =
        |part: &&str| part.len() == 1 && part.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_code = core.is_ascii() && (2..=3).contains(&parts.len());
    (is_code && parts.iter().skip(1).all(digits)) || parts.iter().all(letter)
}

/// Every dot that could stand between two parts of a name.
fn break_dots(word: &str) -> String {
    let mut out = String::with_capacity(word.len().saturating_add(8));
    for (before, character, after) in amid(word) {
        if is_dot(character, before, after) && after.is_some_and(char::is_alphanumeric) {
            out.push_str("[.]");
        } else {
            out.push(character);
        }
    }
    out
}

/// Each character with the one before it and the one behind it.
fn amid(text: &str) -> impl Iterator<Item = (Option<char>, char, Option<char>)> {
    let before = std::iter::once(None).chain(text.chars().map(Some));
    let after = text.chars().skip(1).map(Some).chain(std::iter::once(None));
    before.zip(text.chars()).zip(after).map(|((before, this), after)| (before, this, after))
}

/// Every `@` that stands in no brackets.
fn break_at(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(8));
    for (before, character, after) in amid(text) {
        match character {
            '@' | '＠' if before == Some('[') && after == Some(']') => out.push('@'),
            '@' | '＠' => out.push_str("[@]"),
            _ => out.push(character),
        }
    }
    out
}

/// A dot, or what browsers take for one. The ideographic full stop ends sentences too: only amid ASCII is it a dot.
fn is_dot(character: char, before: Option<char>, after: Option<char>) -> bool {
    let ascii = |side: Option<char>| side.is_some_and(|side| side.is_ascii_alphanumeric());
    match character {
        '.' => before.is_some_and(|before| before != '.'),
        '\u{3002}' => ascii(before) && ascii(after),
        _ => is_wide_dot(character) && before.is_some(),
    }
}

const fn is_wide_dot(character: char) -> bool {
    matches!(character, '\u{2024}' | '\u{fe52}' | '\u{ff0e}' | '\u{ff61}')
}

/// `https://` as `hxxps[://]`, however it is written.
fn break_scheme(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(8));
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        let bracketed = before.strip_suffix('[').filter(|_open| after.starts_with(']'));
        out.push_str(&break_http(bracketed.unwrap_or(before)));
        out.push_str(if bracketed.is_some() { "[://" } else { "[://]" });
        rest = after;
    }
    out + rest
}

fn break_http(part: &str) -> String {
    for (plain, broken) in [("http", "hxxp"), ("https", "hxxps")] {
        if ends_with(part, plain) {
            let kept = part.len().saturating_sub(plain.len());
            return format!("{}{broken}", part.get(..kept).unwrap_or_default());
        }
    }
    part.to_owned()
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
        assert_eq!(defang("HTTP://a．example＠b"), "hxxp[://]a[.]example[@]b");
    }

    #[test]
    fn addresses_in_a_text_are_broken_and_sentences_are_not() {
        for (given, expected) in [
            ("see example.com.", "see example[.]com."),
            ("(HTTPS://a.example/x?y=1)", "(hxxps[://]a[.]example/x?y=1)"),
            ("ftp://a.example", "ftp[://]a[.]example"),
            ("http://localhost", "hxxp[://]localhost"),
            ("a@b.example", "a[@]b[.]example"),
            ("192.0.2.1", "192[.]0[.]2[.]1"),
            ("пример。example a。b 你好。世界", "пример。example a[.]b 你好。世界"),
            ("a．example", "a[.]example"),
            ("..evil.example", "..evil[.]example"),
            ("U.S./evil.example", "U[.]S./evil[.]example"),
            ("1.5 million, 13,466.5; 0.9.11", "1.5 million, 13,466.5; 0.9.11"),
            ("the U.S. (e.g. J. Doe) ... end", "the U.S. (e.g. J. Doe) ... end"),
            ("x.y.zip", "x[.]y[.]zip"),
            ("attack/T1566.001, kill-chain/0.6.2", "attack/T1566.001, kill-chain/0.6.2"),
            ("x/192.0.2.1 1.example", "x/192[.]0[.]2[.]1 1[.]example"),
            ("hxxps[://]a[@]b[.]example", "hxxps[://]a[@]b[.]example"),
            ("https[://]a.example [＠]b [[@]]c", "hxxps[://]a[.]example [@]b [[@]]c"),
            ("http", "http"),
        ] {
            assert_eq!(defang_text(given), expected, "{given:?}");
        }
    }

    proptest! {
        #[test]
        fn no_address_survives(before in r"\PC{0,6}", host in r"[a-z]{1,5}(\.[a-z]{2,5}){1,3}", after in r"\PC{0,6}") {
            for scheme in ["", "http://", "https://", "x@"] {
                let defanged = defang_text(&format!("{before}{scheme}{host}{after}"));
                let bare = format!("{scheme}{host}");
                prop_assert!(!defanged.contains(&host), "{} in {}", bare, defanged);
                prop_assert!(!defanged.contains("://") || defanged.contains("[://]"));
                prop_assert!(!defanged.replace("[@]", "").contains('@'));
            }
        }

        #[test]
        fn what_is_harmless_stays_as_it_is(text in r"(\PC|\[|\]|\.|．|。|http|s|:|/|://|@|＠|[a-z]|[0-9]| ){0,40}") {
            let (value, words) = (defang(&text), defang_text(&text));
            prop_assert_eq!(defang(&value), value.as_str());
            prop_assert_eq!(defang_text(&value), value.as_str());
            prop_assert_eq!(defang_text(&words), words.as_str());
        }

        #[test]
        fn refang_is_idempotent(text in r"(\PC|\[|\]|\.|\(|\)|hxxp|s|:|/|@|dot|at|\x{200b}| ){0,40}") {
            let once = refang(&text).into_owned();
            prop_assert_eq!(refang(&once), once.as_str());
        }
    }
}
