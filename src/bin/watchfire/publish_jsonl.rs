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
use serde_json::Value;
use tokio::sync::mpsc;
use uuid::Uuid;
use watchfire::client::Client;
use watchfire::client::ClientError;
use watchfire::client::Draft;
use watchfire::client::Drafter;
use watchfire::client::Outcome;
use watchfire::client::Reconciled;
use watchfire::client::Refused;
use watchfire::client::Signer;
use watchfire::client::Wish;
use watchfire::client::body_from_json;
use watchfire::client::handling_from_json;
use watchfire::client::reconcile;
use watchfire::client::unaddressed;
use watchfire::model::handling::Handling;
use watchfire::model::handling::Reach;
use watchfire::model::limits;
use watchfire::model::names::InvalidName;
use watchfire::model::names::MemberId;
use watchfire::model::names::RecordName;
use watchfire::model::reason::Reason;
use watchfire::profile::OwnKey;
use watchfire::profile::Profile;
use watchfire::wire::pb;

use crate::context::Context;
use crate::crl::now;
use crate::failure::Failure;
use crate::heads;
use crate::output;
use crate::publish;
use crate::publish::Tally;

/// What a line is told that nothing says how to handle.
const UNHANDLED: &str = "it has no handling, and there is no --tlp";
/// Bytes of one line: a record of full size, in base64 and as JSON.
const LINE_BYTES_MAX: u64 = 1024 * 1024;
/// Lines that are read ahead.
const LINES_AHEAD: usize = 2 * limits::BATCH_RECORDS_MAX;
/// Fields that `subscribe` prints and that are not the publisher's to say.
const PASSED_OVER: [&str; 15] = [
    "epoch",
    "sequence",
    "accept_time",
    "revision",
    "publisher",
    "kind",
    "erased",
    "expires",
    "expired",
    "overlay",
    "header_digest",
    "verified",
    "in_doubt",
    "unconfirmed",
    "envelope",
];

/// A line that was read, with its number.
type Line = (u64, String);

