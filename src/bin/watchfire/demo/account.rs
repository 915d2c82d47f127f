//! The account at the end: who published what, what each subscriber saw, and that it all adds up.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::PoisonError;

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use watchfire::client::Client;
use watchfire::client::Delivery;
use watchfire::client::From;
use watchfire::client::ImportAccount;
use watchfire::client::Patience;
use watchfire::client::SubscribeOptions;
use watchfire::model::filter::Filter;
use watchfire::model::names::Digest;
use watchfire::model::names::MemberId;

use super::MEMBERS;
use super::OBSERVER;
use super::Published;
use super::case::Readers;
use super::steps;
use super::watcher;
use super::watcher::Watcher;
use crate::output;
use crate::own_hub::Hub;

/// Genesis, an admission for each member, and the hub's notice of one erasure: everyone sees them.
pub(crate) const COMMON_ENTRIES: usize = 1 + MEMBERS.len() + 1;

/// What a member should see of what was published, by a rule that is not the hub's.
pub(crate) fn expected(member: &str, published: &[Published]) -> BTreeSet<Digest> {
    let is_observer = member == OBSERVER;
    let is_for = |record: &&Published| {
        record.publisher == member
            || match record.readers {
                Readers::All => true,
                Readers::Companies => !is_observer,
                Readers::Only(recipient) => recipient == member,
            }
    };
    published.iter().filter(is_for).map(|record| record.digest).collect()
}

/// Reads the whole log once more, fresh, and looks for every receipt in its place.
pub(crate) async fn check_places(
    clients: &[(&'static str, Client)],
    published: &[Published],
) -> anyhow::Result<()> {
    for (member, client) in clients {
        let mut places = BTreeMap::new();
        let mut subscription = client
            .subscribe(SubscribeOptions {
                from: From::Start,
                filter: Filter::default(),
                until_head: true,
                patience: Patience::Unlimited,
            })
            .await?;
        while let Some(delivery) = subscription.next().await? {
            if let Delivery::Entries { entries, .. } = delivery {
                places
                    .extend(entries.iter().map(|entry| (entry.sequence(), entry.header_digest())));
            }
        }
        for record in published.iter().filter(|record| record.publisher == *member) {
            anyhow::ensure!(
                places.get(&record.sequence) == Some(&record.digest),
                "the record at sequence {} of {member} is not in its place",
                record.sequence
            );
        }
    }
    Ok(())
}

/// Prints the account; an error if anything does not add up.
pub(crate) fn print(
    watchers: &[Watcher],
    published: &[Published],
    before: u64,
) -> anyhow::Result<()> {
    print_published(published)?;
    let mut table =
        table(&["SUBSCRIBER", "SAW", "SHOULD SEE", "NOT FOR IT, NOT SEEN", "TWICE", "HUB LOST"]);
    let mut latencies = Vec::new();
    for watcher in watchers {
        let seen = watcher.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let expected = expected(watcher.member, published);
        let is_common =
            |publisher: &str| publisher == "operator" || publisher == MemberId::hub().as_str();
        let common: BTreeSet<Digest> = seen
            .records
            .values()
            .filter(|(_digest, publisher)| is_common(publisher))
            .map(|(digest, _publisher)| *digest)
            .collect();
        let saw: BTreeSet<Digest> = seen
            .records
            .values()
            .map(|(digest, _publisher)| *digest)
            .filter(|digest| !common.contains(digest))
            .collect();
        anyhow::ensure!(
            common.len() == COMMON_ENTRIES,
            "{}: entries for everyone are missing",
            watcher.member
        );
        anyhow::ensure!(saw == expected, "{} did not see what it should", watcher.member);
        anyhow::ensure!(seen.repeats == 0, "{} was given a record twice", watcher.member);
        table.add_row(vec![
            watcher.member.to_owned(),
            saw.len().to_string(),
            expected.len().to_string(),
            (published.len() - expected.len()).to_string(),
            seen.repeats.to_string(),
            seen.interruptions.to_string(),
        ]);
        latencies.extend_from_slice(&seen.latencies);
    }
    steps::table(&table)?;
    let distinct: BTreeSet<Digest> = published.iter().map(|record| record.digest).collect();
    let distinct = distinct.len();
    anyhow::ensure!(distinct == published.len(), "a record was published twice");
    let total = published.len() + COMMON_ENTRIES;
    steps::told(&format!(
        "Counts: {before} entries before the kill were all there after it, each receipt in its place; {total} at the end."
    ))?;
    let histogram = watcher::histogram(latencies.into_iter())?;
    let at = |quantile: f64| {
        std::time::Duration::from_micros(histogram.value_at_quantile(quantile)).as_secs_f64()
            * 1000.0
    };
    Ok(steps::told(&format!(
        "Publish to verified delivery: p50 {:.2} ms, p99 {:.2} ms over {} deliveries.",
        at(0.5),
        at(0.99),
        histogram.len()
    ))?)
}

fn print_published(published: &[Published]) -> anyhow::Result<()> {
    let mut table = table(&["PUBLISHER", "FOR ALL", "FOR COMPANIES", "FOR ONE MEMBER"]);
    for (member, role) in MEMBERS {
        let count = |matches: fn(Readers) -> bool| {
            let of = |record: &&Published| record.publisher == member && matches(record.readers);
            published.iter().filter(of).count().to_string()
        };
        if role == "company" {
            table.add_row(vec![
                member.to_owned(),
                count(|readers| readers == Readers::All),
                count(|readers| readers == Readers::Companies),
                count(|readers| matches!(readers, Readers::Only(_))),
            ]);
        }
    }
    steps::table(&table)?;
    Ok(output::line("")?)
}

/// What became of each row of the list.
pub(crate) fn print_list(import: &ImportAccount) -> anyhow::Result<()> {
    let ImportAccount { rows, carried, operation, duplicates, skipped, .. } = import;
    anyhow::ensure!(import.adds_up(), "the rows of the list do not add up");
    Ok(steps::told(&format!(
        "The list: {rows} rows = {carried} carried + {operation} about the operation + {duplicates} duplicate + {} skipped.",
        skipped.len()
    ))?)
}

fn table(heading: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(heading.to_vec());
    table
}

/// What to try with the hub that was left running.
pub(crate) fn next_steps(hub: &mut Hub) -> anyhow::Result<()> {
    let address = hub.address().to_owned();
    let company = hub.profile(super::SOCIAL);
    let observer = hub.profile(OBSERVER);
    let id = hub.leave_running().unwrap_or_default();
    output::line(&format!("\nThe hub goes on (process {id}). Try:"))?;
    let export = format!("  export WATCHFIRE_ADDRESS={address}");
    let company = format!("watchfire --profile {}", company.display());
    let observer = format!("watchfire --profile {}", observer.display());
    for line in [
        export,
        format!("  {company} subscribe"),
        format!("  {company} list --kind domain"),
        format!("  {company} lookup 'ballot-rumours[.]example'"),
        format!("  {company} search broadcaster"),
        format!("  {company} briefing --since 7d --out briefing.html --markdown briefing.md"),
        format!(
            "  {company} publish --kind domain --value seen-today.example --tlp green --audience companies"
        ),
        format!("  {observer} subscribe --until-head --format jsonl"),
        format!("  kill {id}"),
    ] {
        output::line(&line)?;
    }
    Ok(())
}
