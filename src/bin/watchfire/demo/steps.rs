//! How the demonstration tells what happens: numbered steps, each with the command line for it.

use std::io;

use comfy_table::Table;

use crate::output;

/// Before everything else.
pub(crate) fn preface() -> io::Result<()> {
    output::line(
        "Lines with a $ are the command lines for what happens; the member before the $ is whose profile they use.",
    )
}

/// A step begins.
pub(crate) fn step(number: u32, text: &str) -> io::Result<()> {
    output::line(&format!("\n{number}. {text}"))
}

/// The command line of somebody.
pub(crate) fn command(who: &str, line: &str) -> io::Result<()> {
    output::line(&format!("   {who}$ {line}"))
}

/// What came of it, line by line.
pub(crate) fn told(text: &str) -> io::Result<()> {
    text.lines().try_for_each(|line| output::line(format!("   {line}").trim_end()))
}

/// The same as a table.
pub(crate) fn table(table: &Table) -> io::Result<()> {
    told(&table.to_string())
}
