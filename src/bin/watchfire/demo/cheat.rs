//! The end of the story: the operator cheats. It changes one bit of a record on the disk, checksum and all, and the clients
//! of those who may read that record say so.

use anyhow::Context as _;
use watchfire::client::Client;
use watchfire::client::ClientError;
use watchfire::client::From;
use watchfire::client::Patience;
use watchfire::client::SubscribeOptions;
use watchfire::client::VerificationError;
use watchfire::model::filter::Filter;
use watchfire::model::header::BodyKind;
use watchfire::profile::Profile;
use watchfire::store::Erasing;
use watchfire::store::Group;
use watchfire::store::LogBlock;
use watchfire::store::Store;
use watchfire::wire;

use super::CATCH_UP_MAX;
use super::MEMBERS;
use super::steps;
use crate::output;
use crate::own_hub::Hub;

/// Flips the bit, serves again, and shows what each company's client says.
pub(super) async fn show(hub: &mut Hub) -> anyhow::Result<()> {
    steps::step(
        11,
        "The operator cheats: with the hub stopped, it flips one bit of a record on the disk, and mends the checksum.",
    )?;
    let (sequence, before) = flip(hub)?;
    steps::told(&format!(
        "The record at sequence {sequence} is another one now, in place of {before}"
    ))?;
    steps::command("", "watchfired serve --data hub")?;
    hub.start().await?;
    for (member, _role) in MEMBERS.iter().filter(|(_member, role)| *role == "company") {
        steps::command(member, "watchfire subscribe --until-head")?;
        let profile = Profile::open(&hub.profile(member))?;
        let profile = profile.at_address(Some(hub.address().to_owned()));
        let error = read_all(profile).await?;
        steps::told(&output::clean(&error.to_string()))?;
        let evidence = error.evidence().context("nothing was kept")?;
        anyhow::ensure!(evidence.exists(), "{} is not there", evidence.display());
    }
    steps::told("The hub was caught by each of them, at that record.")?;
    hub.kill()
}

/// Reads everything from the start, until the client refuses to go on.
async fn read_all(profile: Profile) -> anyhow::Result<VerificationError> {
    let client = Client::connect(profile).await?;
    let options = SubscribeOptions {
        from: From::Start,
        filter: Filter::default(),
        until_head: true,
        patience: Patience::Limited(CATCH_UP_MAX),
    };
    let mut subscription = client.subscribe(options).await?;
    loop {
        match subscription.next().await {
            Ok(Some(_delivery)) => {}
            Ok(None) => anyhow::bail!("nobody noticed"),
            Err(ClientError::Unverified(error)) => return Ok(error),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Changes the last bit of the body of the first indicator that every company may read; its place, and a part of what it was.
fn flip(hub: &Hub) -> anyhow::Result<(u64, String)> {
    let store = Store::open(&hub.store(), 0)?;
    let head = store.head()?;
    let mut next = 0;
    while next < head.frontier.size() {
        let block = store.block_at(next)?.context("the log has a hole")?;
        if let Some((sequence, framed, before)) = victim(&block) {
            let erasing = Erasing { entries: vec![(sequence, framed)], ..Erasing::default() };
            store.append(&Group { head, erasing: Some(erasing), ..Group::default() })?;
            return Ok((sequence, before));
        }
        next = block.end();
    }
    anyhow::bail!("there is no indicator for all companies")
}

fn victim(block: &LogBlock) -> Option<(u64, Vec<u8>, String)> {
    block.entries_from(0).find_map(|(sequence, stored)| {
        let scope = &stored.facts.scope;
        let for_all = scope.reach.audiences.iter().any(|audience| audience.as_str() == "companies");
        if scope.body_kind != BodyKind::Indicator || !for_all {
            return None;
        }
        let mut entry = wire::entry::decode(block.framed(stored))?;
        let envelope = entry.envelope.as_mut()?;
        let before = format!("{}...", hex::encode(envelope.body.get(..16)?));
        let mut body = envelope.body.to_vec();
        *body.last_mut()? ^= 1;
        envelope.body = body.into();
        Some((sequence, wire::entry::frame(&entry), before))
    })
}
