//! Names given within a platform: handles and hashtags.

use unicode_normalization::UnicodeNormalization as _;

use crate::model::normal_form::NormalForm;
use crate::model::normal_form::NormalFormError;
use crate::model::normal_form::Result;
use crate::model::normal_form::address::Address;
use crate::model::normal_form::address::is_addressed;
use crate::model::normal_form::profile::profile;
use crate::model::normal_form::profile::profile_of_path;
use crate::model::normal_form::profile::spelled;
use crate::model::observable::ObservableKind as Kind;
use crate::model::platform::Platform;

/// A handle, or the address of a profile; the address wins over the kind and platform given.
pub(super) fn handle(kind: Kind, platform: Option<&Platform>, text: &str) -> Result<NormalForm> {
    if let Ok(address) = Address::parse(text) {
        if let Some(form) = profile(&address) {
            return Ok(form);
        }
        if is_addressed(text) {
            return Ok(NormalForm::new(kind, platform, address.spell()));
        }
    }
    let row = platform.and_then(Platform::row);
    let name = text.trim_matches('/').trim_start_matches('@').trim();
    if name.is_empty() {
        return Err(NormalFormError::Empty);
    }
    let known = row.and_then(|row| profile_of_path(row, name).or_else(|| spelled(row, kind, name)));
    Ok(known.unwrap_or_else(|| NormalForm::new(kind, platform, name.to_owned())))
}

/// A hashtag without its `#`, in lower case.
pub(super) fn hashtag(text: &str) -> Result<String> {
    let tag: String = text.trim_start_matches(['#', '\u{ff03}']).to_lowercase().nfc().collect();
    let legal = !tag.is_empty()
        && !tag.contains(|character: char| character.is_whitespace() || character == '#');
    if legal { Ok(tag) } else { Err(NormalFormError::Hashtag) }
}
