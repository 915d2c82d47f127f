//! `watchfire publish --jsonl FILE|-`: one record a line, as it comes.
//!
//! A line is `{"body": {...}, "handling": {...}, "name": "..."}` in proto-JSON spelling, as `subscribe --format
//! jsonl` prints it; what else that prints is passed over. A line with a name is compared with what is there.

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
use watchfire::client::Reconciled;
use watchfire::client::Signer;
use watchfire::client::body_from_json;
use watchfire::client::handling_from_json;
use watchfire::client::reconcile;
use watchfire::model::handling::Handling;
use watchfire::model::limits;
use watchfire::model::names::MemberId;
use watchfire::model::names::RecordName;
use watchfire::profile::OwnKey;

use crate::context::Context;
use crate::crl::now;
use crate::failure::Failure;
use crate::output;
use crate::publish;
use crate::publish::Tally;

/// Bytes of one line: a record of full size, in base64 and as JSON.
const LINE_BYTES_MAX: u64 = 1024 * 1024;
/// Lines that are read ahead.
const LINES_AHEAD: usize = 2 * limits::BATCH_RECORDS_MAX;
/// Fields that `subscribe` prints and that are not the publisher's to say.
const PASSED_OVER: [&str; 10] = [
    "epoch",
    "sequence",
    "accept_time",
    "revision",
    "publisher",
    "kind",
    "header_digest",
    "verified",
    "in_doubt",
    "envelope",
];

/// A line that was read, with its number.
type Line = (u64, String);

/// A record that a line asks for.
struct Wanted {
    draft: Draft,
    is_named: bool,
}

pub(crate) async fn run(
    context: &Context,
    file: &Path,
    args: &publish::Args,
) -> anyhow::Result<()> {
    let profile = context.profile()?;
    let (member, fallback) = (profile.settings().member.clone(), args.handling.handling());
    let mut lines = read_lines(file)?;
    let mut batch = Vec::new();
    if args.dry_run {
        let signer = Signer::of(&profile, OwnKey::Signing)?;
        let mut count = 0_usize;
        while lines.recv_many(&mut batch, limits::BATCH_RECORDS_MAX).await > 0 {
            for (number, line) in batch.drain(..).collect::<io::Result<Vec<Line>>>()? {
                let wanted =
                    parse(&line, &member, fallback.as_ref()).with_context(|| at(number))?;
                signer.sign(wanted.draft, now()).with_context(|| at(number))?;
                count += 1;
            }
        }
        return Ok(output::line(&format!("{count} records would be sent."))?);
    }
    let client = context.connect().await?;
    publish::send_waiting(&client).await?;
    let (mut tally, mut unchanged) = (Tally::default(), 0);
    while lines.recv_many(&mut batch, limits::BATCH_RECORDS_MAX).await > 0 {
        let mut wanted = Vec::with_capacity(batch.len());
        for (number, line) in batch.drain(..).collect::<io::Result<Vec<Line>>>()? {
            let one = parse(&line, &member, fallback.as_ref()).with_context(|| at(number))?;
            // Said twice in one batch: the second is compared with what the first leaves behind.
            if one.is_named
                && wanted
                    .iter()
                    .any(|(_, earlier): &(u64, Wanted)| earlier.draft.name == one.draft.name)
            {
                let earlier = std::mem::take(&mut wanted);
                unchanged += send(&client, earlier, args.receipts, &mut tally).await?;
            }
            wanted.push((number, one));
        }
        unchanged += send(&client, wanted, args.receipts, &mut tally).await?;
    }
    let summary = format!("{} records are durable, {unchanged} were there already.", tally.taken);
    if args.receipts {
        output::note(&summary);
    } else {
        output::line(&summary)?;
    }
    tally.demand_none_refused()
}

fn at(number: u64) -> String {
    format!("line {number}")
}

