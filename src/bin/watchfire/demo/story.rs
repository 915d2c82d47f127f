//! What members say to each other in the demonstration, by the real command line: a question and its answers, an asset
//! that is disputed, taken back and erased, the operation whole, and the pack for the meeting.

use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use watchfire::client::Client;
use watchfire::model::names::RecordName;
use watchfire::model::names::RevisionName;

use super::CATCH_UP_MAX;
use super::MICROBLOG;
use super::OBSERVER;
use super::POLL;
use super::SOCIAL;
use super::VIDEO;
use super::case::Case;
use super::case::Readers;
use super::steps;
use crate::own_hub::Hub;

/// Columns of what is shown; the ends of longer lines are names of records.
const COLUMNS_MAX: usize = 116;
/// The value that is asked about.
const ASKED: &str = "ballot-line[.]example";

/// A record that a command published.
pub(crate) struct Said {
    pub(crate) publisher: &'static str,
    pub(crate) readers: Readers,
    pub(crate) sequence: u64,
}

/// The story while it is told.
pub(crate) struct Story<'a> {
    hub: &'a Hub,
    /// Names of records, and what stands for them in what is shown.
    short: Vec<(String, &'static str)>,
    pub(crate) said: Vec<Said>,
}

impl<'a> Story<'a> {
    /// About the case.
    pub(crate) fn new(hub: &'a Hub, case: &Case) -> Self {
        let short = vec![
            (case.operation.to_string(), "OPERATION"),
            (case.mistake.to_string(), "ASSET"),
            (case.persona.to_string(), "PERSONA"),
        ];
        Self { hub, short, said: Vec::new() }
    }

    /// A company asks who else has seen a value; the others look, answer, and tell what they saw besides.
    pub(crate) async fn question(&mut self, case: &Case) -> anyhow::Result<()> {
        let ask = ["ask", "--value", ASKED, "Who else has seen it?", "--due", "3d"];
        let wide = ["--tlp", "amber", "--audience", "companies"];
        let asked = self.say(MICROBLOG, Readers::Companies, &[&ask[..], &wide].concat()).await?;
        let question = asked.split('@').next().unwrap_or_default().to_owned();
        self.short.push((question.clone(), "QUESTION"));
        let reply =
            ["reply", &question, "--result", "yes", "--text", "In posts of two pages, since May."];
        self.say(SOCIAL, Readers::Companies, &reply).await?;
        let reply = ["reply", &question, "--result", "no"];
        self.say(VIDEO, Readers::Companies, &reply).await?;
        let persona = case.persona.to_string();
        let sight = ["sight", &persona, "--count", "12", "--platform", "facebook"];
        self.say(SOCIAL, Readers::Companies, &sight).await?;
        Ok(())
    }

    /// An asset is disputed; its publisher takes it back, and the hub erases it.
    pub(crate) async fn mistake(&mut self, case: &Case, client: &Client) -> anyhow::Result<()> {
        let mistake = case.mistake.to_string();
        let dispute = ["opine", &mistake, "--stance", "disagree", "--reason", "false-positive"];
        let text = ["--text", "A hobbyist who talks about the weather."];
        self.say(MICROBLOG, Readers::Companies, &[&dispute[..], &text].concat()).await?;
        let recall = ["withdraw", &mistake, "--reason", "error", "--demand-deletion"];
        self.say(VIDEO, Readers::Companies, &recall).await?;
        for (member, answer) in [(SOCIAL, "deleted"), (MICROBLOG, "not-held")] {
            let acknowledge = ["acknowledge", &mistake, "--answer", answer];
            self.say(member, Readers::Only(VIDEO), &acknowledge).await?;
        }
        let notice = erased(client, &case.mistake).await?;
        let told = format!("The hub has erased the body; its own notice is at sequence {notice}.");
        Ok(steps::told(&told)?)
    }

    /// What is known of the operation, by whom.
    pub(crate) async fn whole(&self, case: &Case) -> anyhow::Result<()> {
        let operation = case.operation.to_string();
        self.run(VIDEO, &["show", &operation]).await.map(drop)
    }

    /// The pack for the meeting, for a company and for the observer.
    pub(crate) async fn briefings(&self, folder: &Path) -> anyhow::Result<()> {
        for member in [VIDEO, OBSERVER] {
            let page = folder.join(format!("{member}.html")).display().to_string();
            let text = folder.join(format!("{member}.md")).display().to_string();
            let write = ["briefing", "--since", "7d", "--recompute"];
            let files = ["--out", &page, "--markdown", &text];
            self.run(member, &[&write[..], &files].concat()).await?;
        }
        Ok(())
    }

    /// Runs a command that publishes one record; what it says.
    async fn say(
        &mut self,
        publisher: &'static str,
        readers: Readers,
        arguments: &[&str],
    ) -> anyhow::Result<String> {
        let told = self.run(publisher, arguments).await?;
        let place = told.rsplit("at sequence ").next().and_then(|rest| rest.split('.').next());
        let place = place.and_then(|place| place.trim().parse().ok());
        let Some(sequence) = place else { anyhow::bail!("no place in {told:?}") };
        self.said.push(Said { publisher, readers, sequence });
        Ok(told)
    }

    /// Runs a command of a member, and shows it with what it says.
    async fn run(&self, member: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let quoted: Vec<String> = arguments.iter().map(|argument| self.quoted(argument)).collect();
        steps::command(member, &format!("watchfire {}", quoted.join(" ")))?;
        let output = tokio::process::Command::new(std::env::current_exe()?)
            .arg("--profile")
            .arg(self.hub.profile(member))
            .args(["--address", self.hub.address()])
            .args(arguments)
            .output()
            .await?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        anyhow::ensure!(output.status.success(), "watchfire {}: {said}", quoted.join(" "));
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        // What is data is on standard output; of a command without any, what it tells.
        let shown = if told.is_empty() { &said } else { &told };
        let is_wide = shown.lines().any(|line| line.chars().count() > COLUMNS_MAX);
        steps::told(&if is_wide { cut(shown) } else { self.shortened(shown) })?;
        Ok(told)
    }

    fn shortened(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, short) in &self.short {
            text = text.replace(name, short);
        }
        text
    }

    /// An argument as a shell takes it.
    fn quoted(&self, argument: &str) -> String {
        let argument = self.shortened(argument);
        let plain =
            |character: char| character.is_ascii_alphanumeric() || "-_./@:".contains(character);
        if argument.chars().all(plain) { argument } else { format!("'{argument}'") }
    }
}

/// A wide table as it stands, without the ends of its lines.
fn cut(text: &str) -> String {
    let short = |line: &str| {
        let mut short: String = line.chars().take(COLUMNS_MAX).collect();
        if short.len() < line.len() {
            short.push('…');
        }
        short + "\n"
    };
    text.lines().map(short).collect()
}

/// Waits until the hub has erased a record that was taken back; the place of its notice.
async fn erased(client: &Client, record: &RecordName) -> anyhow::Result<u64> {
    let begun = Instant::now();
    let name = RevisionName { record: record.clone(), revision: None };
    loop {
        if let Some(notice) = client.get(&name).await?.entry.erased_by() {
            return Ok(notice);
        }
        let waited: Duration = begun.elapsed();
        anyhow::ensure!(waited < CATCH_UP_MAX, "the hub has not erased {record}");
        tokio::time::sleep(POLL).await;
    }
}
