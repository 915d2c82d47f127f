//! The words of a pattern.

use crate::interop::stix::pattern::PatternError;

/// A word of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// `[` or `(`
    Open(char),
    /// `]` or `)`
    Close(char),
    /// `,`
    Comma,
    /// `=`, `!=`, `<`, ...
    Operator(&'static str),
    /// A text, without its marks.
    Text(String),
    /// `type:path`, without marks.
    Path(String),
    /// Anything else: `AND`, `5`, ...
    Word(String),
}

const OPERATORS: [&str; 7] = ["!=", "<>", "<=", ">=", "=", "<", ">"];

/// The words, each with the byte at which it begins.
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token)>, PatternError> {
    let mut lexer = Lexer { text, at: 0 };
    let mut found = Vec::new();
    while let Some(token) = lexer.token()? {
        found.push(token);
    }
    Ok(found)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn token(&mut self) -> Result<Option<(usize, Token)>, PatternError> {
        let blank = self.rest().len() - self.rest().trim_start().len();
        self.at += blank;
        let start = self.at;
        let Some(first) = self.rest().chars().next() else { return Ok(None) };
        let operator = OPERATORS.into_iter().find(|operator| self.rest().starts_with(operator));
        let token = match (first, operator) {
            (_, Some(operator)) => {
                self.at += operator.len();
                Token::Operator(operator)
            }
            ('[' | '(', None) => self.single(Token::Open(first)),
            (']' | ')', None) => self.single(Token::Close(first)),
            (',', None) => self.single(Token::Comma),
            ('\'', None) => Token::Text(self.quoted()?),
            (_, None) => self.word()?,
        };
        Ok(Some((start, token)))
    }

    const fn single(&mut self, token: Token) -> Token {
        self.at += 1;
        token
    }

    /// A text in quotation marks, which begin here.
    fn quoted(&mut self) -> Result<String, PatternError> {
        let start = self.at;
        let mut text = String::new();
        let mut letters = self.rest().char_indices().skip(1);
        while let Some((index, letter)) = letters.next() {
            match letter {
                '\'' => {
                    self.at = start + index + 1;
                    return Ok(text);
                }
                '\\' => {
                    let (_index, escaped) = letters.next().ok_or(PatternError::Malformed(start))?;
                    text.push(escaped);
                }
                other => text.push(other),
            }
        }
        Err(PatternError::Malformed(start))
    }

    /// A path or a word. Quotation marks belong to a path behind a dot: `file:hashes.'SHA-256'`.
    fn word(&mut self) -> Result<Token, PatternError> {
        let start = self.at;
        let mut text = String::new();
        loop {
            let rest = self.rest();
            let plain = rest.find(|letter: char| !is_plain(letter)).unwrap_or(rest.len());
            text.push_str(rest.get(..plain).unwrap_or_default());
            self.at += plain;
            let in_path = text.contains(':') && text.ends_with(['.', ':']);
            if !(in_path && self.rest().starts_with('\'')) {
                break;
            }
            let quoted = self.quoted()?;
            text.push_str(&quoted);
        }
        if text.is_empty() {
            return Err(PatternError::Malformed(start));
        }
        Ok(if text.contains(':') { Token::Path(text) } else { Token::Word(text) })
    }
}

fn is_plain(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.' | ':' | '*' | '#')
}
