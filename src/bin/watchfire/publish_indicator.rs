//! `watchfire publish indicator`: one asset, of any kind, with everything that there is to say about it.

use uuid::Uuid;
use watchfire::client::Client;
use watchfire::client::Draft;
use watchfire::client::Signer;
use watchfire::model::handling::Handling;
use watchfire::model::names::RecordName;
use watchfire::model::observable::ObservableKind;
use watchfire::model::platform::Platform;
use watchfire::model::time::Timestamp;
use watchfire::profile::OwnKey;
use watchfire::profile::Profile;
use watchfire::wire::pb;

use crate::context::Context;
use crate::crl::now;
use crate::ends;
use crate::failure::Failure;
use crate::figures;
use crate::figures::Money;
use crate::filter_flags::operation_name;
use crate::handling_flags::HandlingFlags;
use crate::moments;
use crate::output;
use crate::publish;
use crate::support;
use crate::words::Kinds;
use crate::words::words;

const EXAMPLES: &str = "Examples:
  watchfire publish indicator --value 'news[.]example' --operation 'Spring storm' --tlp green --audience companies
  watchfire publish indicator --kind account --platform x --value '@example_two' --platform-id 1234567 \\
    --technique disarm/T0090 --metric 'followers 13000+' --confidence 90 --tlp red --recipient birch-social
  watchfire publish indicator --kind ad --platform facebook --value 1234567890 --payer 'Example Events' \\
    --spend '1200.50 USD' --impressions 10000-50000 --run-start 2015-06-01 --run-end 2017-05-31 --tlp amber \\
    --audience companies
  watchfire publish indicator --count '58 account on google' --part '39 channel on youtube' \\
    --part '13 account on google-plus' --part '6 blog on blogger' --tlp clear --audience all";

/// One asset, as flags say it.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct AssetFlags {
    /// The asset's kind; where it is plain from the value it may be left out.
    #[arg(long, value_parser = Kinds)]
    kind: Option<ObservableKind>,
    /// Its value, defanged or not.
    #[arg(long)]
    value: Option<String>,
    /// The platform that it lives on.
    #[arg(long)]
    platform: Option<Platform>,
    /// The platform's own id, which survives a renamed handle.
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    platform_id: String,
    /// Its display name.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    display_name: String,
    /// For hashes: md5, sha1, sha256, pdq, vpdq, tmk, ... A media hash must say it: only those of pdq are found by
    /// distance.
    #[arg(long, default_value = "", hide_default_value = true)]
    algorithm: String,
    /// So many assets without naming them: '58 account on youtube', 'at-least 10 page', '10-20 group'.
    #[arg(long, value_name = "COUNT", value_parser = figures::part)]
    count: Option<pb::AggregatePart>,
    /// A part of the count; may be repeated. Parts must add up.
    #[arg(long = "part", value_name = "COUNT", requires = "count", value_parser = figures::part)]
    parts: Vec<pb::AggregatePart>,
    /// Of an ad: the name under which it was paid for.
    #[arg(long)]
    payer: Option<String>,
    /// Of an ad: what was spent, with its currency: '1200.50 USD', 'at-least 1000 EUR'.
    #[arg(long, value_name = "SUM", value_parser = figures::money)]
    spend: Option<Money>,
    /// Of an ad: how often it was shown: 10000, 10000+, 10000-50000.
    #[arg(long, value_name = "FIGURE", value_parser = figures::figure)]
    impressions: Option<pb::Figure>,
    /// Of an ad: the first day it ran.
    #[arg(long, value_name = "TIME", value_parser = moments::moment)]
    run_start: Option<Timestamp>,
    /// Of an ad: the last day it ran.
    #[arg(long, value_name = "TIME", value_parser = moments::moment)]
    run_end: Option<Timestamp>,
}

