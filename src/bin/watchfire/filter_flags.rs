//! Which records one is interested in: the flags, and the filter that they make.

use watchfire::interop::meta_csv::operation_id;
use watchfire::model::filter::Filter;
use watchfire::model::header::BodyKind;
use watchfire::model::names::MemberId;
use watchfire::model::names::RecordName;
use watchfire::model::observable::ObservableKind;
use watchfire::model::platform::Platform;
use watchfire::profile::Profile;

use crate::failure::Failure;
use crate::handling_flags::member;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct FilterFlags {
    /// A kind of asset (domain, account, url, ...); may be repeated.
    #[arg(long = "kind", value_name = "KIND")]
    kinds: Vec<ObservableKind>,
    /// A platform; may be repeated.
    #[arg(long = "platform", value_name = "PLATFORM")]
    platforms: Vec<Platform>,
    /// A publisher; may be repeated.
    #[arg(long = "publisher", value_name = "MEMBER", value_parser = member)]
    publishers: Vec<MemberId>,
    /// An operation, by its record's name, or by the title that this profile published it under; may be repeated.
    #[arg(long = "operation", value_name = "OPERATION")]
    operations: Vec<String>,
    /// A kind of record: indicator, operation, sighting, opinion, withdrawal, ...; may be repeated.
    #[arg(long = "body", value_name = "BODY", value_parser = body_kind)]
    bodies: Vec<BodyKind>,
}

impl FilterFlags {
    /// The filter.
    pub(crate) fn filter(&self, profile: &Profile) -> anyhow::Result<Filter> {
        let operations = self
            .operations
            .iter()
            .map(|text| operation_name(text, profile))
            .collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Filter {
            body_kinds: self.bodies.clone(),
            kinds: self.kinds.iter().map(|kind| kind.number()).collect(),
            platforms: self.platforms.iter().map(ToString::to_string).collect(),
            publishers: self.publishers.clone(),
            operations,
        })
    }
}

/// An operation by its record's name, or one's own by its title.
pub(crate) fn operation_name(text: &str, profile: &Profile) -> anyhow::Result<RecordName> {
    if text.starts_with("members/") {
        let invalid = |error| Failure::Usage(format!("{text} is no record: {error}"));
        return Ok(text.parse().map_err(invalid)?);
    }
    let record = operation_id(&profile.namespace()?, text);
    Ok(RecordName { member: profile.settings().member.clone(), record })
}

fn body_kind(text: &str) -> Result<BodyKind, String> {
    let found = BodyKind::ALL.iter().copied().find(|kind| kind.as_str() == text);
    found.ok_or_else(|| {
        let words: Vec<&str> = BodyKind::ALL.iter().map(|kind| kind.as_str()).collect();
        format!("must be one of {}", words.join(", "))
    })
}
