//! What is said about records: the flags that every such command has, and how it is published.

use watchfire::client::Client;
use watchfire::client::Wish;
use watchfire::model::handling::Reach;
use watchfire::model::names::Audience;
use watchfire::model::names::MemberId;
use watchfire::model::names::RecordName;
use watchfire::wire::pb;

use crate::context::Context;
use crate::failure::Failure;
use crate::handling_flags::HandlingFlags;
use crate::output;
use crate::publish;
use crate::publish::send_waiting;

/// Without flags, what is said about a record has its label and its readers, as far as one may address them.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct StatementFlags {
    #[command(flatten)]
    handling: HandlingFlags,
    /// Say it in place of what one of one's own records says: its next revision.
    #[arg(long, value_name = "RECORD")]
    amend: Option<RecordName>,
}

/// Publishes what is said.
pub(crate) async fn say(
    context: &Context,
    said: pb::body::Content,
    flags: &StatementFlags,
) -> anyhow::Result<()> {
    let client = context.connect().await?;
    send_waiting(&client).await?;
    let (mut drafter, wish) = (client.drafter(), flags.handling.wish());
    let draft = match &flags.amend {
        Some(of) => drafter.amendment(of, said, &wish).await?,
        None => drafter.draft(said, &wish).await?,
    };
    if matches!(draft.content, pb::body::Content::Inquiry(_))
        && draft.handling.reach == Reach::default()
    {
        let why = "nobody could read the question: name readers by --to, --audience or --recipient";
        return Err(Failure::Usage(why.to_owned()).into());
    }
    let readers = readers(&draft.handling.reach);
    let tlp = draft.handling.tlp;
    publish::taken(&publish::send(&client, draft).await?)?;
    output::note(&format!("{tlp}, for {readers}"));
    Ok(())
}

/// Publishes what has no handling of its own; its place is told in these words.
pub(crate) async fn announce(
    client: &Client,
    said: pb::body::Content,
    what: &str,
) -> anyhow::Result<()> {
    send_waiting(client).await?;
    let draft = client.drafter().draft(said, &Wish::default()).await?;
    let receipt = publish::send(client, draft).await?;
    publish::warn(&receipt);
    Ok(output::line(&format!("{what} at sequence {}.", receipt.sequence))?)
}

fn readers(reach: &Reach) -> String {
    let audiences = reach.audiences.iter().map(Audience::as_str);
    let readers: Vec<&str> =
        audiences.chain(reach.recipients.iter().map(MemberId::as_str)).collect();
    if readers.is_empty() { "nobody else".to_owned() } else { readers.join(", ") }
}
