//! What the operator has to run a hub by: who did what, health, traces, loading again, and what an alarm means.

mod alarms;
mod canaries;
mod chain;
mod ends;
mod files;
mod health;
mod reload;
mod rights;
mod traces;
mod who;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use watchfire::client::Client;
use watchfire::wire::pb;

use crate::world::World;
use crate::world::draft;
use crate::world::handling;
use crate::world::sign;
use crate::world::until;
use crate::world::watchfired;

/// The audit log of a world's hub.
fn audit_file(world: &World) -> PathBuf {
    world.data().join("audit.jsonl")
}

/// Its lines so far that are whole.
fn audit_lines(world: &World) -> Vec<Value> {
    let text = std::fs::read_to_string(audit_file(world)).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _cut)| whole);
    whole.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// Waits for a line of which this is true.
async fn line_with(world: &World, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    until(what, || async { audit_lines(world).into_iter().find(&is_it) }).await
}

/// Waits for a line that says this was done, refused or the like.
async fn line_of(world: &World, what: &str, outcome: &str) -> Value {
    line_with(world, &format!("{what} {outcome}"), |line| {
        line["what"] == what && line["outcome"] == outcome
    })
    .await
}

/// How often each word was told, by lines of their own and by counts.
fn told(lines: &[Value], member: &str) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for line in lines.iter().filter(|line| line["member"] == member) {
        if let Some(counts) = line["counts"].as_object() {
            for (word, count) in counts {
                *all.entry(word.clone()).or_default() += count.as_u64().expect("a number");
            }
        } else {
            let what = line["what"].as_str().expect("a word");
            let word = match line["reason"].as_str() {
                Some(reason) => format!("{what} {reason}"),
                None => what.to_owned(),
            };
            *all.entry(word).or_default() += 1;
        }
    }
    all
}

/// `watchfired audit-log verify`, and whether it holds.
fn verified(files: &[PathBuf]) -> (bool, String) {
    let mut arguments = vec!["audit-log", "verify"];
    arguments.extend(files.iter().map(|file| file.to_str().expect("a path in UTF-8")));
    let output = watchfired(&arguments);
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).expect("text"))
}

/// Publishes one record that names nobody, as changes must; the reason for which it was refused.
async fn refusal(client: &Client, content: pb::body::Content) -> Option<String> {
    let signer = client.signer().expect("a key");
    let envelope = sign(client, draft(&signer, content, handling(&[], &[])));
    let request = pb::PublishRequest { envelopes: vec![envelope], ..pb::PublishRequest::default() };
    let answer = client.exchange_service().publish(request).await.expect("an answer").into_inner();
    let outcome = answer.results.into_iter().next().and_then(|result| result.outcome);
    match outcome.expect("an outcome") {
        pb::publish_result::Outcome::Receipt(_) => None,
        pb::publish_result::Outcome::Refusal(refusal) => Some(refusal.reason),
    }
}

fn roster_change(member: &str, change: pb::roster_change::Change) -> pb::body::Content {
    pb::body::Content::RosterChange(pb::RosterChange {
        member: format!("members/{member}"),
        change: Some(change),
    })
}
