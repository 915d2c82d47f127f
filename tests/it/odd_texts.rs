//! Texts that command a terminal, turn a line around, run in a spreadsheet or pass for something else (T-X1): 500 of them
//! published by the command, shown by every command, and exported. A screen shows printable characters alone; what
//! programs get is what was signed, to the last byte.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::process::Output;

use serde_json::Value;
use serde_json::json;
use watchfire::client::Client;
use watchfire::wire::pb;

use crate::durable::json_lines;
use crate::trials::Round;
use crate::world::World;
use crate::world::demand;
use crate::world::draft;
use crate::world::handling;
use crate::world::head;

const MEMBERS: &[(&str, &str)] = &[("acme-video", "company"), ("birch-social", "company")];
const TEXTS: u64 = 500;
/// Bytes that a description may have, and a name.
const LONG: usize = 4096;
const SHORT: usize = 256;
/// What no line of a screen begins with unless a member's text broke out of its own.
const IMITATED: &str = "IMITATED";

/// What texts are made of.
const PARTS: [&str; 44] = [
    "\u{0}",
    "\u{1}",
    "\u{7}",
    "\u{8}\u{8}\u{8}",
    "\t",
    "\r",
    "\n",
    "\r\nIMITATED line",
    "\nIMITATED",
    "\u{b}",
    "\u{c}",
    "\u{1b}[2J",
    "\u{1b}[31;1m",
    "\u{1b}]0;title\u{7}",
    "\u{1b}]52;c;ZXZpbA==\u{7}",
    "\u{1b}]8;;https://evil.example\u{1b}\\",
    "\u{1b}P0;1|17/ab\u{1b}\\",
    "\u{1b}c",
    "\u{9b}31m",
    "\u{9d}0;x\u{9c}",
    "\u{85}IMITATED",
    "\u{7f}",
    "\u{202e}gpj.exe",
    "\u{202a}\u{202c}",
    "\u{2066}a\u{2069}",
    "\u{200b}\u{200d}",
    "\u{2028}IMITATED",
    "\u{2029}",
    "\u{feff}",
    "\u{e0041}\u{e007f}",
    "\u{61c}\u{200f}",
    "=HYPERLINK(\"https://evil.example\")",
    "+1+cmd|'/C calc'!A0",
    "-2+3",
    "@SUM(A1:A9)",
    "\t=1",
    "\",=1,\"",
    "<script>alert(1)</script>",
    "{\"name\":\"x\"}",
    "%s%n%x",
    "$(reboot);`id`",
    "../../etc/passwd",
    "'; DROP TABLE records; --",
    "z\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}",
];
/// Harmless letters in between, of several scripts.
const LETTERS: [&str; 6] = ["news", "пример", "مثال", "例え", "é", " "];

/// A text of several parts; every so often as long as may be.
fn odd_text(round: &mut Round, bytes_max: usize) -> String {
    let pick = |round: &mut Round, from: &[&str]| {
        let place = round.below(u64::try_from(from.len()).expect("a number"));
        from[usize::try_from(place).expect("a place")].to_owned()
    };
    let count = if round.below(25) == 0 { 2000 } else { 1 + round.below(6) };
    let mut text = String::new();
    // The bare part at the beginning of a cell, a line or a file is the worst of all.
    for _part in 0..count {
        text.push_str(&pick(round, &PARTS));
        text.push_str(&pick(round, &LETTERS));
    }
    let fits = text.char_indices().map(|(at, one)| at + one.len_utf8());
    let end = fits.take_while(|end| *end <= bytes_max).last().expect("a character");
    text.truncate(end);
    text
}

/// What one record says, as its publisher wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wrote {
    value: String,
    display_name: String,
    description: String,
}

/// Whether a value may be published at all: our client judges it as the hub does.
fn is_taken(client: &Client, value: &str) -> bool {
    let signer = client.signer().expect("a key");
    let content = pb::body::Content::Indicator(pb::Indicator {
        observable: Some(pb::Observable {
            kind: pb::ObservableKind::Page.into(),
            platform: "facebook".to_owned(),
            value: value.to_owned(),
            ..pb::Observable::default()
        }),
        ..pb::Indicator::default()
    });
    signer.sign(draft(&signer, content, handling(&[], &[])), client.now()).is_ok()
}

