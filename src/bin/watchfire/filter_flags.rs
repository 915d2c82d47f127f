//! Which records one is interested in: the flags, and the filter that they make.

use watchfire::client::Client;
use watchfire::client::ClientError;
use watchfire::client::SearchQuery;
use watchfire::interop::meta_csv::operation_id;
use watchfire::model::filter::Filter;
use watchfire::model::header::BodyKind;
use watchfire::model::names::MemberId;
use watchfire::model::names::RecordName;
use watchfire::model::names::RevisionName;
use watchfire::model::observable::ObservableKind;
use watchfire::model::platform::Platform;
use watchfire::model::reason::Reason;
use watchfire::profile::Profile;

use crate::failure::Failure;
use crate::handling_flags::member;
use crate::words::Kinds;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct FilterFlags {
    /// A kind of asset (domain, account, url, ...); may be repeated.
    #[arg(long = "kind", value_name = "KIND", value_parser = Kinds)]
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

    /// Whether all that it asks for lives on one platform.
    pub(crate) const fn is_of_one_platform(&self) -> bool {
        matches!(self.platforms.as_slice(), [_one])
    }

    /// Whether it asks for operations.
    pub(crate) const fn names_operations(&self) -> bool {
        !self.operations.is_empty()
    }

    /// Refuses to ask for what is no operation: nothing would ever match, and nobody would say so.
    pub(crate) async fn demand_operations(&self, client: &Client) -> anyhow::Result<()> {
        for text in &self.operations {
            demand_operation(text, client).await?;
        }
        Ok(())
    }
}

/// Refuses what is no operation.
pub(crate) async fn demand_operation(text: &str, client: &Client) -> anyhow::Result<()> {
    let record = operation_name(text, client.profile())?;
    let found = client.get(&RevisionName { record: record.clone(), revision: None }).await;
    let error = match found {
        Ok(found) => return demand_kind(&record, found.entry.header().body_kind),
        Err(error) => error,
    };
    let ClientError::Refused(refused) = &error else { return Err(error.into()) };
    if !refused.is(Reason::RecordNotFound) {
        return Err(error.into());
    }
    if !text.starts_with("members/") {
        return Err(Failure::Usage(format!(
            "{text:?} is the title of no operation of yours; one of another member is named in full: \
             members/MEMBER/records/ID"
        ))
        .into());
    }
    // Its assets may reach further than the operation itself.
    let filter = Filter { operations: vec![record], ..Filter::default() };
    let query = SearchQuery { filter, ..SearchQuery::default() };
    let (named, next) = client.search(&query, 1, "").await?;
    if named.is_empty() && next.is_none() {
        return Err(anyhow::Error::from(error).context(format!("--operation {text}")));
    }
    Ok(())
}

fn demand_kind(record: &RecordName, kind: BodyKind) -> anyhow::Result<()> {
    if kind == BodyKind::Operation {
        return Ok(());
    }
    let why = format!("{record} is no operation, but of the kind {}", kind.as_str());
    Err(Failure::Usage(why).into())
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
