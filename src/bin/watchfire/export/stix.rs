//! `watchfire export stix`.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use watchfire::client::Patience;
use watchfire::interop::stix;

use crate::context::Context;
use crate::export::Common;
use crate::export::follow::FollowFlags;
use crate::export::stix_folder;
use crate::output;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// The file; standard output if none is named.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    follow: FollowFlags,
}

pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    if let Some(folder) = args.out.as_ref().filter(|_out| args.follow.is_on()) {
        return stix_folder::run(context, &args.common, &args.follow, folder).await;
    }
    let client = context.connect().await?;
    let filter = args.common.filter.filter(client.profile())?;
    args.common.filter.demand_operations(&client).await?;
    let mut export = client.export(filter, Patience::Limited(Duration::from_mins(1))).await?;
    let mut objects: Vec<Value> = Vec::new();
    while let Some(records) = export.next().await? {
        let made = records.iter().flat_map(stix::objects);
        objects.extend(made.map(|object| Value::Object(object.json)));
    }
    Ok(output::line(&json!({ "objects": objects }).to_string())?)
}