/// 500 lines for `publish --jsonl`, by the names of their records.
fn lines(client: &Client) -> (BTreeMap<String, Wrote>, String) {
    let (mut wrote, mut lines, mut odd_values) = (BTreeMap::new(), String::new(), 0);
    for number in 0..TEXTS {
        let mut round = Round::of("odd_texts", number);
        let name = format!("members/acme-video/records/{}", uuid::Uuid::now_v7());
        let odd = format!("page{number}{}", odd_text(&mut round, SHORT));
        let plain = format!("host{number}.example");
        let is_odd = number % 2 == 0 && is_taken(client, &odd);
        odd_values += u64::from(is_odd);
        let said = Wrote {
            value: if is_odd { odd } else { plain },
            display_name: odd_text(&mut round, SHORT),
            description: odd_text(&mut round, LONG),
        };
        let (kind, platform) = if is_odd {
            ("OBSERVABLE_KIND_PAGE", "facebook")
        } else {
            ("OBSERVABLE_KIND_DOMAIN", "")
        };
        let observable = json!({
            "kind": kind, "platform": platform, "value": said.value, "display_name": said.display_name,
        });
        let indicator = json!({ "observable": observable, "description": said.description });
        let handling = json!({ "tlp": "TLP_GREEN", "audiences": ["audiences/companies"] });
        let line =
            json!({ "name": name, "body": { "indicator": indicator }, "handling": handling });
        writeln!(lines, "{line}").expect("a string takes everything");
        wrote.insert(name, said);
    }
    assert!(odd_values > TEXTS / 20, "{odd_values} values are odd themselves");
    (wrote, lines)
}

/// An operation with an odd title and notes, to be shown whole.
fn operation_lines(name: &str) -> String {
    let mut round = Round::of("odd_texts", TEXTS);
    let title = format!("Storm {}", odd_text(&mut round, SHORT - 6));
    let handling = json!({ "tlp": "TLP_GREEN", "audiences": ["audiences/companies"] });
    let operation =
        json!({ "operation": { "title": title, "description": odd_text(&mut round, LONG) } });
    let mut lines =
        format!("{}\n", json!({ "name": name, "body": operation, "handling": handling }));
    for _note in 0..20 {
        let note = json!({ "note": { "about": name, "text": odd_text(&mut round, LONG) } });
        writeln!(lines, "{}", json!({ "body": note })).expect("a string takes everything");
    }
    lines
}

/// What a terminal obeys or nobody sees. Said here by itself, and not by the code that cleans.
fn is_unprintable(character: char) -> bool {
    let number = u32::from(character);
    let is_control = number < 0x20 || (0x7f..0xa0).contains(&number);
    let turns = [0x61c, 0x200e, 0x200f].contains(&number)
        || (0x202a..=0x202e).contains(&number)
        || (0x2066..=0x2069).contains(&number);
    let unseen = [0x200b, 0x200d, 0x2028, 0x2029, 0xfeff].contains(&number)
        || (0xe0000..0xe1000).contains(&number);
    (is_control && character != '\n') || turns || unseen
}

/// What a command said on both of its streams is harmless; it said something.
#[track_caller]
fn check_screen(what: &str, output: &Output) -> String {
    let said = [output.stdout.clone(), output.stderr.clone()].concat();
    let said = String::from_utf8(said).expect("UTF-8");
    let found = said.chars().find(|character| is_unprintable(*character));
    assert_eq!(found, None, "{what}: {said:?}");
    let broken = said.lines().find(|line| line.trim_start().starts_with(IMITATED));
    assert_eq!(broken, None, "{what}");
    assert!(!said.is_empty(), "{what}");
    said
}

/// What lines of JSON hold of the records, which is all of them.
fn held(lines: &[Value]) -> BTreeMap<String, Wrote> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let indicators = lines.iter().filter(|line| line["kind"] == "indicator");
    indicators
        .map(|line| {
            let said = &line["body"]["indicator"];
            let observable = &said["observable"];
            let wrote = Wrote {
                value: text(&observable["value"]),
                display_name: text(&observable["display_name"]),
                description: text(&said["description"]),
            };
            (text(&line["name"]), wrote)
        })
        .collect()
}

/// Every cell of every list is harmless, and a description is the one that was written but for what is left out.
fn check_lists(folder: &std::path::Path, wrote: &BTreeMap<String, Wrote>) {
    let mut cells = 0;
    let mut comments = Vec::new();
    for file in fs::read_dir(folder).expect("a folder") {
        let bytes = fs::read(file.expect("a file").path()).expect("a list");
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(&bytes[..]);
        for row in reader.records() {
            let row = row.expect("a row");
            for cell in &row {
                cells += 1;
                assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell:?}");
                // Line breaks of every sort stay in a cell, and harm no spreadsheet.
                let breaks = ['\t', '\r', '\u{2028}', '\u{2029}'];
                let commands = |one: char| is_unprintable(one) && !breaks.contains(&one);
                assert!(!cell.contains(commands), "{cell:?}");
            }
            comments.extend(row.get(2).map(readable));
        }
    }
    assert!(cells > 500, "{cells} cells");
    let domains = wrote.values().filter(|said| said.value.starts_with("host"));
    let lost = domains.clone().filter(|said| !comments.contains(&readable(&said.description)));
    let (lost, all) = (lost.count(), domains.count());
    assert!(lost * 10 < all, "{lost} of {all} descriptions are not in the lists");
}

