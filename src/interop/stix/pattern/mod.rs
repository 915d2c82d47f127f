//! Patterns of STIX 2.1 (section 9): those that we write, and the simple ones that can be read back as assets.
//!
//! A pattern is simple if it asks for single values, each by `=`, joined by `OR`; values joined by `AND` in one
//! observation are kept together, since what describes one account often takes two. Anything else (several observations
//! at once, negation, ranges, times) means more than a list of assets, and is refused with what it is.

mod lexer;

use std::fmt::Write as _;

use crate::interop::stix::pattern::lexer::Token;
use crate::interop::stix::pattern::lexer::tokens;

/// Bytes of a pattern that is read.
pub const PATTERN_BYTES_MAX: usize = 64 * 1024;
/// Alternatives of a pattern that is read: each becomes a record.
pub const ALTERNATIVES_MAX: usize = 256;
/// Parentheses in parentheses.
const DEPTH_MAX: usize = 16;

/// That one property of an observable has one value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Comparison {
    /// The type of the observable and the path, without quotation marks: `file:hashes.SHA-256`.
    pub path: String,
    /// The value.
    pub value: String,
}

/// Values of one observation, all of which are asked for.
pub type Conjunction = Vec<Comparison>;

/// Why a pattern is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It is too long.
    #[error("the pattern is longer than {PATTERN_BYTES_MAX} bytes")]
    TooLong,
    /// It stands for too many assets.
    #[error("the pattern has more than {ALTERNATIVES_MAX} alternatives")]
    TooMany,
    /// It is nested too deeply.
    #[error("the pattern is nested more than {DEPTH_MAX} deep")]
    TooDeep,
    /// It is no pattern.
    #[error("the pattern cannot be read at byte {0}")]
    Malformed(usize),
    /// It means more than a list of assets.
    #[error("the pattern is no plain list of assets: it has {0}")]
    NotPlain(String),
}

/// Writes a pattern of one observation: alternatives, each of values that belong together.
pub fn write(alternatives: &[Conjunction]) -> String {
    let several = alternatives.len() > 1;
    let written = alternatives.iter().map(|conjunction| {
        let parts: Vec<String> = conjunction.iter().map(written).collect();
        let joined = parts.join(" AND ");
        if several && parts.len() > 1 { format!("({joined})") } else { joined }
    });
    format!("[{}]", written.collect::<Vec<_>>().join(" OR "))
}

