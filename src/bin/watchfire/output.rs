//! The only place that prints. Data goes to standard output, everything else to standard error.
//!
//! What members reported is hostile until shown otherwise: control and invisible characters never reach a
//! terminal.

use std::io;
use std::io::Write as _;

use indicatif::ProgressBar;
use indicatif::ProgressStyle;

/// How records are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people: defanged, cut to fit.
    Table,
    /// For programs: one JSON object a line.
    Jsonl,
}

/// Prints a line of data.
pub(crate) fn line(text: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Prints data as it is.
pub(crate) fn raw(bytes: &[u8]) -> io::Result<()> {
    io::stdout().lock().write_all(bytes)
}

/// Sees to it that what was printed has left.
pub(crate) fn flush() -> io::Result<()> {
    io::stdout().lock().flush()
}

/// Tells people something that is not data. It is no fault if nobody listens.
pub(crate) fn note(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// A bar on standard error if that is a terminal; nothing at all if not.
pub(crate) fn progress(what: &'static str, length: usize) -> ProgressBar {
    let bar = ProgressBar::new(u64::try_from(length).unwrap_or(u64::MAX)).with_message(what);
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}");
    // The template is a constant; without it the bar has its plain look.
    style.map_or_else(|_invalid| bar.clone(), |style| bar.clone().with_style(style))
}

/// Text without what a terminal would obey or nobody can see.
pub(crate) fn clean(text: &str) -> String {
    text.chars().filter(|character| !is_unseen(*character)).collect()
}

fn is_unseen(character: char) -> bool {
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
    fn a_terminal_obeys_nobody_else() {
        assert_eq!(clean("a\u{1b}[31mb\r\n\u{202e}c\u{200b}d\u{9b}e"), "a[31mbcde");
        assert_eq!(clean("пример.example"), "пример.example");
    }
}
