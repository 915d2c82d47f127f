//! `watchfire audience create|add|remove|list`: groups of members of one's own.

use watchfire::client::Client;
use watchfire::client::KeeperChange;
use watchfire::client::ListedAudience;
use watchfire::client::Receipt;
use watchfire::client::draw_audience;
use watchfire::model::names::Audience;
use watchfire::model::names::MemberId;

use crate::context::Context;
use crate::handling_flags::audience;
use crate::handling_flags::member;
use crate::output;
use crate::publish::send_waiting;
use crate::table;

const EXAMPLES: &str = "Examples:
  watchfire audience create --title 'Election desk' birch-social cedar-microblog
  watchfire audience add audiences/k3v9q0z8m1x7c5b2n4d6f8g0h2 harbour-liaison
  watchfire publish --kind domain --value 'news[.]example' --tlp amber --audience k3v9q0z8m1x7c5b2n4d6f8g0h2";

#[derive(Debug, clap::Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Command {
    /// Make an audience; its handle is drawn at random, and you keep it and are in it.
    Create {
        /// A name for people.
        #[arg(long, default_value = "", hide_default_value = true)]
        title: String,
        /// Who is in it besides you.
        #[arg(value_name = "MEMBER", value_parser = member)]
        members: Vec<MemberId>,
    },
    /// Add members to an audience that you keep. They see what was addressed to it before.
    Add(Change),
    /// Remove members from an audience that you keep. They see nothing more that is addressed to it.
    Remove(Change),
    /// List the audiences that you are in; as the operator, all.
    List,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Change {
    /// The audience.
    #[arg(value_parser = audience)]
    audience: Audience,
    /// The members.
    #[arg(value_name = "MEMBER", required = true, value_parser = member)]
    members: Vec<MemberId>,
}

pub(crate) async fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let client = context.connect().await?;
    match command {
        Command::Create { title, members } => {
            send_waiting(&client).await?;
            let audience = draw_audience()?;
            let change = KeeperChange::Create { title, members };
            let receipt = client.change_audience(&audience, change).await?;
            tell(&audience, "is there", &receipt)
        }
        Command::Add(Change { audience, members }) => {
            change(&client, &audience, KeeperChange::Add(members)).await
        }
        Command::Remove(Change { audience, members }) => {
            change(&client, &audience, KeeperChange::Remove(members)).await
        }
        Command::List => list(&client.audiences().await?),
    }
}

async fn change(client: &Client, audience: &Audience, change: KeeperChange) -> anyhow::Result<()> {
    send_waiting(client).await?;
    let receipt = client.change_audience(audience, change).await?;
    tell(audience, "is changed", &receipt)
}

fn tell(audience: &Audience, how: &str, receipt: &Receipt) -> anyhow::Result<()> {
    let place = receipt.sequence;
    Ok(output::line(&format!("{} {how} from sequence {place} on.", audience.name()))?)
}

fn list(audiences: &[ListedAudience]) -> anyhow::Result<()> {
    let mut table = table::plain(&["AUDIENCE", "TITLE", "KEEPER", "CHANGED", "MEMBERS"]);
    for listed in audiences {
        let members: Vec<&str> = listed.members.iter().map(MemberId::as_str).collect();
        table.add_row([
            listed.audience.to_string(),
            output::clean(&listed.title),
            listed.keeper.to_string(),
            listed.changed_sequence.to_string(),
            members.join(" "),
        ]);
    }
    Ok(output::line(&table.to_string())?)
}
