//! Hashes of files, media and texts.

use crate::model::hash_algorithm::is_frame_list;
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
///
/// A short one is taken where it is plainly a list of frames; what is longer than any cryptographic hash is kept.
pub(super) fn media_hash(text: &str) -> Result<String> {
    let all_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_video = !all_hex && (text.len() > 128 || is_frame_list(text));
    if is_video { Ok(text.to_owned()) } else { hash(text, &[32, 40, 64, 128]) }
}

pub(super) fn text_hash(text: &str) -> String {
    hash(text, &[16, 32, 40, 64, 70, 72, 128]).unwrap_or_else(|_other| text.to_owned())
}
