//! The words of the proto's enums on the command line: `strongly-agree` for `STANCE_STRONGLY_AGREE`.

use clap::builder::PossibleValue;
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser;

use crate::table;

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
    use std::ffi::OsStr;

    use watchfire::wire::pb;

    use super::*;

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
