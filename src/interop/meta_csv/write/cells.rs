//! Cells and records, by RFC 4180, such that no spreadsheet runs and no terminal obeys them.

use crate::model::refang::is_invisible;

/// What a cell begins with that a spreadsheet would run: seen by nobody, and taken away by the reader.
const GUARD: char = '\u{2060}';

/// Adds a record. Cells are quoted where they must be.
pub(super) fn push(text: &mut String, cells: &[&str]) {
    for (at, cell) in cells.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        if cell.contains(['"', ',', '\r', '\n']) {
            text.push('"');
            text.push_str(&cell.replace('"', "\"\""));
            text.push('"');
        } else {
            text.push_str(cell);
        }
    }
    text.push_str("\r\n");
}

/// A text as a cell: without what commands a terminal or is unseen, and never the beginning of a formula, also not
/// behind what some countries' spreadsheets take for the end of a cell. Addresses have commas before what is no formula
/// (`@48.1,-1.6`), and a cell with one is quoted: there only the other ends count.
pub(super) fn harmless(text: &str) -> String {
    let is_prose = text.contains(char::is_whitespace);
    let mut out = String::with_capacity(text.len());
    let mut before: Option<char> = None;
    let mut rest = text.chars().filter(|character| !is_unseen(*character)).peekable();
    while let Some(character) = rest.next() {
        let is_kept = match character {
            '\n' | '\t' => true,
            '\r' => rest.peek() == Some(&'\n'),
            _ => !character.is_control(),
        };
        if !is_kept {
            continue;
        }
        let is_first = before.is_none_or(|before| is_end(before) && (is_prose || before != ','));
        if is_first && is_formula(character) {
            out.push(GUARD);
        }
        out.push(character);
        // What stands behind blanks and quotes at the beginning of a cell is its beginning all the same.
        if !matches!(character, ' ' | '"' | '\'') || before.is_some_and(|before| !is_end(before)) {
            before = Some(character);
        }
    }
    out
}

/// What nobody sees, tags of languages among it: a text that hides in another, or that hides the beginning of a cell.
fn is_unseen(character: char) -> bool {
    is_invisible(character) || matches!(character, '\u{e0000}'..='\u{e0fff}')
}

fn is_end(character: char) -> bool {
    matches!(character, ';' | '\t' | '\n' | '\r' | ',' | '|')
}

/// What spreadsheets begin a formula with; wide letters too, since some make them narrow.
fn is_formula(character: char) -> bool {
    matches!(character, '=' | '+' | '-' | '@' | '\t' | '\r' | '＝' | '＋' | '－' | '＠')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_run_begins_with_what_nobody_sees() {
        for (text, expected) in [
            ("=1+1", "\u{2060}=1+1"),
            ("+49 30", "\u{2060}+49 30"),
            ("-a", "\u{2060}-a"),
            ("@SUM(A1)", "\u{2060}@SUM(A1)"),
            ("\t=1", "\u{2060}\t\u{2060}=1"),
            (" =1", " \u{2060}=1"),
            ("\"=1", "\"\u{2060}=1"),
            ("a;=1 b", "a;\u{2060}=1 b"),
            ("a\n-b", "a\n\u{2060}-b"),
            ("＝1", "\u{2060}＝1"),
            ("https://a.example/;=cmd|'/Ccalc'!A0", "https://a.example/;\u{2060}=cmd|'/Ccalc'!A0"),
            ("https://a.example/@48.1,-1.6", "https://a.example/@48.1,-1.6"),
            ("x|=1", "x|\u{2060}=1"),
            ("a - b = c", "a - b = c"),
            ("a@b.example", "a@b.example"),
        ] {
            assert_eq!(harmless(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_commands_a_terminal_is_left_out() {
        assert_eq!(harmless("a\u{1b}[31mb\u{202e}c\rd\r\ne\u{9b}f\0"), "a[31mbcd\r\nef");
        assert_eq!(harmless("\u{feff}\u{200b}=1"), "\u{2060}=1");
        assert_eq!(harmless("\u{e0041}\u{e007f}=1"), "\u{2060}=1");
    }

    #[test]
    fn a_record_is_read_back_by_any_reader() {
        let cells = ["a,b", "c\"d", "e\r\nf", "", " g "];
        let mut text = String::new();
        push(&mut text, &cells);
        assert_eq!(text, "\"a,b\",\"c\"\"d\",\"e\r\nf\",, g \r\n");
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
        let record = reader.records().next().unwrap().unwrap();
        assert_eq!(record.iter().collect::<Vec<_>>(), cells);
    }
}
