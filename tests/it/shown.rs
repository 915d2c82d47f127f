//! What people see on a screen: harmless once, told whole, counted right, and never a bare nothing.

use std::process::Output;

use watchfire::model::names::RecordName;

use crate::august_2018::part;
use crate::august_2018::publish;
use crate::august_2018::words;
use crate::durable::json_lines;
use crate::recalls::erased;
use crate::world::World;
use crate::world::demand;
use crate::world::scratch;

const MEMBERS: &[(&str, &str)] = &[("acme-video", "company"), ("birch-social", "company")];
const TO_ALL: &str = "--tlp green --audience companies";

fn run(world: &World, member: &str, line: &str) -> Output {
    world.watchfire(member, &words(line))
}

fn acme(world: &World, line: &str) -> RecordName {
    publish(world, "acme-video", line, TO_ALL)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_is_made_harmless_once_on_every_path() {
    let world = World::with(MEMBERS).await;
    let voice = acme(&world, "publish --kind account --platform x --value '@example_voice'");
    acme(&world, "publish --value 'https://twitter.com/example_lantern'");
    acme(&world, "publish --kind email-address --value 'press[at]news[.]example'");
    acme(&world, &format!("link {voice} 'press@news.example' --type amplifies"));
    for line in [
        "list",
        "search example",
        "subscribe --until-head",
        "lookup 'https://twitter.com/example_lantern' 'press@news.example'",
        &format!("links {voice}"),
    ] {
        let shown = demand(&run(&world, "birch-social", line));
        assert!(shown.contains("[@]") || shown.contains("[://]"), "{line}: {shown}");
        assert!(!shown.contains("[[") && !shown.contains("]]"), "{line}: {shown}");
        for raw in ["@example", "@news", "://", "twitter.com", "news.example"] {
            let bare = shown.replace("[://]", "").replace("[@]", "");
            assert!(!bare.contains(raw), "{raw} of {line}: {shown}");
        }
    }
    world.finish();
}

/// An operation with a domain that `birch-social` disputes, a page, a count, and one that was taken back.
fn storm(world: &World) -> (RecordName, RecordName) {
    let storm = acme(
        world,
        "publish operation --title 'Storm' --technique \
         'online-operations-kill-chain/0.6.2 Hide origin [Evading detection]'",
    );
    let domain = acme(world, "publish --value daily.example --operation Storm");
    acme(world, "publish --kind page --platform facebook --value storm.daily --operation Storm");
    acme(
        world,
        "publish --count '58 account on google' --part '39 channel on youtube' --part \
         '19 account on google-plus' --operation Storm",
    );
    let gone = acme(world, "publish --value gone.example --operation Storm");
    demand(&run(world, "acme-video", &format!("withdraw {gone} --reason error")));
    let birch = |line: String| publish(world, "birch-social", &line, "");
    birch(format!(
        "opine {domain} --stance disagree --reason false-positive --text 'A hobby club of this town.'"
    ));
    birch(format!("sight {domain} --count 2"));
    (storm, domain)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_says_what_it_is_about_and_whether_that_still_stands() {
    let world = World::with(MEMBERS).await;
    let (storm, domain) = storm(&world);
    let show = || demand(&run(&world, "birch-social", &format!("show {storm}")));
    let shown = show();
    let dispute = |shown: &str| part(shown, "Disputed").join("\n");
    assert!(part(&shown, "Disputed").contains(&"[acme-video]".to_owned()), "whose: {shown}");
    let about = "disagree false-positive domain daily[.]example A hobby club of this town.";
    assert!(dispute(&shown).contains(about), "{shown}");
    assert!(part(&shown, "Sightings").join("").contains("domain daily[.]example"));
    let subjects = part(&shown, "What these are about");
    assert_eq!(subjects, [format!("domain daily[.]example {domain}")]);
    // A screen of 120 columns: both what is disputed and why.
    let row = shown.lines().find(|line| line.contains("A hobby club")).expect("the dispute");
    let seen: String = row.chars().take(120).collect();
    assert!(
        seen.contains("domain daily[.]example") && seen.contains("A hobby club of this town."),
        "{seen}"
    );
    let techniques = part(&shown, "Techniques, phase by phase").join("");
    let technique = "Evading detection online-operations-kill-chain/0.6.2 Hide origin acme-video 1";
    assert_eq!(techniques, technique);

    demand(&run(&world, "acme-video", &format!("withdraw {domain} --reason error")));
    let shown = show();
    let mark = "[acme-video]\nwithdrawn*";
    assert!(dispute(&shown).contains(mark), "{shown}");
    assert!(part(&shown, "What these are about").join("").contains("withdrawn at "), "{shown}");
    demand(&run(&world, "operator", &format!("takedown {domain} --reason legal")));
    erased(&world.client("birch-social").await, &domain).await;
    let shown = show();
    assert!(dispute(&shown).contains("[acme-video]\nwithdrawn*, erased"), "{shown}");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_count_of_an_operation_is_that_of_show() {
    let world = World::with(MEMBERS).await;
    let (storm, _domain) = storm(&world);
    let shown = demand(&run(&world, "birch-social", &format!("show {storm}")));
    assert_eq!(part(&shown, "Indicators that name it").len(), 2, "a domain and a page: {shown}");
    assert_eq!(part(&shown, "Totals, as each claims them").len(), 1);
    let line = format!("search --operation {storm} --body indicator --format jsonl");
    let lines = json_lines(&run(&world, "birch-social", &line));
    let is_total =
        |line: &&serde_json::Value| !line["body"]["indicator"]["observable"]["aggregate"].is_null();
    assert_eq!(lines.iter().filter(is_total).count(), 1);
    assert_eq!(lines.len(), 3, "neither what was taken back nor its withdrawal: {lines:?}");
    let table = demand(&run(&world, "birch-social", "search --body indicator --kind aggregate"));
    let count = "58 account (39 channel on youtube, 19 account on google-plus)";
    assert!(table.contains(count), "{table}");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_said_to_be_nothing() {
    let world = World::with(MEMBERS).await;
    for (line, expected) in [
        ("search nothing", "nothing matches"),
        ("list --kind domain", "nothing matches"),
        ("links nothing.example", "nothing is linked with it"),
        ("subscriptions", "there is none"),
        ("recalls", "there is none"),
        ("lookup nothing.example", "nothing[.]example: nothing is known"),
    ] {
        let output = run(&world, "birch-social", line);
        let shown = demand(&output);
        assert!(said(&output).lines().any(|said| said == expected), "{line}: {}", said(&output));
        assert!(shown.is_empty() || line.starts_with("links"), "{line}: {shown:?}");
    }
    // What is no value at all is an error, after the others were shown.
    acme(&world, "publish --value daily.example");
    let output = run(&world, "birch-social", "lookup 'no value' daily.example");
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("daily[.]example"));
    assert!(said(&output).contains("1 of the values could not be looked up"));
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn links_begin_at_an_operation_of_ones_own_by_its_title() {
    let world = World::with(MEMBERS).await;
    let (storm, _domain) = storm(&world);
    let shown = demand(&run(&world, "acme-video", "links Storm --steps 1"));
    assert!(shown.starts_with(&format!("operation Storm  {storm}\n")), "{shown}");
    let other = run(&world, "birch-social", "links Storm");
    assert_eq!(other.status.code(), Some(2));
    assert!(said(&other).contains("no title of an operation of yours"), "{}", said(&other));
    let account = run(&world, "acme-video", "links Storm --platform x");
    assert_eq!(account.status.code(), Some(2), "what is said to be a value is no title");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_and_who_took_it_back_is_told() {
    let world = World::with(MEMBERS).await;
    let (storm, domain) = storm(&world);
    let no_operation = run(&world, "birch-social", &format!("show {domain}"));
    assert_eq!(no_operation.status.code(), Some(3));
    assert!(said(&no_operation).contains("is no operation: it is of the kind indicator"));
    demand(&run(&world, "operator", &format!("takedown {domain} --reason legal")));
    let line = format!("withdraw {storm} --reason error --demand-deletion");
    demand(&run(&world, "acme-video", &line));
    let notice = erased(&world.client("birch-social").await, &storm).await;
    let gone = demand(&run(&world, "birch-social", &format!("show {storm}")));
    assert!(gone.starts_with("[erased]\n"), "{gone}");
    assert!(gone.contains(&format!("what it said is gone, see sequence {notice}")), "{gone}");
    assert!(gone.contains("withdrawn    at sequence"), "{gone}");
    let left = demand(&run(&world, "birch-social", &format!("list --operation {storm}")));
    assert!(left.contains("storm[.]daily"), "what names it is still found, as is said: {left}");

    let later = acme(&world, "publish --value later.example");
    let line = format!("withdraw {later} --reason privacy --demand-deletion --acknowledge-by 7d");
    demand(&run(&world, "acme-video", &line));
    let table = demand(&run(&world, "acme-video", "recalls"));
    let row = |record: &RecordName| {
        let id = record.record.to_string();
        let row = table.lines().find(|line| line.contains(&id)).unwrap_or_default();
        row.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(row(&domain).contains("operator takedown, legal"), "{table}");
    assert!(row(&later).contains("domain later[.]example"), "{table}");
    assert!(row(&later).contains("acme-video privacy delete by 20"), "{table}");
    let due = row(&later).split("delete by ").nth(1).map(|rest| rest.chars().take(20).collect());
    let due: String = due.unwrap_or_default();
    assert!(due.ends_with('Z') && !due.contains('.'), "to the second: {due:?} in {table}");
    let waiting = demand(&run(&world, "birch-social", "recalls --to-answer"));
    assert!(waiting.contains("domain later[.]example") && waiting.contains("BY"), "{waiting}");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_json_lines_is_no_evidence_against_anyone() {
    let world = World::with(MEMBERS).await;
    acme(&world, "publish --value daily.example");
    let saved = demand(&run(&world, "birch-social", "list --body indicator --format jsonl"));
    let place = scratch();
    let write = |name: &str, text: &str| {
        let path = place.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_str().expect("a path in UTF-8").to_owned()
    };
    let prose = write("prose.txt", &"not for the like of you\n".repeat(169));
    let good = write("good.jsonl", &saved);
    let torn = write("torn.jsonl", &format!("{}{saved}", "torn\n".repeat(30)));
    let forged = write("forged.jsonl", &saved.replace("daily", "daisy"));
    let verify = |files: &[&String]| {
        let arguments: Vec<&str> =
            std::iter::once("verify").chain(files.iter().map(|file| file.as_str())).collect();
        world.watchfire("birch-social", &arguments)
    };
    let output = verify(&[&prose, &good]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("no JSON lines"), "{}", said(&output));
    assert!(said(&output).lines().count() <= 2, "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("1 verified, 0 failed"));
    // Who damages some of a file, or all of one of two, does not get away with it.
    let output = verify(&[&torn]);
    assert_eq!(output.status.code(), Some(5), "{}", said(&output));
    assert!(said(&output).contains("and 20 more"), "{}", said(&output));
    for files in [&[&forged][..], &[&prose, &forged][..]] {
        assert_eq!(verify(files).status.code(), Some(5));
    }
    world.finish();
}
