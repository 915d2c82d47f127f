//! Names given within a platform: handles and hashtags.

use unicode_normalization::UnicodeNormalization as _;

use crate::model::normal_form::NormalForm;
use crate::model::normal_form::NormalFormError;
use crate::model::normal_form::Result;
use crate::model::normal_form::address::Address;
use crate::model::normal_form::profile::has_own_case;
use crate::model::normal_form::profile::profile;
use crate::model::observable::ObservableKind as Kind;
use crate::model::platform::Platform;

/// A handle, or the address of a profile; the address wins over the kind and platform given.
pub(super) fn handle(kind: Kind, platform: Option<&Platform>, text: &str) -> Result<NormalForm> {
    if let Ok(address) = Address::parse(text) {
        if let Some(form) = profile(&address) {
            return Ok(form);
        }
        if text.contains("://")
            || text
                .split_once('/')
                .is_some_and(|(host, _)| host.contains('.'))
        {
            return Ok(NormalForm::new(kind, platform, address.spell()));
        }
    }
    let name = text.trim_start_matches('@').trim();
    let name = if name.is_empty() {
        return Err(NormalFormError::Empty);
    } else {
        name
    };
    let folds = platform
        .and_then(Platform::row)
        .is_some_and(|row| row.fold && !has_own_case(row, name));
    let value = if folds {
        name.to_lowercase()
    } else {
        name.to_owned()
    };
    Ok(NormalForm::new(kind, platform, value))
}

pub(super) fn hashtag(text: &str) -> Result<String> {
    let tag: String = text
        .trim_start_matches(['#', '\u{ff03}'])
        .to_lowercase()
        .nfc()
        .collect();
    let legal = !tag.is_empty()
        && !tag.contains(|character: char| character.is_whitespace() || character == '#');
    if legal {
        Ok(tag)
    } else {
        Err(NormalFormError::Hashtag)
    }
}