/// Letters and figures alone: what nobody can lose.
fn readable(text: &str) -> String {
    text.chars().filter(|one| one.is_alphanumeric() && !is_unprintable(*one)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_texts_reach_programs_as_they_are_and_no_terminal() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let storm = format!("members/acme-video/records/{}", uuid::Uuid::now_v7());
    let (wrote, lines) = lines(&acme);
    let file = world.data().join("odd.jsonl");
    fs::write(&file, lines + &operation_lines(&storm)).expect("a file");
    let path = file.to_str().expect("UTF-8");
    let published = world.watchfire("acme-video", &["publish", "--jsonl", path]);
    let said = check_screen("publish", &published);
    assert!(said.contains("521 records are durable"), "{said}");

    let some: Vec<(&String, &Wrote)> = wrote.iter().step_by(100).collect();
    let mut shown = vec![
        vec!["list"],
        vec!["subscribe", "--until-head"],
        vec!["show", &storm],
        vec!["search", "news"],
        vec!["search", "evil.example"],
    ];
    shown.extend(some.iter().map(|(name, _)| vec!["links", name.as_str()]));
    shown.extend(some.iter().map(|(name, _)| vec!["get", name.as_str()]));
    // What cannot be an argument of a program cannot be asked for either.
    let askable = some.iter().filter(|(_, said)| !said.value.contains('\0'));
    shown.extend(askable.map(|(_, said)| vec!["lookup", "--", said.value.as_str()]));
    for arguments in shown {
        check_screen(&format!("{arguments:?}"), &world.watchfire("birch-social", &arguments));
    }
    exported(&world, &wrote, path);
    world.finish();
}

/// Programs get what was written, and what was exported goes in again as the same records.
fn exported(world: &World, wrote: &BTreeMap<String, Wrote>, path: &str) {
    let replay = ["subscribe", "--until-head", "--format", "jsonl"];
    for arguments in [&replay[..], &["list", "--format", "jsonl"], &["export", "jsonl"]] {
        let output = world.watchfire("birch-social", arguments);
        assert!(held(&json_lines(&output)) == *wrote, "{arguments:?}: a text is another one");
        let raw = String::from_utf8_lossy(&output.stdout);
        assert!(!raw.contains(is_unprintable), "{arguments:?}");
    }
    let folder = world.data().join("lists");
    let out = folder.to_str().expect("UTF-8");
    let csv = ["export", "csv", "--layout", "flat", "--out", out];
    check_screen("export csv", &world.watchfire("birch-social", &csv));
    check_lists(&folder, wrote);
    let bundle = demand(&world.watchfire("birch-social", &["export", "stix"]));
    let bundle: Value = serde_json::from_str(&bundle).expect("a bundle");
    let mut texts = Vec::new();
    gather(&bundle, &mut texts);
    for said in wrote.values() {
        assert!(
            texts.iter().any(|text| text.contains(&said.description)),
            "{:?}",
            said.description
        );
    }
    let again = world.watchfire("acme-video", &["publish", "--jsonl", path]);
    // Notes without a name are new ones each time.
    let said = check_screen("publish again", &again);
    assert!(said.contains("20 records are durable, 501 were there already"), "{said}");
}

/// Every text of a document.
fn gather<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(items) => items.iter().for_each(|item| gather(item, texts)),
        Value::Object(fields) => fields.values().for_each(|item| gather(item, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_is_too_long_is_refused_and_shown_harmlessly() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let before = head(&acme).await;
    let file = world.data().join("long.jsonl");
    let path = file.to_str().expect("UTF-8");
    let handling = json!({ "tlp": "TLP_GREEN", "audiences": ["audiences/companies"] });
    let line = |value: &str, description: &str| {
        let observable = json!({ "kind": "OBSERVABLE_KIND_DOMAIN", "value": value });
        let indicator = json!({ "observable": observable, "description": description });
        json!({ "body": { "indicator": indicator }, "handling": handling }).to_string()
    };
    let evil = |bytes: usize| "\u{1b}[2J\u{202e}IMITATED".repeat(bytes / 8);
    let good = "one.example";
    for text in
        [line(good, &evil(65_536)), line(&evil(65_536), ""), line(good, &"x".repeat(LONG + 1))]
    {
        fs::write(&file, text).expect("a file");
        let output = world.watchfire("acme-video", &["publish", "--jsonl", path]);
        assert!(!output.status.success());
        check_screen("refused", &output);
        assert_eq!(head(&acme).await, before, "nothing was taken");
    }
    fs::write(&file, line(good, &"x".repeat(LONG))).expect("a file");
    demand(&world.watchfire("acme-video", &["publish", "--jsonl", path]));
    assert_eq!(head(&acme).await, before + 1, "as long as may be is taken");
    world.finish();
}
