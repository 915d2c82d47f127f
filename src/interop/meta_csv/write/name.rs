//! Names of files, made of titles that members chose: one file for each, in the folder and nowhere else.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization as _;

use crate::interop::techniques::bounded;
use crate::model::visible::visible_line;

/// Bytes of a name without its ending and number: file systems take 255.
const STEM_BYTES_MAX: usize = 160;
/// What some systems take for a device, whatever its ending.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "com", "lpt"];

/// Names that were given, so that no two are one, on whatever file system.
#[derive(Clone, Debug, Default)]
pub struct FileNames {
    taken: BTreeSet<String>,
}

impl FileNames {
    /// A name for a title that was not given before: letters, digits and a few marks, no path.
    pub fn next(&mut self, title: &str) -> String {
        let stem = stem(title);
        for number in 1_u64.. {
            let name =
                if number == 1 { format!("{stem}.csv") } else { format!("{stem} ({number}).csv") };
            let folded: String = name.to_lowercase().nfkc().collect();
            if self.taken.insert(folded) {
                return name;
            }
        }
        stem
    }
}

fn stem(title: &str) -> String {
    let line: String = visible_line(title).nfc().collect();
    let is_plain = |character: char| {
        character.is_alphanumeric() || matches!(character, ' ' | '-' | '_' | '(' | ')' | '#' | '&')
    };
    let plain: String =
        line.chars().map(|character| if is_plain(character) { character } else { '_' }).collect();
    let short = bounded(&plain, STEM_BYTES_MAX).replace('…', "_");
    // No option of a command, no hidden file, nothing that a file system cuts off.
    let trimmed = short.trim_matches([' ', '-', '.']);
    let word: String = trimmed.chars().take_while(char::is_ascii_alphabetic).collect();
    let rest = trimmed.get(word.len()..).unwrap_or_default();
    let is_device = DEVICES.contains(&word.to_ascii_lowercase().as_str())
        && rest.bytes().all(|byte| byte.is_ascii_digit());
    match (trimmed.is_empty(), is_device) {
        (true, _) => "operation".to_owned(),
        (false, true) => format!("_{trimmed}"),
        (false, false) => trimmed.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_makes_a_name_and_never_a_path() {
        for (title, expected) in [
            ("Q1 2024 China-based CIB network", "Q1 2024 China-based CIB network.csv"),
            ("../../etc/passwd", "______etc_passwd.csv"),
            ("a\\b:c*?\"<>|", "a_b_c______.csv"),
            ("-rf", "rf.csv"),
            ("..", "__.csv"),
            (" . ", "_.csv"),
            ("", "operation.csv"),
            ("\u{202e}\0\n", "operation.csv"),
            ("con", "_con.csv"),
            ("COM1", "_COM1.csv"),
            ("Console", "Console.csv"),
            ("Türkiye", "Türkiye.csv"),
        ] {
            assert_eq!(FileNames::default().next(title), expected, "{title:?}");
        }
        let long = FileNames::default().next(&"ü".repeat(500));
        assert!(long.len() < 255, "{}", long.len());
    }

    #[test]
    fn no_two_titles_share_a_file_on_any_system() {
        let mut names = FileNames::default();
        let given = ["Lantern", "lantern", "LANTERN", "Lan/tern", "Lan:tern", "Ｌａｎｔｅｒｎ"];
        let names: BTreeSet<String> =
            given.iter().map(|title| names.next(title).to_lowercase().nfkc().collect()).collect();
        assert_eq!(names.len(), given.len(), "{names:?}");
    }
}
