//! Text as somebody said it.
//!
//! It has no `Display`, so that it cannot slip into a page by formatting: [`Said::shown`] is the only way out, and what
//! comes out is one line, visible, without a working address. The page's writers escape it on top of that.

use crate::model::limits;
use crate::model::refang;
use crate::model::visible::visible_line;

/// Text of a member, of the hub, or of anybody else: hostile until shown otherwise. Any text can be one; empty means
/// that nothing was said.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Said(String);

impl Said {
    /// As it may be shown: one line without controls, invisible characters and working addresses, cut at the length
    /// that a text of a record has at most.
    pub fn shown(&self) -> String {
        self.cut(limits::TEXT_BYTES_MAX)
    }

    /// The same, cut at about so many columns with an ellipsis, for places where long text does harm.
    pub fn cut(&self, columns: usize) -> String {
        // What is cut off before cleaning is more than any limit lets through.
        let bounded: String = self.0.chars().take(limits::TEXT_BYTES_MAX).collect();
        refang::defang_text(&cut(&visible_line(&bounded), columns))
    }

    /// Whether nothing visible was said.
    pub fn is_empty(&self) -> bool {
        visible_line(&self.0).is_empty()
    }
}

impl From<&str> for Said {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Said {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// A character that is not ASCII counts as two columns: many are wide, none is wider.
fn cut(text: &str, columns: usize) -> String {
    let mut used = 0_usize;
    let mut out = String::new();
    for character in text.chars() {
        used = used.saturating_add(if character.is_ascii() { 1 } else { 2 });
        if used > columns {
            return format!("{}…", out.trim_end());
        }
        out.push(character);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_one_harmless_line() {
        let said = Said::from("see\n\u{202e}https://evil.example/a.b\u{7}");
        assert_eq!(said.shown(), "see hxxps[://]evil[.]example/a[.]b");
        assert!(Said::from(" \u{200b}\n").is_empty());
    }

    #[test]
    fn long_text_is_cut_and_says_so() {
        assert_eq!(Said::from("abcdef").cut(6), "abcdef");
        assert_eq!(Said::from("abcdefg").cut(6), "abcdef…");
        assert_eq!(Said::from("день").cut(4), "де…");
        let long = Said::from("a".repeat(10_000));
        assert!(long.shown().chars().count() <= limits::TEXT_BYTES_MAX);
    }
}
