//! `watchfire publish --stix`: bundles of others as one's own records; every object is accounted for.

mod signed;

use std::fs::File;
use std::path::Path;

use anyhow::Context as _;
use watchfire::client::Client;
use watchfire::client::Draft;
use watchfire::client::Reconciled;
use watchfire::client::Signer;
use watchfire::client::reconcile;
use watchfire::interop::stix;
use watchfire::interop::stix::import;
use watchfire::interop::stix::import::Account;
use watchfire::interop::stix::import::BundleFile;
use watchfire::interop::stix::import::ImportTarget;
use watchfire::interop::stix::import::Planned;
use watchfire::interop::stix::import::Versions;
use watchfire::profile::OwnKey;
use watchfire::profile::Profile;

use crate::context::Context;
use crate::crl::now;
use crate::filter_flags;
use crate::output;
use crate::publish;
use crate::publish_stix::signed::Signed;

pub(crate) async fn run(context: &Context, args: &publish::Args) -> anyhow::Result<()> {
    let profile = context.profile()?;
    let files: Vec<BundleFile> =
        args.stix.iter().map(|path| bundle(path)).collect::<anyhow::Result<_>>()?;
    let mut target = target(&profile, args)?;
    if args.indicator.how.dry_run {
        let signed = Signed::gather(&files, &profile, &args.origin)?;
        return dry_run(&profile, &files, signed, target);
    }
    publish::tell_reach(&target.handling);
    let client = context.connect().await?;
    if let Some(operation) = &args.indicator.operation {
        filter_flags::demand_operation(operation, &client).await?;
    }
    // What the bundles carry is checked by what the profile knows.
    client.roster().await?;
    client.remember_roster().await?;
    let signed = Signed::gather(&files, &profile, &args.origin)?;
    publish::send_waiting(&client).await?;
    let current = client.current_of_own().await?;
    let here = signed.find_here(&client).await?;
    let (mut records, mut versions) = signed.take(&mut target, &here, Some(&current));
    let plan = import::plan(&files, &target);
    records.extend(plan.records);
    versions.extend(plan.versions);
    let mut work = Work::default();
    let (stages, circle) = import::stages(records);
    for stage in stages {
        let reconciled = stage.into_iter().map(|record| {
            let draft = draft(record);
            let there = current.get(&draft.name);
            reconcile(draft, there)
        });
        work.send(&client, reconciled.collect()).await?;
    }
    // Remembered even if the hub refused some: the same version can be sent again.
    target.versions.remember(versions);
    profile.save_imported(&target.versions.to_json())?;
    here.tell()?;
    tell(&plan.account)?;
    work.tell(circle.len())
}

/// Reads a file.
fn bundle(path: &Path) -> anyhow::Result<BundleFile> {
    let shown = || output::clean(&path.display().to_string());
    let file = File::open(path).with_context(|| format!("{} cannot be read", shown()))?;
    let bundle = stix::read_bundle(file)
        .map_err(|error| anyhow::anyhow!(output::clean(&error.to_string())))
        .with_context(shown)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(BundleFile { file: name, bundle })
}

fn target(profile: &Profile, args: &publish::Args) -> anyhow::Result<ImportTarget> {
    let operation = args.indicator.operation.as_deref();
    let operation = operation.map(|text| filter_flags::operation_name(text, profile));
    Ok(ImportTarget {
        member: profile.settings().member.clone(),
        namespace: profile.namespace()?,
        handling: args.indicator.handling.required()?,
        operation: operation.transpose()?,
        now: now(),
        said: std::collections::HashMap::new(),
        not_taken: std::collections::HashMap::new(),
        versions: versions(profile)?,
    })
}

/// What was imported before.
fn versions(profile: &Profile) -> anyhow::Result<Versions> {
    let Some(text) = profile.imported()? else { return Ok(Versions::default()) };
    Versions::from_json(&text)
        .context("the profile's imported.json cannot be read: it was changed by something else")
}

/// Everything but the hub's part: what it has is not known, so that nothing is told to be new.
fn dry_run(
    profile: &Profile,
    files: &[BundleFile],
    signed: Signed,
    mut target: ImportTarget,
) -> anyhow::Result<()> {
    let here = signed.as_claimed();
    let (mut records, _versions) = signed.take(&mut target, &here, None);
    let plan = import::plan(files, &target);
    records.extend(plan.records);
    let count = records.len();
    let pen = Signer::of(profile, OwnKey::Signing)?;
    for record in records {
        let name = record.name.clone();
        pen.sign(draft(record), now()).with_context(|| name.to_string())?;
    }
    here.tell()?;
    tell(&plan.account)?;
    Ok(output::line(&format!("{count} records would be compared and sent."))?)
}

fn draft(record: Planned) -> Draft {
    let Planned { name, handling, kind: _told_by_the_content, content } = record;
    Draft { name, previous: None, handling, content }
}

/// The account of the objects, with every skip by file and object.
fn tell(account: &Account) -> anyhow::Result<()> {
    for skipped in &account.skipped {
        let text = format!("skipped {}: {}: {}", skipped.file, skipped.object, skipped.reason);
        output::line(&output::clean(&text))?;
    }
    let Account { objects, carried, joined, said, duplicates, skipped } = account;
    output::line(&format!(
        "objects: {objects} = {carried} carried + {joined} joined into others + {said} said by signed records + \
         {duplicates} duplicate + {} skipped",
        skipped.len()
    ))?;
    anyhow::ensure!(account.adds_up(), "the objects do not add up: this is a fault of watchfire");
    Ok(())
}

/// What was done about the planned records.
#[derive(Default)]
struct Work {
    new: usize,
    changed: usize,
    unchanged: usize,
    withdrawn: usize,
    tally: publish::Tally,
}

impl Work {
    async fn send(&mut self, client: &Client, stage: Vec<Reconciled>) -> anyhow::Result<()> {
        let mut drafts = Vec::new();
        for reconciled in stage {
            match reconciled {
                Reconciled::New(draft) => {
                    self.new += 1;
                    drafts.push(draft);
                }
                Reconciled::Changed(draft) => {
                    self.changed += 1;
                    drafts.push(draft);
                }
                Reconciled::Unchanged(_) => self.unchanged += 1,
                Reconciled::Withdrawn(_) => self.withdrawn += 1,
            }
        }
        if !drafts.is_empty() {
            self.tally.join(publish::publish_drafts(client, drafts).await?);
        }
        Ok(())
    }

    fn tell(&self, in_a_circle: usize) -> anyhow::Result<()> {
        let Self { new, changed, unchanged, withdrawn, tally } = self;
        if in_a_circle > 0 {
            output::note(&format!(
                "warning: {in_a_circle} records are about each other in a circle, and were not sent"
            ));
        }
        output::line(&format!(
            "records: {new} new, {changed} changed, {unchanged} unchanged, {withdrawn} withdrawn before and not \
             brought back; {} durable, {} refused",
            tally.taken,
            tally.refused.len()
        ))?;
        tally.demand_none_refused()
    }
}
