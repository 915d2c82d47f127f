//! `watchfire publish --jsonl FILE|-`: one record a line, as it comes.
//!
//! A line is `{"body": {...}, "handling": {...}, "name": "..."}` in proto-JSON spelling, as `subscribe --format
//! jsonl` prints it; what else that prints is passed over. A line with a name is compared with what is there. What is
//! said about a record, without a handling, has the handling that follows from that record.

use std::fs::File;
use std::io;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use tokio::sync::mpsc;
use uuid::Uuid;
use watchfire::client::Client;
use watchfire::client::ClientError;
use watchfire::client::Draft;
use watchfire::client::Drafter;
use watchfire::client::Outcome;
use watchfire::client::Reconciled;
use watchfire::client::Refused;
use watchfire::client::Said;
use watchfire::client::Signer;
use watchfire::client::Wish;
use watchfire::client::reconcile_said;
use watchfire::client::unaddressed;
use watchfire::model::handling::Handling;
use watchfire::model::handling::Reach;
use watchfire::model::limits;
use watchfire::model::names::MemberId;
use watchfire::model::names::RecordName;
use watchfire::model::reason::Reason;
use watchfire::model::time::Timestamp;
use watchfire::profile::OwnKey;
use watchfire::profile::Profile;
use watchfire::wire::pb;

use crate::context::Context;
use crate::crl::now;
use crate::failure::Failure;
use crate::heads;
use crate::jsonl_line;
use crate::jsonl_line::Wanted;
use crate::output;
use crate::publish;
use crate::publish::Tally;

/// What a line is told that nothing says how to handle.
const UNHANDLED: &str = "it has no handling, and there is no --tlp";
/// Bytes of one line: a record of full size, in base64 and as JSON.
const LINE_BYTES_MAX: u64 = 1024 * 1024;
/// Lines that are read ahead.
const LINES_AHEAD: usize = 2 * limits::BATCH_RECORDS_MAX;
/// A line that was read, with its number.
type Line = (u64, String);

/// Records that are signed, each with its line.
#[derive(Default)]
struct Ready {
    envelopes: Vec<pb::Envelope>,
    lines: Vec<u64>,
}

/// A draft, or why the hub lets none be made.
enum Drafted {
    Draft(Box<Draft>),
    Refused(Box<Refused>),
}

pub(crate) async fn run(
    context: &Context,
    file: &Path,
    args: &publish::Args,
) -> anyhow::Result<()> {
    let profile = context.profile()?;
    let (member, flags) = (profile.settings().member.clone(), &args.indicator);
    let mut lines = read_lines(file)?;
    let mut batch = Vec::new();
    if flags.how.dry_run {
        return dry_run(&profile, lines, (flags.handling.handling().as_ref(), args.own)).await;
    }
    let client = context.connect().await?;
    publish::send_waiting(&client).await?;
    let (wish, receipts) = (flags.handling.wish(), flags.how.receipts);
    let mut sender = Sender {
        client,
        wish,
        receipts,
        tally: Tally::default(),
        unchanged: 0,
        unread: 0,
        not_taken: 0,
    };
    let mut is_empty = true;
    while lines.recv_many(&mut batch, limits::BATCH_RECORDS_MAX).await > 0 {
        is_empty = false;
        let mut wanted: Vec<(u64, Wanted)> = Vec::with_capacity(batch.len());
        for (number, line) in batch.drain(..).collect::<anyhow::Result<Vec<Line>>>()? {
            let one =
                match jsonl_line::read(&line, &member, args.own).with_context(|| at(number))? {
                    jsonl_line::Line::Wanted(one) => *one,
                    jsonl_line::Line::NotOwn(why) => {
                        sender.not_taken(number, &why);
                        continue;
                    }
                };
            // Said twice in one batch: the second is compared with what the first leaves behind.
            let is_again = |(_, earlier): &(u64, Wanted)| earlier.name == one.name;
            if one.name.is_some() && wanted.iter().any(is_again) {
                sender.send(std::mem::take(&mut wanted)).await?;
            }
            wanted.push((number, one));
        }
        sender.send(wanted).await?;
    }
    heads::put(&sender.client).await;
    if is_empty {
        output::note("warning: there was not one line to read");
    }
    sender.end()
}