/// Publishes what is new or changed; says how many records were there already, or were withdrawn.
async fn send(
    client: &Client,
    wanted: Vec<(u64, Wanted)>,
    receipts: bool,
    tally: &mut Tally,
) -> anyhow::Result<usize> {
    let named: Vec<RecordName> = wanted
        .iter()
        .filter(|(_, one)| one.is_named)
        .map(|(_, one)| one.draft.name.clone())
        .collect();
    let current = client.current_each(&named).await?;
    let key = client.signer()?;
    let mut envelopes = Vec::with_capacity(wanted.len());
    let mut lines = Vec::with_capacity(wanted.len());
    let mut passed_over = 0;
    for (number, one) in wanted {
        let there = current.get(&one.draft.name);
        match reconcile(one.draft, there) {
            Reconciled::New(draft) | Reconciled::Changed(draft) => {
                let envelope = key.sign(draft, client.now());
                envelopes.push(envelope.with_context(|| at(number))?);
                lines.push(number);
            }
            Reconciled::Unchanged(_) => passed_over += 1,
            Reconciled::Withdrawn(name) => {
                output::note(&format!(
                    "{}: {name} was withdrawn and is not brought back",
                    at(number)
                ));
                passed_over += 1;
            }
        }
    }
    let outcomes = client.publish(envelopes).await?;
    tally.add(&outcomes);
    for (line, outcome) in lines.into_iter().zip(&outcomes).filter(|_each| receipts) {
        output::line(&publish::outcome_json(outcome, line).to_string())?;
    }
    Ok(passed_over)
}

/// Reads lines on a thread of their own, so that what has come is sent while more is awaited.
fn read_lines(file: &Path) -> anyhow::Result<mpsc::Receiver<io::Result<Line>>> {
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
            let mut text = String::new();
            let read = reader.by_ref().take(LINE_BYTES_MAX).read_line(&mut text);
            let line = match read {
                Ok(0) => return,
                Ok(_)
                    if !text.ends_with('\n')
                        && u64::try_from(text.len()).unwrap_or(0) >= LINE_BYTES_MAX =>
                {
                    let why = format!("line {number} is longer than {LINE_BYTES_MAX} bytes");
                    Err(io::Error::new(io::ErrorKind::InvalidData, why))
                }
                Ok(_) if text.trim().is_empty() => continue,
                Ok(_) => Ok((number, text)),
                Err(error) => Err(error),
            };
            let over = line.is_err();
            if sender.blocking_send(line).is_err() || over {
                return;
            }
        }
    });
    Ok(receiver)
}

fn parse(line: &str, member: &MemberId, fallback: Option<&Handling>) -> anyhow::Result<Wanted> {
    let usage = |why: String| Failure::Usage(why);
    let value: Value = serde_json::from_str(line).map_err(|error| usage(error.to_string()))?;
    let Value::Object(mut fields) = value else {
        return Err(usage("it is not an object".to_owned()).into());
    };
    for field in PASSED_OVER {
        fields.remove(field);
    }
    let body = fields.remove("body").ok_or_else(|| usage("it has no body".to_owned()))?;
    let handling = match fields.remove("handling") {
        Some(value) => handling_from_json(value).map_err(ClientError::Invalid)?,
        None => fallback
            .cloned()
            .ok_or_else(|| usage("it has no handling, and there is no --tlp".to_owned()))?,
    };
    let name = fields.remove("name");
    if let Some(unknown) = fields.keys().next() {
        return Err(usage(format!("the field {} is not known", output::clean(unknown))).into());
    }
    let is_named = name.is_some();
    let name = match name {
        Some(Value::String(name)) => name
            .parse()
            .map_err(|error: watchfire::model::names::InvalidName| usage(error.to_string()))?,
        Some(_) => return Err(usage("the name is not a text".to_owned()).into()),
        None => RecordName { member: member.clone(), record: Uuid::now_v7() },
    };
    if name.member != *member {
        return Err(usage(format!("{name} is another member's record")).into());
    }
    let content = body_from_json(body).map_err(ClientError::Invalid)?;
    Ok(Wanted { draft: Draft { name, previous: None, handling, content }, is_named })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"sequence":7,"body":{"indicator":{"observable":{"kind":"OBSERVABLE_KIND_DOMAIN","value":"example.com"}}},"handling":{"tlp":"TLP_GREEN","audiences":["audiences/companies"]}}"#;

    #[track_caller]
    fn check_refused(line: &str, expected: &str) {
        let error = parse(line, &"acme-video".parse().unwrap(), None).err().unwrap();
        assert!(format!("{error:#}").contains(expected), "{error:#}");
    }

    #[test]
    fn a_line_as_it_was_printed_is_a_record() {
        let wanted = parse(LINE, &"acme-video".parse().unwrap(), None).unwrap();
        assert!(!wanted.is_named);
        assert_eq!(wanted.draft.handling.reach.audiences.len(), 1);
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
                r#""handling":{"tlp":"TLP_GREEN","audiences":["audiences/companies"]}"#,
                r#""revision":1"#,
            ),
            "--tlp",
        );
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
}