fn written(comparison: &Comparison) -> String {
    let Comparison { path, value } = comparison;
    let (kind, path) = path.split_once(':').unwrap_or((path, ""));
    let mut text = format!("{kind}:");
    for (index, part) in path.split('.').enumerate() {
        let dot = if index > 0 { "." } else { "" };
        let plain = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        // Writing into a text does not fail.
        let infallible = if plain && !part.is_empty() {
            write!(text, "{dot}{part}")
        } else {
            write!(text, "{dot}{}", quoted(part))
        };
        debug_assert!(infallible.is_ok(), "a text takes everything");
    }
    format!("{text} = {}", quoted(value))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Reads a simple pattern: alternatives, each of values that belong together.
pub fn read(text: &str) -> Result<Vec<Conjunction>, PatternError> {
    if text.len() > PATTERN_BYTES_MAX {
        return Err(PatternError::TooLong);
    }
    let mut parser = Parser { tokens: tokens(text)?, place: 0 };
    let found = parser.observations()?;
    match parser.next() {
        None => Ok(found),
        Some((_at, Token::Word(word))) => Err(PatternError::NotPlain(word)),
        Some((at, _)) => Err(PatternError::Malformed(at)),
    }
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    place: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.place).map(|(_at, token)| token)
    }

    fn next(&mut self) -> Option<(usize, Token)> {
        let next = self.tokens.get(self.place).cloned();
        self.place += 1;
        next
    }

    /// Takes a token if it is the next one.
    fn take(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        self.place += usize::from(found);
        found
    }

    fn take_word(&mut self, word: &str) -> bool {
        self.take(&Token::Word(word.to_owned()))
    }

    fn demand(&mut self, token: &Token) -> Result<(), PatternError> {
        if self.take(token) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// What is wrong with the next token.
    fn unexpected(&self) -> PatternError {
        match self.tokens.get(self.place) {
            Some((_at, Token::Word(word))) => PatternError::NotPlain(word.clone()),
            Some((_at, Token::Operator(operator))) if *operator != "=" => {
                PatternError::NotPlain((*operator).to_owned())
            }
            Some((at, _)) => PatternError::Malformed(*at),
            None => PatternError::Malformed(usize::MAX),
        }
    }

    /// `[...] OR [...]`
    fn observations(&mut self) -> Result<Vec<Conjunction>, PatternError> {
        let mut found = Vec::new();
        loop {
            self.demand(&Token::Open('['))?;
            found.extend(self.alternatives(0)?);
            self.demand(&Token::Close(']'))?;
            bounded(&found)?;
            if !self.take_word("OR") {
                return Ok(found);
            }
        }
    }

    /// `... OR ...`
    fn alternatives(&mut self, depth: usize) -> Result<Vec<Conjunction>, PatternError> {
        let mut found = self.conjunctions(depth)?;
        while self.take_word("OR") {
            found.extend(self.conjunctions(depth)?);
            bounded(&found)?;
        }
        Ok(found)
    }

    /// `... AND ...`: of each alternative of one with each of the other.
    fn conjunctions(&mut self, depth: usize) -> Result<Vec<Conjunction>, PatternError> {
        let mut found = self.comparison(depth)?;
        while self.take_word("AND") {
            let others = self.comparison(depth)?;
            if found.len().saturating_mul(others.len()) > ALTERNATIVES_MAX {
                return Err(PatternError::TooMany);
            }
            let join = |one: &Conjunction| {
                let one = one.clone();
                others.iter().map(move |other| [one.as_slice(), other.as_slice()].concat())
            };
            found = found.iter().flat_map(join).collect();
        }
        Ok(found)
    }

    fn comparison(&mut self, depth: usize) -> Result<Vec<Conjunction>, PatternError> {
        if self.take(&Token::Open('(')) {
            if depth >= DEPTH_MAX {
                return Err(PatternError::TooDeep);
            }
            let inner = self.alternatives(depth + 1)?;
            self.demand(&Token::Close(')'))?;
            return Ok(inner);
        }
        let path = match self.next() {
            Some((_at, Token::Path(path))) => path,
            Some((_at, Token::Word(word))) => return Err(PatternError::NotPlain(word)),
            Some((at, _)) => return Err(PatternError::Malformed(at)),
            None => return Err(PatternError::Malformed(usize::MAX)),
        };
        if self.take_word("IN") {
            return self.values(&path);
        }
        self.demand(&Token::Operator("="))?;
        Ok(vec![vec![Comparison { path, value: self.value()? }]])
    }

    /// `('a', 'b')`
    fn values(&mut self, path: &str) -> Result<Vec<Conjunction>, PatternError> {
        self.demand(&Token::Open('('))?;
        let mut found = Vec::new();
        loop {
            found.push(vec![Comparison { path: path.to_owned(), value: self.value()? }]);
            bounded(&found)?;
            if self.take(&Token::Close(')')) {
                return Ok(found);
            }
            self.demand(&Token::Comma)?;
        }
    }

    fn value(&mut self) -> Result<String, PatternError> {
        match self.next() {
            Some((_at, Token::Text(text))) => Ok(text),
            Some((_at, Token::Word(word))) => {
                Err(PatternError::NotPlain(format!("{word}, which is no text")))
            }
            Some((at, _)) => Err(PatternError::Malformed(at)),
            None => Err(PatternError::Malformed(usize::MAX)),
        }
    }
}

