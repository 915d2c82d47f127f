//! The words of the proto's enums on the command line: `strongly-agree` for `STANCE_STRONGLY_AGREE`.

use std::ffi::OsStr;

use clap::builder::PossibleValue;
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser;

use watchfire::model::observable::ObservableKind;

use crate::table;

/// Takes a kind of asset in any spelling that is read, and lists the kinds in helps and errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kinds;

impl TypedValueParser for Kinds {
    type Value = ObservableKind;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<ObservableKind, clap::Error> {
        match value.to_str().and_then(|text| text.parse().ok()) {
            Some(kind) => Ok(kind),
            // It takes fewer spellings, so that all that it does here is to say which there are.
            None => PossibleValuesParser::new(ObservableKind::ALL.map(ObservableKind::as_str))
                .try_map(|text| text.parse::<ObservableKind>())
                .parse_ref(command, argument, value),
        }
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let words = ObservableKind::ALL.map(ObservableKind::as_str);
        Some(Box::new(words.into_iter().map(PossibleValue::new)))
    }
}

/// Takes the words of an enum, but for the one that means nothing was said.
pub(crate) fn words<E>(
    prefix: &'static str,
    name: fn(&E) -> &'static str,
) -> impl TypedValueParser<Value = E>
where
    E: TryFrom<i32> + Clone + Send + Sync + 'static,
{
    let values: Vec<(String, E)> = (1..)
        .map_while(|number| E::try_from(number).ok())
        .map(|value| (table::word(name(&value), prefix), value))
        .collect();
    let known =
        PossibleValuesParser::new(values.iter().map(|(word, _)| PossibleValue::new(word.clone())));
    known.try_map(move |text| {
        let found = values.iter().find(|(word, _)| *word == text);
        // The parser before this one lets no other word pass.
        found.map(|(_, value)| value.clone()).ok_or("is not one of the words")
    })
}

#[cfg(test)]
mod tests {
    use watchfire::wire::pb;

    use super::*;

    #[test]
    fn a_kind_is_taken_in_any_spelling_and_an_unknown_one_told_which_there_are() {
        let parse = |text: &str| {
            let command = clap::Command::new("search");
            Kinds.parse_ref(&command, None, OsStr::new(text)).map_err(|error| error.to_string())
        };
        assert_eq!(parse("ad-account"), Ok(ObservableKind::AdAccount));
        assert_eq!(parse("AD_ACCOUNT"), Ok(ObservableKind::AdAccount));
        assert_eq!(parse("email"), Ok(ObservableKind::EmailAddress));
        let told = parse("bogus").unwrap_err();
        assert!(told.contains("payment-handle") && told.contains("aggregate"), "{told}");
        assert_eq!(Kinds.possible_values().unwrap().count(), ObservableKind::ALL.len());
    }

    #[test]
    fn an_enum_is_named_by_its_words() {
        let parser = words("STANCE_", pb::Stance::as_str_name);
        let parse = |text: &str| {
            let command = clap::Command::new("opine");
            parser.parse_ref(&command, None, OsStr::new(text)).ok()
        };
        assert_eq!(parse("strongly-agree"), Some(pb::Stance::StronglyAgree));
        assert_eq!(parse("unspecified"), None);
        assert_eq!(parse("STANCE_AGREE"), None);
        let shown: Vec<String> = words("ACTION_", pb::Action::as_str_name)
            .possible_values()
            .unwrap()
            .map(|value| value.get_name().to_owned())
            .collect();
        assert_eq!(shown.first().unwrap(), "removed");
        assert_eq!(shown.last().unwrap(), "restored");
        assert_eq!(shown.len(), 8);
    }
}
