//! Text without what a terminal would obey, a reader cannot see, or a page would be turned around by.
//!
//! What members report is hostile until shown otherwise; whoever shows it, on a terminal or on a page, cleans it here.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_normalization::char::is_combining_mark;

/// Marks that may follow each other on one letter: no script needs more, and a tower of them covers its neighbours.
const MARKS_IN_A_ROW_MAX: usize = 4;

/// The text without control characters, controls of direction, invisible characters and towers of marks.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut marks = 0_usize;
    for character in text.chars().filter(|character| !is_unseen(*character)) {
        marks = if is_combining_mark(character) { marks.saturating_add(1) } else { 0 };
        if marks <= MARKS_IN_A_ROW_MAX {
            out.push(character);
        }
    }
    out
}

/// The same as one line: every run of blanks and line breaks is one blank, none at the ends.
pub fn visible_line(text: &str) -> String {
    let words: Vec<String> =
        text.split_whitespace().map(visible).filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// The text with each unseen character written as JSON writes it, `\uXXXX`: a document of JSON that says the same, and
/// that no terminal obeys. Line breaks and tabs stay, which no JSON holds within its texts.
pub fn escaped(text: &str) -> Cow<'_, str> {
    let is_escaped = |one: char| is_unseen(one) && one != '\n' && one != '\t';
    if !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if is_escaped(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // A string takes everything.
                let _always = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(character);
        }
    }
    Cow::Owned(out)
}

/// Whether nobody sees this character, or what it is there for is to command.
pub fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_obeyed() {
        assert_eq!(visible("a\u{1b}[31mb\r\n\u{202e}c\u{200b}d\u{9b}e"), "a[31mbcde");
        assert_eq!(visible("пример.example"), "пример.example");
    }

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(visible_line(" a\r\n\u{2028}b\tc \u{200b} d\u{3000}"), "a b c d");
        assert_eq!(visible_line("\u{202e}\n"), "");
    }

    #[test]
    fn what_is_escaped_says_the_same() {
        let text = "a\u{7f}\u{9b}\u{202e}\u{e0041}\u{2028}b\nc \u{fe0f}\u{1f525}";
        let json = serde_json::Value::from(text).to_string();
        let escaped = escaped(&json);
        assert_eq!(escaped, r#""a\u007f\u009b\u202e\udb40\udc41\u2028b\nc \ufe0f🔥""#);
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
        assert!(matches!(super::escaped("{\n\t\"пример\": 1}"), Cow::Borrowed(_)));
    }

    #[test]
    fn towers_of_marks_are_cut_and_letters_keep_theirs() {
        assert_eq!(visible("o\u{302}\u{323}"), "o\u{302}\u{323}");
        let tower = format!("z{}y", "\u{301}".repeat(50));
        assert_eq!(visible(&tower), format!("z{}y", "\u{301}".repeat(MARKS_IN_A_ROW_MAX)));
    }
}
