//! Hashes of files, media and texts.

use crate::model::normal_form::NormalFormError;
use crate::model::normal_form::Result;

pub(super) fn hash(text: &str, lengths: &[usize]) -> Result<String> {
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex && lengths.contains(&text.len()) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(NormalFormError::Hash)
    }
}

/// Hex of a known length, or the text of a video hash, whose base is not hex and whose case matters.
pub(super) fn media_hash(text: &str) -> Result<String> {
    let all_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if all_hex || text.len() <= 128 { hash(text, &[32, 40, 64, 128]) } else { Ok(text.to_owned()) }
}

pub(super) fn text_hash(text: &str) -> String {
    hash(text, &[16, 32, 40, 64, 70, 72, 128]).unwrap_or_else(|_other| text.to_owned())
}