const fn bounded(found: &[Conjunction]) -> Result<(), PatternError> {
    if found.len() > ALTERNATIVES_MAX { Err(PatternError::TooMany) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(path: &str, value: &str) -> Comparison {
        Comparison { path: path.to_owned(), value: value.to_owned() }
    }

    #[track_caller]
    fn check(text: &str, expected: &[&[(&str, &str)]]) {
        let expected: Vec<Conjunction> = expected
            .iter()
            .map(|row| row.iter().map(|(path, value)| one(path, value)).collect())
            .collect();
        assert_eq!(read(text), Ok(expected), "{text}");
    }

    #[test]
    fn published_patterns_are_read() {
        check("[ ipv4-addr:value = '10.0.0.0' ]", &[&[("ipv4-addr:value", "10.0.0.0")]]);
        check(
            "[domain-name:value = 'a.example' OR ipv4-addr:value = '10.0.0.1']",
            &[&[("domain-name:value", "a.example")], &[("ipv4-addr:value", "10.0.0.1")]],
        );
        check(
            "[file:hashes.'SHA-256' = 'aa'] OR [file:hashes.md5 = 'bb']",
            &[&[("file:hashes.SHA-256", "aa")], &[("file:hashes.md5", "bb")]],
        );
        check(
            "[user-account:account_type = 'x' AND user-account:account_login IN ('a', 'b')]",
            &[
                &[("user-account:account_type", "x"), ("user-account:account_login", "a")],
                &[("user-account:account_type", "x"), ("user-account:account_login", "b")],
            ],
        );
        check(r"[url:value = 'it\'s \\']", &[&[("url:value", r"it's \")]]);
        check("[(a:b = 'c')]", &[&[("a:b", "c")]]);
    }

    #[test]
    fn what_means_more_than_a_list_is_refused_with_what_it_is() {
        for (text, expected) in [
            ("[a:b = 'c'] FOLLOWEDBY [a:b = 'd']", "FOLLOWEDBY"),
            ("[a:b = 'c'] AND [a:b = 'd']", "AND"),
            ("[a:b = 'c'] WITHIN 5 SECONDS", "WITHIN"),
            ("[a:b != 'c']", "!="),
            ("[a:b LIKE 'c%']", "LIKE"),
            ("[a:b NOT = 'c']", "NOT"),
            ("[NOT a:b = 'c']", "NOT"),
            ("[a:b > 5]", ">"),
            ("[a:b = 5]", "5, which is no text"),
            ("[a:b = t'2020-01-01T00:00:00Z']", "t, which is no text"),
        ] {
            assert_eq!(read(text), Err(PatternError::NotPlain(expected.to_owned())), "{text}");
        }
        for text in ["", "[", "[]", "[a:b = 'c'", "[a:b = 'c']]", "domain", "[a:b = 'c]", "[= 'c']"]
        {
            let error = read(text).unwrap_err();
            assert!(
                matches!(error, PatternError::Malformed(_) | PatternError::NotPlain(_)),
                "{text}"
            );
        }
    }

    #[test]
    fn a_pattern_that_multiplies_is_bounded() {
        let deep = format!("[{}a:b = 'c'{}]", "(".repeat(1000), ")".repeat(1000));
        assert_eq!(read(&deep), Err(PatternError::TooDeep));
        let factor = "(a:b = 'c' OR a:b = 'd')";
        let product = format!("[{}]", [factor; 32].join(" AND "));
        assert_eq!(read(&product), Err(PatternError::TooMany));
        let long = format!("[{}]", ["a:b = 'c'"; 300].join(" OR "));
        assert_eq!(read(&long), Err(PatternError::TooMany));
        assert_eq!(read(&"[".repeat(PATTERN_BYTES_MAX + 1)), Err(PatternError::TooLong));
    }

    fn path() -> impl Strategy<Value = String> {
        ("[a-z]{2,8}(-[a-z]{2,8})?", "[a-z_]{1,8}(\\.[A-Za-z0-9_-]{1,8})?")
            .prop_map(|(kind, path)| format!("{kind}:{path}"))
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,60}|[\\[\\]()'=A-Z a-z:.,\\\\]{0,60}") {
            drop(read(&text));
        }

        #[test]
        fn what_was_written_is_read_again(
            rows in proptest::collection::vec(
                proptest::collection::vec((path(), "\\PC{0,20}"), 1..4), 1..5,
            )
        ) {
            let rows: Vec<Conjunction> = rows
                .iter()
                .map(|row| row.iter().map(|(path, value)| one(path, value)).collect())
                .collect();
            prop_assert_eq!(read(&write(&rows)), Ok(rows));
        }
    }
}
