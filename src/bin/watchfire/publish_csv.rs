//! `watchfire publish --meta-csv`: published lists; only what is new or changed goes out, and every row is
//! accounted for.

use anyhow::Context as _;
use watchfire::client::Client;
use watchfire::client::Draft;
use watchfire::client::ImportAccount;
use watchfire::client::ImportPlan;
use watchfire::client::ImportTarget;
use watchfire::client::Reconciled;
use watchfire::client::Signer;
use watchfire::client::plan_import;
use watchfire::client::reconcile;
use watchfire::profile;
use watchfire::profile::OwnKey;
use watchfire::wire::pb;

use crate::context::Context;
use crate::crl::now;
use crate::failure::Failure;
use crate::output;
use crate::publish;

/// What is to be done about the planned records.
#[derive(Default)]
struct Work {
    drafts: Vec<Draft>,
    new: usize,
    changed: usize,
    unchanged: usize,
    withdrawn: usize,
}

pub(crate) async fn run(context: &Context, args: &publish::Args) -> anyhow::Result<()> {
    let profile = context.profile()?;
    let handling = args.indicator.handling.required()?;
    let title = args.indicator.operation.as_deref().unwrap_or_default();
    if title.trim().is_empty() {
        return Err(Failure::Usage("name the operation: --operation TITLE".to_owned()).into());
    }
    let mut files = Vec::with_capacity(args.meta_csv.len());
    for path in &args.meta_csv {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.push((name, profile::read(path)?));
    }
    let mut target = ImportTarget {
        title: title.to_owned(),
        member: profile.settings().member.clone(),
        namespace: profile.namespace()?,
        handling,
        earlier: Vec::new(),
    };
    if args.indicator.how.dry_run {
        let plan = plan_import(&files, &target)?;
        let signer = Signer::of(&profile, OwnKey::Signing)?;
        for draft in &plan.drafts {
            signer.sign(draft.clone(), now()).with_context(|| draft.name.to_string())?;
        }
        show_rows(&plan.account)?;
        return Ok(output::line(&format!(
            "{} records would be compared and sent.",
            plan.drafts.len()
        ))?);
    }
    publish::tell_reach(&target.handling);
    let client = context.connect().await?;
    publish::send_waiting(&client).await?;
    target.earlier = earlier(&client, &target).await?;
    send(&client, plan_import(&files, &target)?).await
}

/// What the operation's records say already, part by part.
async fn earlier(client: &Client, target: &ImportTarget) -> anyhow::Result<Vec<pb::Operation>> {
    let mut parts = Vec::new();
    while let Some(current) = client.current(&target.part_name(parts.len())).await? {
        let Some(pb::body::Content::Operation(operation)) = current.content else {
            break;
        };
        parts.push(operation);
    }
    Ok(parts)
}

async fn send(client: &Client, plan: ImportPlan) -> anyhow::Result<()> {
    let ImportPlan { drafts, operations, account } = plan;
    let current = client.current_of_operations(&operations).await?;
    let mut work = Work::default();
    for draft in drafts {
        let there = current.get(&draft.name);
        work.take(reconcile(draft, there));
    }
    let Work { drafts, new, changed, unchanged, withdrawn } = work;
    let tally = publish::publish_drafts(client, drafts).await?;
    show_rows(&account)?;
    output::line(&format!(
        "records: {new} new, {changed} changed, {unchanged} unchanged, {withdrawn} withdrawn before and not \
         brought back; {} durable, {} refused",
        tally.taken,
        tally.refused.len()
    ))?;
    tally.demand_none_refused()
}

impl Work {
    fn take(&mut self, reconciled: Reconciled) {
        match reconciled {
            Reconciled::New(draft) => {
                self.new += 1;
                self.drafts.push(draft);
            }
            Reconciled::Changed(draft) => {
                self.changed += 1;
                self.drafts.push(draft);
            }
            Reconciled::Unchanged(_) => self.unchanged += 1,
            Reconciled::Withdrawn(_) => self.withdrawn += 1,
        }
    }
}

/// The account of the rows, with every skip by file and line.
fn show_rows(account: &ImportAccount) -> anyhow::Result<()> {
    for skipped in &account.skipped {
        let file = output::clean(&skipped.file);
        output::line(&format!("skipped {file}:{} {}", skipped.line, skipped.reason))?;
    }
    let ImportAccount { rows, carried, operation, duplicates, blank, skipped } = account;
    output::line(&format!(
        "rows: {rows} = {carried} carried + {operation} about the operation + {duplicates} duplicate + {} skipped \
         ({blank} blank)",
        skipped.len()
    ))?;
    anyhow::ensure!(account.adds_up(), "the rows do not add up: this is a fault of watchfire");
    Ok(())
}
