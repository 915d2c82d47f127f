//! What a link joins and a question is about: a record by its name, or a value that no record need name.

use watchfire::model::names::RecordName;
use watchfire::model::normal_form;
use watchfire::model::observable::ObservableKind;
use watchfire::model::platform::Platform;
use watchfire::wire::pb;

use crate::failure::Failure;
use crate::table;

/// A record if it is named like one, else a value.
pub(crate) fn end(
    text: &str,
    kind: Option<ObservableKind>,
    platform: Option<&Platform>,
) -> anyhow::Result<pb::Reference> {
    let is_said = kind.is_some() || platform.is_some();
    if text.starts_with("members/") && !is_said {
        let invalid = |error| Failure::Usage(format!("{text} is no record: {error}"));
        let name: RecordName = text.parse().map_err(invalid)?;
        return Ok(pb::Reference { to: Some(pb::reference::To::Record(name.to_string())) });
    }
    let value = pb::reference::To::Value(value(text, kind, platform)?);
    Ok(pb::Reference { to: Some(value) })
}

/// A value whose kind is said, or plain from how it looks.
pub(crate) fn value(
    text: &str,
    kind: Option<ObservableKind>,
    platform: Option<&Platform>,
) -> Result<pb::Observable, Failure> {
    let recognised = || normal_form::recognise(text);
    let kind = kind.or_else(|| recognised().map(|form| form.kind));
    let Some(kind) = kind else {
        let shown = table::harmless(text);
        return Err(Failure::Usage(format!(
            "{shown} is not recognised: say its kind and platform"
        )));
    };
    let said = platform.cloned().or_else(|| recognised().and_then(|form| form.platform));
    Ok(pb::Observable {
        kind: kind.number(),
        platform: said.map(|platform| platform.to_string()).unwrap_or_default(),
        value: text.to_owned(),
        ..pb::Observable::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> pb::reference::To {
        end(text, None, None).unwrap().to.unwrap()
    }

    #[test]
    fn an_end_is_a_record_or_a_value() {
        let name = "members/acme-video/records/01890a5d-ac96-774b-bcce-b302099a8057";
        assert_eq!(read(name), pb::reference::To::Record(name.to_owned()));
        let pb::reference::To::Value(value) = read("https://x.com/example_voice") else {
            panic!("a value");
        };
        assert_eq!(value.kind(), pb::ObservableKind::Account);
        assert_eq!(value.platform, "x");
        let pb::reference::To::Value(value) = read("news[.]example") else {
            panic!("a value");
        };
        assert_eq!(value.kind(), pb::ObservableKind::Domain);
        end("members/acme-video/records/1", None, None).unwrap_err();
        end("example_voice", None, None).unwrap_err();
        let platform = "x".parse().unwrap();
        end("example_voice", Some(ObservableKind::Account), Some(&platform)).unwrap();
    }
}