/// What there is to say about an asset.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct FindingFlags {
    /// What else there is to say.
    #[arg(long)]
    description: Option<String>,
    /// How sure the publisher is, 0 to 100.
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=100))]
    confidence: Option<u32>,
    /// How far it was reviewed.
    #[arg(long, value_parser = words("REVIEW_", pb::Review::as_str_name))]
    review: Option<pb::Review>,
    /// When it was first seen at work: a day, a time with its zone, or now.
    #[arg(long, value_name = "TIME", value_parser = moments::moment)]
    first_seen: Option<Timestamp>,
    /// When it was last seen at work.
    #[arg(long, value_name = "TIME", value_parser = moments::moment)]
    last_seen: Option<Timestamp>,
    /// From when readers may act on it.
    #[arg(long, value_name = "TIME", value_parser = moments::moment)]
    valid_from: Option<Timestamp>,
    /// Until when readers may act on it: a time, or so long from now (90d).
    #[arg(long, value_name = "TIME", value_parser = moments::due)]
    valid_until: Option<Timestamp>,
    /// A technique that it was used for: disarm/T0013, or with its label, and its phase in brackets:
    /// 'disarm/T0013 Create inauthentic websites [Establish assets]'; may be repeated.
    #[arg(long = "technique", value_name = "TECHNIQUE", value_parser = support::technique)]
    techniques: Vec<pb::Technique>,
    /// Reach, spend and other figures: 'followers 13000+', 'views 13466 in US on youtube'; may be repeated.
    #[arg(long = "metric", value_name = "METRIC", value_parser = figures::metric)]
    metrics: Vec<pb::Metric>,
    /// A file that supports it, by digest: 'SHA256 image/png ADDRESS'; may be repeated.
    #[arg(long = "evidence", value_name = "EVIDENCE", value_parser = support::evidence)]
    evidence: Vec<pb::Evidence>,
    /// A label of one's own; may be repeated.
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    /// Stand by a value of which the hub warns that it is a common benign one.
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    flags: IndicatorFlags,
}

impl Args {
    /// Its flags, which `publish` alone takes too.
    pub(crate) fn into_flags(self) -> IndicatorFlags {
        self.flags
    }
}

/// One record about an asset, as flags say it.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct IndicatorFlags {
    #[command(flatten)]
    pub(crate) asset: AssetFlags,
    #[command(flatten)]
    pub(crate) finding: FindingFlags,
    /// The operation: a title of one's own, or the name of a record.
    #[arg(long, value_name = "OPERATION")]
    pub(crate) operation: Option<String>,
    #[command(flatten)]
    pub(crate) handling: HandlingFlags,
    #[command(flatten)]
    pub(crate) how: publish::HowFlags,
}

pub(crate) async fn run(context: &Context, args: IndicatorFlags) -> anyhow::Result<()> {
    let profile = context.profile()?;
    let operation = match &args.operation {
        Some(text) => operation_name(text, &profile)?.to_string(),
        None => String::new(),
    };
    let said = pb::body::Content::Indicator(indicator(&args, operation)?);
    moments::note_past(args.finding.valid_until, "--valid-until");
    if args.how.dry_run {
        let signer = Signer::of(&profile, OwnKey::Signing)?;
        let name = RecordName { member: signer.member().clone(), record: Uuid::now_v7() };
        let handling = args.handling.required()?;
        signer.sign(Draft { name, previous: None, handling, content: said }, now())?;
        return Ok(output::line("The record would be sent.")?);
    }
    if args.how.amend.is_none() {
        args.handling.required()?;
    }
    let client = context.connect().await?;
    publish::send_waiting(&client).await?;
    let draft = publish::draft(&client, said, &args.handling, &args.how).await?;
    if let Some(title) = &args.operation {
        ensure_operation(&client, &profile, title, &draft.handling).await?;
    }
    publish::tell_reach(&draft.handling);
    publish::tell(&publish::send(&client, draft).await?, &args.how)
}