/// A record that a line asks for.
#[derive(Clone)]
struct Wanted {
    name: Option<RecordName>,
    content: pb::body::Content,
    /// Who may read it, where the line says so.
    handling: Option<Handling>,
}

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
        return dry_run(&profile, lines, flags.handling.handling().as_ref()).await;
    }
    let client = context.connect().await?;
    publish::send_waiting(&client).await?;
    let (wish, receipts) = (flags.handling.wish(), flags.how.receipts);
    let mut sender =
        Sender { client, wish, receipts, tally: Tally::default(), unchanged: 0, unread: 0 };
    let mut is_empty = true;
    while lines.recv_many(&mut batch, limits::BATCH_RECORDS_MAX).await > 0 {
        is_empty = false;
        let mut wanted: Vec<(u64, Wanted)> = Vec::with_capacity(batch.len());
        for (number, line) in batch.drain(..).collect::<anyhow::Result<Vec<Line>>>()? {
            let one = parse(&line, &member).with_context(|| at(number))?;
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
    let Sender { tally, unchanged, unread, .. } = sender;
    if is_empty {
        output::note("warning: there was not one line to read");
    }
    if unread > 0 {
        output::note(&format!(
            "warning: nobody else may read {unread} of them: they name no readers"
        ));
    }
    let summary = format!("{} records are durable, {unchanged} were there already.", tally.taken);
    if receipts {
        output::note(&summary);
    } else {
        output::line(&summary)?;
    }
    tally.demand_none_refused()
}

/// Reads and checks everything. What follows from records that are spoken about only the hub could tell.
async fn dry_run(
    profile: &Profile,
    mut lines: mpsc::Receiver<anyhow::Result<Line>>,
    fallback: Option<&Handling>,
) -> anyhow::Result<()> {
    let signer = Signer::of(profile, OwnKey::Signing)?;
    let mut count = 0_usize;
    while let Some(line) = lines.recv().await {
        let (number, line) = line?;
        let Wanted { name, content, handling } =
            parse(&line, signer.member()).with_context(|| at(number))?;
        let handling = handling.or_else(|| fallback.cloned());
        if handling.is_none() && is_asset(&content) {
            let error = Failure::Usage(UNHANDLED.to_owned());
            return Err(anyhow::Error::from(error).context(at(number)));
        }
        let name = name.unwrap_or_else(|| new_name(signer.member()));
        let handling = handling.unwrap_or_else(unaddressed);
        let draft = Draft { name, previous: None, handling, content };
        signer.sign(draft, now()).with_context(|| at(number))?;
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
}

impl Sender {
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
            match reconcile(draft, there) {
                Reconciled::New(draft) | Reconciled::Changed(draft) => {
                    let is_unread = draft.handling.reach == Reach::default();
                    self.unread += usize::from(is_unread && is_asset(&draft.content));
                    let envelope = key.sign(draft, self.client.now());
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
        let Wanted { name, content, handling } = one.clone();
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

fn parse(line: &str, member: &MemberId) -> anyhow::Result<Wanted> {
    let usage = |why: String| Failure::Usage(why);
    let value: Value = serde_json::from_str(line).map_err(|error| usage(error.to_string()))?;
    let Value::Object(mut fields) = value else {
        return Err(usage("it is not an object".to_owned()).into());
    };
    for field in PASSED_OVER {
        fields.remove(field);
    }
    let body = fields.remove("body").ok_or_else(|| usage("it has no body".to_owned()))?;
    let handling = fields.remove("handling").map(handling_from_json).transpose();
    let handling = handling.map_err(ClientError::Invalid)?;
    let name = fields.remove("name");
    if let Some(unknown) = fields.keys().next() {
        return Err(usage(format!("the field {} is not known", output::clean(unknown))).into());
    }
    let name: Option<RecordName> = match name {
        Some(Value::String(name)) => {
            Some(name.parse().map_err(|error: InvalidName| usage(error.to_string()))?)
        }
        Some(_) => return Err(usage("the name is not a text".to_owned()).into()),
        None => None,
    };
    if let Some(name) = name.as_ref().filter(|name| name.member != *member) {
        return Err(usage(format!("{name} is another member's record")).into());
    }
    let content = body_from_json(body).map_err(ClientError::Invalid)?;
    Ok(Wanted { name, content, handling })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"sequence":7,"body":{"indicator":{"observable":{"kind":"OBSERVABLE_KIND_DOMAIN","value":"example.com"}}},"handling":{"tlp":"TLP_GREEN","audiences":["audiences/companies"]}}"#;

    #[track_caller]
    fn check_refused(line: &str, expected: &str) {
        let error = parse(line, &"acme-video".parse().unwrap()).err().unwrap();
        assert!(format!("{error:#}").contains(expected), "{error:#}");
    }

    #[test]
    fn a_line_as_it_was_printed_is_a_record() {
        let wanted = parse(LINE, &"acme-video".parse().unwrap()).unwrap();
        assert_eq!(wanted.name, None);
        assert_eq!(wanted.handling.unwrap().reach.audiences.len(), 1);
        let bare = LINE
            .replace(r#","handling":{"tlp":"TLP_GREEN","audiences":["audiences/companies"]}"#, "");
        assert_ne!(bare, LINE);
        assert_eq!(parse(&bare, &"acme-video".parse().unwrap()).unwrap().handling, None);
    }

    #[test]
    fn a_line_that_is_no_record_says_why() {
        check_refused("{", "EOF");
        check_refused("[]", "not an object");
        check_refused("{}", "no body");
        check_refused(&LINE.replace("TLP_GREEN", "TLP_BLUE"), "TLP_BLUE");
        check_refused(&LINE.replace("sequence", "colour"), "colour");
        check_refused(
            &LINE.replace(
                r#""sequence":7"#,
                r#""name":"members/bravo-net/records/01890a5d-ac96-774b-bcce-b302099a8057""#,
            ),
            "another member",
        );
    }

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
