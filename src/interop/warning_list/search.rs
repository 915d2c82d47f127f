//! Entries that are searched for within a value: texts and patterns, all of a list at once.
//!
//! Both are automata that read a value once. Their size is bounded when they are built, so that no list can ask for
//! more memory than a hub has; what they cannot say (look-around, back-references) is refused with its entry.

use aho_corasick::AhoCorasick;
use regex::RegexSet;
use regex::RegexSetBuilder;

use crate::interop::warning_list::Why;
use crate::interop::warning_list::format::ListError;
use crate::interop::warning_list::format::Matching;
use crate::interop::warning_list::postings::ListId;

/// Bytes of the compiled patterns of one list.
const COMPILED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of the states that a search keeps for the next one.
const CACHED_BYTES_MAX: usize = 2 * 1024 * 1024;
/// How deep groups may be nested.
const NESTED_MAX: u32 = 64;

/// The entries of a list, ready to be searched for.
#[derive(Debug)]
pub(super) struct Search {
    /// Whose entries they are.
    pub(super) list: ListId,
    entries: Vec<Box<str>>,
    automaton: Automaton,
}

#[derive(Debug)]
enum Automaton {
    Texts(AhoCorasick),
    Patterns(RegexSet),
}

impl Search {
    pub(super) fn new(
        list: ListId,
        matching: Matching,
        entries: &[String],
    ) -> Result<Self, ListError> {
        let automaton = if matching == Matching::Regex {
            Automaton::Patterns(patterns(entries)?)
        } else {
            let automaton = AhoCorasick::builder().ascii_case_insensitive(true).build(entries);
            Automaton::Texts(automaton.map_err(|_too_large| ListError::TooManyEntries)?)
        };
        let entries = entries.iter().map(|entry| entry.as_str().into()).collect();
        Ok(Self { list, entries, automaton })
    }

    /// The first entry that is found in a value.
    pub(super) fn find(&self, value: &str) -> Option<(&str, Why)> {
        let (index, why) = match &self.automaton {
            Automaton::Texts(texts) => (texts.find(value)?.pattern().as_usize(), Why::Contains),
            Automaton::Patterns(set) => (set.matches(value).iter().next()?, Why::Pattern),
        };
        self.entries.get(index).map(|entry| (&**entry, why))
    }
}

fn patterns(entries: &[String]) -> Result<RegexSet, ListError> {
    let mut patterns = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let pattern = unwrapped(entry).ok_or(ListError::Pattern(index))?;
        // Alone first: the set does not say which of its patterns is wrong.
        compiled(std::slice::from_ref(&pattern)).map_err(|_error| ListError::Pattern(index))?;
        patterns.push(pattern);
    }
    compiled(&patterns).map_err(|_too_large| ListError::TooManyEntries)
}

fn compiled(patterns: &[String]) -> Result<RegexSet, regex::Error> {
    RegexSetBuilder::new(patterns)
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(CACHED_BYTES_MAX)
        .nest_limit(NESTED_MAX)
        .build()
}

/// `/pattern/flags` as a pattern with its flags in it; a bare pattern as it is.
fn unwrapped(entry: &str) -> Option<String> {
    let Some((pattern, flags)) = entry.strip_prefix('/').and_then(|rest| rest.rsplit_once('/'))
    else {
        return Some(entry.to_owned());
    };
    // `u` asks for Unicode, which is always on.
    let flags: String = flags.chars().filter(|flag| *flag != 'u').collect();
    if !flags.chars().all(|flag| matches!(flag, 'i' | 'm' | 's' | 'x')) {
        return None;
    }
    Some(if flags.is_empty() { pattern.to_owned() } else { format!("(?{flags}){pattern}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(matching: Matching, entries: &[&str]) -> Result<Search, ListError> {
        let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        Search::new(0, matching, &entries)
    }

    #[test]
    fn patterns_are_as_written_between_slashes_or_bare() {
        for (entry, value, expected) in [
            (r"/^ns\d+\.example\.com$/i", "NS12.example.com", true),
            (r"/^ns\d+\.example\.com$/", "NS12.example.com", false),
            (r"/^ns\d+\.example\.com$/u", "ns1.example.com", true),
            (r"\.example$", "a.example", true),
            (r"\.example$", "a.example.com", false),
            (r"/https:\/\/example\.com\/a/", "https://example.com/a/b", true),
            ("/a b c/x", "abc", true),
        ] {
            let found = search(Matching::Regex, &[entry]).unwrap();
            assert_eq!(found.find(value).is_some(), expected, "{entry} {value}");
        }
        let two = search(Matching::Regex, &["^b", "a$"]).unwrap();
        assert_eq!(two.find("ba"), Some(("^b", Why::Pattern)));
    }

    #[test]
    fn patterns_that_cannot_be_are_refused_with_their_place() {
        let vast = "(a{1000}){1000}";
        let nested = format!("{}a{}", "(".repeat(100), ")".repeat(100));
        for wrong in ["(", "/a/e", r"(a)\1", "(?=a)b", "[z-a]", vast, &nested] {
            assert_eq!(
                search(Matching::Regex, &["a", wrong]).err(),
                Some(ListError::Pattern(1)),
                "{wrong}"
            );
        }
    }

    #[test]
    fn texts_are_found_in_any_case() {
        let found = search(Matching::Substring, &["0-mail.example", "bcd"]).unwrap();
        assert_eq!(found.find("a@X0-Mail.Example"), Some(("0-mail.example", Why::Contains)));
        assert_eq!(found.find("aBCDe"), Some(("bcd", Why::Contains)));
        assert_eq!(found.find("b.c.d"), None);
    }
}