fn indicator(args: &IndicatorFlags, operation: String) -> Result<pb::Indicator, Failure> {
    let IndicatorFlags { asset, finding, .. } = args;
    let finding = finding.clone();
    Ok(pb::Indicator {
        observable: Some(observable(asset.clone())?),
        operation,
        first_seen_time: moments::to_wire(finding.first_seen),
        last_seen_time: moments::to_wire(finding.last_seen),
        valid_from_time: moments::to_wire(finding.valid_from),
        valid_until_time: moments::to_wire(finding.valid_until),
        confidence: finding.confidence,
        review: finding.review.unwrap_or_default().into(),
        techniques: finding.techniques,
        metrics: finding.metrics,
        evidence: finding.evidence,
        description: finding.description.unwrap_or_default(),
        labels: finding.labels,
        warning_seen: finding.force,
    })
}

fn observable(asset: AssetFlags) -> Result<pb::Observable, Failure> {
    let usage = |why: &str| Failure::Usage(why.to_owned());
    let advertisement = advertisement(&asset);
    let mut observable = match (&asset.count, &asset.value) {
        (Some(count), value) => {
            if asset.kind.is_some_and(|kind| kind != ObservableKind::Aggregate) {
                return Err(usage("a --count is of the kind aggregate"));
            }
            aggregate(count.clone(), &asset, value.clone().unwrap_or_default())
        }
        (None, Some(value)) => ends::value(value, asset.kind, asset.platform.as_ref())?,
        (None, None) => {
            let names = [&asset.platform_id, &asset.display_name];
            let (Some(kind), true) = (asset.kind, names.iter().any(|name| !name.is_empty())) else {
                return Err(usage("say which asset: --value VALUE, or how many: --count COUNT"));
            };
            let platform = asset.platform.as_ref().map(ToString::to_string).unwrap_or_default();
            pb::Observable { kind: kind.number(), platform, ..pb::Observable::default() }
        }
    };
    demand_platform(&observable)?;
    if advertisement.is_some() && observable.kind != ObservableKind::Ad.number() {
        return Err(usage("only an ad has a payer, spend, impressions and days on which it ran"));
    }
    observable.advertisement = advertisement;
    observable.platform_id = asset.platform_id;
    observable.display_name = asset.display_name;
    observable.algorithm = asset.algorithm;
    Ok(observable)
}

/// `@example` is somebody else on each platform.
fn demand_platform(observable: &pb::Observable) -> Result<(), Failure> {
    let kind = ObservableKind::from_number(observable.kind);
    match kind.filter(|kind| kind.lives_on_a_platform() && observable.platform.is_empty()) {
        None => Ok(()),
        Some(kind) => Err(Failure::Usage(format!("a {kind} lives on a --platform: say which"))),
    }
}

fn aggregate(count: pb::AggregatePart, asset: &AssetFlags, value: String) -> pb::Observable {
    let pb::AggregatePart { of, platform, count } = count;
    let said = asset.platform.as_ref().map(ToString::to_string);
    pb::Observable {
        kind: ObservableKind::Aggregate.number(),
        platform: said.unwrap_or(platform),
        value,
        aggregate: Some(pb::Aggregate { of, count, parts: asset.parts.clone() }),
        ..pb::Observable::default()
    }
}

fn advertisement(asset: &AssetFlags) -> Option<pb::Advertisement> {
    let AssetFlags { payer, spend, impressions, run_start, run_end, .. } = asset;
    let is_said = payer.is_some()
        || spend.is_some()
        || impressions.is_some()
        || run_start.is_some()
        || run_end.is_some();
    let (spend, currency) =
        spend.clone().map(|Money { figure, currency }| (figure, currency)).unzip();
    is_said.then(|| pb::Advertisement {
        payer: payer.clone().unwrap_or_default(),
        spend,
        currency: currency.unwrap_or_default(),
        impressions: *impressions,
        run_start_time: moments::to_wire(*run_start),
        run_end_time: moments::to_wire(*run_end),
    })
}

