//! What questions are asked about: an operation of 10,000 indicators, a hundred of which share a word, and links.

use std::time::Instant;

use watchfire::client::Draft;
use watchfire::model::names::RecordName;
use watchfire::wire::pb;

use super::figures::Done;
use super::load::Setting;
use super::workloads;
use super::workloads::histogram;
use super::workloads::record;

/// Indicators of the operation.
const INDICATORS: u64 = 10_000;
/// Every so many of them has the word.
const WORD_EVERY: u64 = 100;
const WORD: &str = "heronfleet";
/// Values that the first one is linked with; each of them is linked with one more.
const LINKED: u64 = 25;
/// Questions of a round.
const SEARCHES: usize = 200;
const OPERATIONS: usize = 5;
const WALKS: usize = 200;
const BATCH: usize = 128;

/// Publishes the scene.
pub(crate) async fn publish(setting: &mut Setting) -> anyhow::Result<()> {
    let operation = setting.new_name();
    let mut drafts = vec![setting.draft_of(
        operation.clone(),
        pb::body::Content::Operation(pb::Operation {
            title: "Scene".to_owned(),
            ..pb::Operation::default()
        }),
    )];
    for number in 0..INDICATORS {
        let name = setting.new_name();
        drafts.push(setting.draft_of(name, indicator(number, &operation)));
    }
    for number in 1..=2 * LINKED {
        let source = number.saturating_sub(LINKED);
        let name = setting.new_name();
        drafts.push(setting.draft_of(name, link(source, number)));
    }
    let signed = drafts.into_iter().map(|draft: Draft| setting.sign_draft(draft));
    let signed = signed.collect::<anyhow::Result<Vec<_>>>()?;
    workloads::publish(setting, signed, BATCH).await?;
    setting.set_operation(operation);
    Ok(())
}

fn indicator(number: u64, operation: &RecordName) -> pb::body::Content {
    let word = if number.is_multiple_of(WORD_EVERY) { WORD } else { "others" };
    pb::body::Content::Indicator(pb::Indicator {
        observable: Some(account(number)),
        operation: operation.to_string(),
        description: format!("one of {word}"),
        ..pb::Indicator::default()
    })
}

fn account(number: u64) -> pb::Observable {
    pb::Observable {
        kind: pb::ObservableKind::Account.into(),
        value: format!("scene{number:08}"),
        platform: Setting::platform(number),
        ..pb::Observable::default()
    }
}

fn value(number: u64) -> pb::Observable {
    pb::Observable {
        kind: pb::ObservableKind::Domain.into(),
        value: format!("linked{number}.example"),
        ..pb::Observable::default()
    }
}

fn link(source: u64, target: u64) -> pb::body::Content {
    let end = |number| Some(pb::Reference { to: Some(pb::reference::To::Value(value(number))) });
    pb::body::Content::Link(pb::Link {
        source: end(source),
        target: end(target),
        r#type: pb::LinkType::RedirectsTo.into(),
        ..pb::Link::default()
    })
}

pub(super) async fn search(setting: &Setting) -> anyhow::Result<Done> {
    let mut service = setting.subscriber.query_service();
    let mut latencies = histogram()?;
    let begun = Instant::now();
    for _search in 0..SEARCHES {
        let request = pb::SearchRecordsRequest {
            text: WORD.to_owned(),
            filter: Some(pb::Filter {
                kinds: vec![pb::ObservableKind::Account.into()],
                ..pb::Filter::default()
            }),
            page_size: 100,
            ..pb::SearchRecordsRequest::default()
        };
        let start = Instant::now();
        let answer = service.search_records(request).await?.into_inner();
        record(&mut latencies, start)?;
        anyhow::ensure!(answer.entries.len() == 100, "{} were found", answer.entries.len());
    }
    done(setting, SEARCHES, begun, "pages").await.map(|done| done.with_latencies(latencies))
}

pub(super) async fn operation(setting: &Setting) -> anyhow::Result<Done> {
    let mut service = setting.subscriber.query_service();
    let mut latencies = histogram()?;
    let begun = Instant::now();
    for _view in 0..OPERATIONS {
        let request = pb::GetOperationRequest { name: setting.operation()?.to_string() };
        let start = Instant::now();
        let answer = service.get_operation(request).await?.into_inner();
        record(&mut latencies, start)?;
        let counted: u64 = answer.assets.iter().map(|asset| asset.count).sum();
        anyhow::ensure!(counted == INDICATORS, "{counted} indicators were counted");
    }
    done(setting, OPERATIONS, begun, "operations").await.map(|done| done.with_latencies(latencies))
}

pub(super) async fn links(setting: &Setting) -> anyhow::Result<Done> {
    let mut service = setting.subscriber.query_service();
    let mut latencies = histogram()?;
    let begun = Instant::now();
    for _walk in 0..WALKS {
        let request = pb::ListLinksRequest {
            start: Some(pb::list_links_request::Start::Value(pb::ValueQuery {
                value: value(0).value,
                ..pb::ValueQuery::default()
            })),
            steps_max: 2,
            nodes_max: 100,
        };
        let start = Instant::now();
        let answer = service.list_links(request).await?.into_inner();
        record(&mut latencies, start)?;
        let nodes = answer.nodes.len();
        anyhow::ensure!(nodes == usize::try_from(2 * LINKED + 1)?, "{nodes} nodes were found");
    }
    done(setting, WALKS, begun, "walks").await.map(|done| done.with_latencies(latencies))
}

async fn done(
    setting: &Setting,
    count: usize,
    begun: Instant,
    unit: &'static str,
) -> anyhow::Result<Done> {
    Ok(Done::new(count, begun.elapsed().as_secs_f64(), unit, setting.head().await?))
}
