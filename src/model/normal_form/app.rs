//! Applications, by the id under which their store knows them.

use crate::model::normal_form::NormalForm;
use crate::model::normal_form::NormalFormError;
use crate::model::normal_form::Result;
use crate::model::normal_form::address::Address;
use crate::model::normal_form::address::is_addressed;
use crate::model::observable::ObservableKind as Kind;
use crate::model::platform::Platform;

const GOOGLE_PLAY: &str = "google-play";
const APP_STORE: &str = "app-store";

/// An id, or the address of an application; without a known store any text is an id.
pub(super) fn app(platform: Option<&Platform>, text: &str) -> Result<NormalForm> {
    if is_addressed(text) {
        let address = Address::parse(text)?;
        return Ok(in_store(&address)
            .unwrap_or_else(|| NormalForm::new(Kind::App, platform, address.spell())));
    }
    let id = match platform.map(Platform::as_str) {
        Some(GOOGLE_PLAY) => package(text).ok_or(NormalFormError::App)?,
        Some(APP_STORE) => number(text).ok_or(NormalFormError::App)?,
        _ => text,
    };
    Ok(NormalForm::new(Kind::App, platform, id.to_owned()))
}

fn in_store(address: &Address) -> Option<NormalForm> {
    let (store, id) = match address.host.as_str() {
        "play.google.com" => (GOOGLE_PLAY, package(address.parameter("id")?)?),
        "apps.apple.com" | "itunes.apple.com" => {
            let last = address.path.rsplit('/').next()?;
            (APP_STORE, number(last)?)
        }
        _ => return None,
    };
    let platform = store.parse().ok()?;
    Some(NormalForm::new(Kind::App, Some(&platform), id.to_owned()))
}

/// An Android package name, whose case matters.
fn package(text: &str) -> Option<&str> {
    let is_part = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphabetic())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let legal = text.contains('.') && text.len() <= 255 && text.split('.').all(is_part);
    legal.then_some(text)
}

/// The number of an application for iOS, with or without `id` before it.
fn number(text: &str) -> Option<&str> {
    let digits = text.strip_prefix("id").unwrap_or(text);
    let legal =
        (5..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    legal.then_some(digits)
}
