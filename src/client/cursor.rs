//! A cursor, and the position of the mark that brought it: the hub seals the one and cannot deny the other.

use std::fmt;
use std::str::FromStr;

/// To go on from a mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// What the hub gave: opaque.
    pub bytes: Vec<u8>,
    /// Everything below was delivered: a stream that goes on from here begins no later.
    pub position: u64,
}

/// A text is not a cursor as [`Cursor`] is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not HEX@POSITION")]
pub struct InvalidCursor;

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}", hex::encode(&self.bytes), self.position)
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (bytes, position) = text.split_once('@').ok_or(InvalidCursor)?;
        Ok(Self {
            bytes: hex::decode(bytes).map_err(|_not_hex| InvalidCursor)?,
            position: position.parse().map_err(|_not_a_number| InvalidCursor)?,
        })
    }
}

#[cfg(test)]
pub(super) fn cursor(bytes: &[u8], position: u64) -> Cursor {
    Cursor { bytes: bytes.to_vec(), position }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text() {
        let text = cursor(&[0, 0xff], 7).to_string();
        assert_eq!(text, "00ff@7");
        assert_eq!(text.parse(), Ok(cursor(&[0, 0xff], 7)));
        for other in ["00ff", "0g@7", "00ff@", "00ff@-1", "@"] {
            assert_eq!(other.parse::<Cursor>(), Err(InvalidCursor), "{other}");
        }
    }
}