/// Reads and checks everything. What follows from records that are spoken about only the hub could tell.
async fn dry_run(
    profile: &Profile,
    mut lines: mpsc::Receiver<anyhow::Result<Line>>,
    (fallback, own_alone): (Option<&Handling>, bool),
) -> anyhow::Result<()> {
    let signer = Signer::of(profile, OwnKey::Signing)?;
    let mut count = 0_usize;
    while let Some(line) = lines.recv().await {
        let (number, line) = line?;
        let read = jsonl_line::read(&line, signer.member(), own_alone);
        let one = match read.with_context(|| at(number))? {
            jsonl_line::Line::Wanted(one) => *one,
            jsonl_line::Line::NotOwn(why) => {
                output::note(&format!("{} is not taken: {why}", at(number)));
                continue;
            }
        };
        let Wanted { name, content, handling, said } = one;
        let handling = handling.or_else(|| fallback.cloned());
        if handling.is_none() && is_asset(&content) {
            let error = Failure::Usage(UNHANDLED.to_owned());
            return Err(anyhow::Error::from(error).context(at(number)));
        }
        let name = name.unwrap_or_else(|| new_name(signer.member()));
        let handling = handling.unwrap_or_else(unaddressed);
        let draft = Draft { name, previous: None, handling, content };
        sign(&signer, draft, said.as_ref(), now()).with_context(|| at(number))?;
        count += 1;
    }
    Ok(output::line(&format!("{count} records would be sent."))?)
}

/// Publishes what is new or changed, batch by batch.
struct Sender {
    client: Client,
    /// Who may read what says nothing about it.
    wish: Wish,
    /// Whether each outcome is printed.
    receipts: bool,
    tally: Tally,
    /// How many records were there already, or were withdrawn.
    unchanged: usize,
    /// How many assets and operations have no reader but their publisher.
    unread: usize,
    /// How many lines of an export are not this member's to say again.
    not_taken: usize,
}

impl Sender {
    /// Tells of a line that is passed over.
    fn not_taken(&mut self, number: u64, why: &str) {
        output::note(&format!("{} is not taken: {why}", at(number)));
        self.not_taken += 1;
    }

    /// Says what came of all lines.
    fn end(self) -> anyhow::Result<()> {
        let Self { tally, receipts, unchanged, unread, not_taken, .. } = self;
        if unread > 0 {
            output::note(&format!(
                "warning: nobody else may read {unread} of them: they name no readers"
            ));
        }
        if not_taken > 0 {
            output::note(&format!("{not_taken} lines were passed over."));
        }
        let summary =
            format!("{} records are durable, {unchanged} were there already.", tally.taken);
        if receipts {
            output::note(&summary);
        } else {
            output::line(&summary)?;
        }
        tally.demand_none_refused()
    }

    async fn send(&mut self, wanted: Vec<(u64, Wanted)>) -> anyhow::Result<()> {
        let named: Vec<RecordName> =
            wanted.iter().filter_map(|(_, one)| one.name.clone()).collect();
        let current = self.client.current_each(&named).await?;
        let key = self.client.signer()?;
        let mut drafter = self.client.drafter();
        let mut ready = Ready::default();
        for (number, one) in wanted {
            let mut outcome = self.draft(&mut drafter, &one).await.with_context(|| at(number))?;
            if matches!(outcome, Drafted::Refused(_)) && !ready.envelopes.is_empty() {
                // What it speaks about may be one of those that wait here.
                self.publish(std::mem::take(&mut ready)).await?;
                outcome = self.draft(&mut drafter, &one).await.with_context(|| at(number))?;
            }
            let draft = match outcome {
                Drafted::Draft(draft) => *draft,
                Drafted::Refused(refused) => {
                    self.count(&[number], &[Outcome::Refused(refused)])?;
                    continue;
                }
            };
            let there = current.get(&draft.name);
            let said = one.said.as_ref();
            match reconcile_said(draft, said, there) {
                Reconciled::New(draft) | Reconciled::Changed(draft) => {
                    let is_unread = draft.handling.reach == Reach::default();
                    self.unread += usize::from(is_unread && is_asset(&draft.content));
                    let envelope = sign(&key, draft, said, self.client.now());
                    ready.envelopes.push(envelope.with_context(|| at(number))?);
                    ready.lines.push(number);
                }
                Reconciled::Unchanged(_) => self.unchanged += 1,
                Reconciled::Withdrawn(name) => {
                    let told = "was withdrawn and is not brought back";
                    output::note(&format!("{}: {name} {told}", at(number)));
                    self.unchanged += 1;
                }
            }
        }
        self.publish(ready).await
    }

    async fn publish(&mut self, ready: Ready) -> anyhow::Result<()> {
        let Ready { envelopes, lines } = ready;
        let unfinished = match self.client.publish_watched(envelopes, &publish::waits).await {
            Ok(outcomes) => return self.count(&lines, &outcomes),
            Err(unfinished) => unfinished,
        };
        for (line, outcome) in lines.iter().zip(&unfinished.outcomes) {
            self.tell(*line, outcome.as_ref())?;
        }
        let last = lines.last().copied().unwrap_or_default();
        let rest = format!("No line after {last} was sent.");
        let tally = std::mem::take(&mut self.tally);
        Err(publish::stopped(&self.client, tally, &rest, unfinished))
    }