/// An operation of one's own that is named by its title is published with its first indicator.
async fn ensure_operation(
    client: &Client,
    profile: &Profile,
    title: &str,
    handling: &Handling,
) -> anyhow::Result<()> {
    let name = operation_name(title, profile)?;
    if title.starts_with("members/") || client.current(&name).await?.is_some() {
        return Ok(());
    }
    let operation = pb::Operation { title: title.to_owned(), ..pb::Operation::default() };
    let said = pb::body::Content::Operation(operation);
    output::note(&output::clean(&format!(
        "{title} is a new operation: it is published too, as {name}"
    )));
    let draft = Draft { name, previous: None, handling: handling.clone(), content: said };
    publish::warn(&publish::send(client, draft).await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: IndicatorFlags,
    }

    fn read(line: &[&str]) -> Result<pb::Indicator, String> {
        let line = ["publish"].iter().chain(line);
        let args = Line::try_parse_from(line).map_err(|error| error.to_string())?.args;
        indicator(&args, String::new()).map_err(|error| error.to_string())
    }

    fn observed(line: &[&str]) -> pb::Observable {
        read(line).unwrap().observable.unwrap()
    }

    #[test]
    fn a_plain_value_says_its_kind_and_platform() {
        let domain = observed(&["--value", "news[.]example"]);
        assert_eq!(
            (domain.kind(), domain.value.as_str()),
            (pb::ObservableKind::Domain, "news[.]example")
        );
        let account = observed(&["--value", "https://x.com/example_two", "--platform-id", "7"]);
        assert_eq!((account.kind(), account.platform.as_str()), (pb::ObservableKind::Account, "x"));
        assert_eq!(account.platform_id, "7");
        assert!(read(&["--value", "example_two"]).unwrap_err().contains("not recognised"));
        assert!(read(&["--kind", "domain"]).unwrap_err().contains("--value"));
    }

    #[test]
    fn what_lives_on_a_platform_says_on_which() {
        let flags = ["--kind", "account", "--value", "@example_two"];
        assert!(read(&flags).unwrap_err().contains("--platform"));
        assert_eq!(observed(&[flags.as_slice(), &["--platform", "x"]].concat()).platform, "x");
        let by_id = ["--kind", "page", "--platform-id", "123"];
        assert!(read(&by_id).unwrap_err().contains("--platform"));
        assert_eq!(observed(&["--kind", "event", "--value", "march"]).platform, "");
    }

    #[test]
    fn an_ad_says_who_paid_and_when_it_ran() {
        let flags = [
            "--kind",
            "ad",
            "--platform",
            "facebook",
            "--value",
            "123",
            "--payer",
            "Example Events",
        ];
        let more = ["--spend", "1200.50 USD", "--impressions", "10+", "--run-start", "2015-06-01"];
        let ad = observed(&[flags.as_slice(), more.as_slice()].concat()).advertisement.unwrap();
        assert_eq!((ad.payer.as_str(), ad.currency.as_str()), ("Example Events", "USD"));
        assert_eq!(ad.spend.unwrap().value, Some(pb::figure::Value::Exact(120_050)));
        assert_eq!(ad.impressions.unwrap().value, Some(pb::figure::Value::AtLeast(10)));
        assert!(ad.run_start_time.is_some() && ad.run_end_time.is_none());
        let refused = read(&["--value", "news.example", "--payer", "Example Events"]);
        assert!(refused.unwrap_err().contains("only an ad"));
    }

    #[test]
    fn a_count_has_parts_and_no_other_kind() {
        let flags =
            ["--count", "58 account on youtube", "--part", "39 channel", "--part", "19+ account"];
        let counted = observed(&flags);
        assert_eq!(
            (counted.kind(), counted.platform.as_str()),
            (pb::ObservableKind::Aggregate, "youtube")
        );
        let aggregate = counted.aggregate.unwrap();
        assert_eq!((aggregate.of(), aggregate.parts.len()), (pb::ObservableKind::Account, 2));
        assert!(
            read(&["--kind", "domain", "--count", "3 page"]).unwrap_err().contains("aggregate")
        );
        assert!(read(&["--part", "3 page"]).unwrap_err().contains("--count"));
    }

    #[test]
    fn whoever_stands_by_a_value_says_so() {
        assert!(!read(&["--value", "news.example"]).unwrap().warning_seen);
        assert!(read(&["--value", "news.example", "--force"]).unwrap().warning_seen);
    }
}