    /// One record that cannot be spoken about does not sink the others.
    async fn draft(&self, drafter: &mut Drafter, one: &Wanted) -> anyhow::Result<Drafted> {
        let Wanted { name, content, handling, said: _signed_later } = one.clone();
        let handling = match handling {
            Some(handling) => Ok(handling),
            None => drafter.handling(&content, &self.wish).await,
        };
        let handling = match handling {
            Ok(handling) => handling,
            Err(ClientError::Refused(refused)) if refused.is(Reason::RecordNotFound) => {
                return Ok(Drafted::Refused(refused));
            }
            Err(ClientError::Invalid(refusal)) if refusal.reason == Reason::TlpMissing => {
                return Err(Failure::Usage(UNHANDLED.to_owned()).into());
            }
            Err(error) => return Err(error.into()),
        };
        let name = name.unwrap_or_else(|| new_name(&self.client.profile().settings().member));
        Ok(Drafted::Draft(Box::new(Draft { name, previous: None, handling, content })))
    }

    fn count(&mut self, lines: &[u64], outcomes: &[Outcome]) -> anyhow::Result<()> {
        self.tally.add(outcomes);
        lines.iter().zip(outcomes).try_for_each(|(line, outcome)| self.tell(*line, Some(outcome)))
    }

    /// Prints what became of a line, if that was asked for and is certain.
    fn tell(&self, line: u64, outcome: Option<&Outcome>) -> anyhow::Result<()> {
        if let Some(outcome) = outcome.filter(|_certain| self.receipts) {
            output::line(&publish::outcome_json(outcome, line).to_string())?;
        }
        Ok(())
    }
}

/// Signs what the line says, as it was signed elsewhere if that is known.
fn sign(
    key: &Signer,
    draft: Draft,
    said: Option<&Said>,
    now: Timestamp,
) -> Result<pb::Envelope, ClientError> {
    match said {
        Some(said) => key.sign_said(draft, said, now),
        None => key.sign(draft, now),
    }
}

const fn is_asset(content: &pb::body::Content) -> bool {
    matches!(content, pb::body::Content::Indicator(_) | pb::body::Content::Operation(_))
}

fn new_name(member: &MemberId) -> RecordName {
    RecordName { member: member.clone(), record: Uuid::now_v7() }
}

fn at(number: u64) -> String {
    format!("line {number}")
}

/// Reads lines on a thread of their own, so that what has come is sent while more is awaited.
fn read_lines(file: &Path) -> anyhow::Result<mpsc::Receiver<anyhow::Result<Line>>> {
    let mut reader: BufReader<Box<dyn io::Read + Send>> = if file == Path::new("-") {
        BufReader::new(Box::new(io::stdin()))
    } else {
        let opened =
            File::open(file).with_context(|| format!("{} cannot be read", file.display()))?;
        BufReader::new(Box::new(opened))
    };
    let (sender, receiver) = mpsc::channel(LINES_AHEAD);
    std::thread::spawn(move || {
        for number in 1_u64.. {
            let mut bytes = Vec::new();
            let read = reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes);
            let line = match read {
                Ok(0) => return,
                Ok(_) => text(number, bytes),
                Err(error) => Err(anyhow::Error::from(error).context(at(number))),
            };
            if line.as_ref().is_ok_and(|(_number, text)| text.trim().is_empty()) {
                continue;
            }
            let over = line.is_err();
            if sender.blocking_send(line).is_err() || over {
                return;
            }
        }
    });
    Ok(receiver)
}

/// A line that was read, if it is whole and a text.
fn text(number: u64, bytes: Vec<u8>) -> anyhow::Result<Line> {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if length >= LINE_BYTES_MAX && !bytes.ends_with(b"\n") {
        let why = format!("line {number} is longer than {LINE_BYTES_MAX} bytes");
        return Err(Failure::Usage(why).into());
    }
    let text = String::from_utf8(bytes)
        .map_err(|_other| Failure::Usage(format!("line {number} is not UTF-8")))?;
    Ok((number, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_read_as_they_come_and_empty_ones_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.jsonl");
        std::fs::write(&path, "one\n\n  \ntwo").unwrap();
        let mut lines = read_lines(&path).unwrap();
        let mut read = Vec::new();
        while let Some(next) = lines.recv().await {
            read.push(next.unwrap());
        }
        assert_eq!(read, [(1, "one\n".to_owned()), (4, "two".to_owned())]);
    }

    #[track_caller]
    fn check_unreadable(bytes: Vec<u8>, expected: &str) {
        let error = text(7, bytes).unwrap_err();
        assert!(
            matches!(error.downcast_ref(), Some(Failure::Usage(why)) if why.contains(expected))
        );
    }

    #[test]
    fn a_line_that_cannot_be_read_is_bad_input_and_named() {
        check_unreadable(vec![b'"', 0xff, b'\n'], "line 7 is not UTF-8");
        let full = usize::try_from(LINE_BYTES_MAX).unwrap();
        check_unreadable(vec![b'x'; full], "line 7 is longer");
        let mut fits = vec![b'x'; full];
        fits[full - 1] = b'\n';
        assert_eq!(text(7, fits).unwrap().0, 7);
    }
}
