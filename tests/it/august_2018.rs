//! The public case of August 2018, as the press reported it, through the real command line: what several companies said
//! of their own platforms, with counts that do not agree, stands side by side to the last figure.

use serde_json::Value;
use watchfire::model::names::RecordName;

use crate::world::World;
use crate::world::demand;

const MEMBERS: &[(&str, &str)] = &[
    ("acme-video", "company"),
    ("birch-social", "company"),
    ("cedar-micro", "company"),
    ("delta-press", "company"),
];
const TO_ALL: &str = "--tlp clear --audience companies";

/// What each member published, by name.
struct Case {
    operation: RecordName,
    /// What `delta-press` holds to be an operation of its own.
    second: RecordName,
    /// The count that `cedar-micro` may not see.
    other_count: RecordName,
}

/// The words of a line; single quotes hold some together.
pub(crate) fn words(line: &str) -> Vec<&str> {
    let parts = line.split('\'').enumerate();
    let words = parts.flat_map(|(at, part)| {
        let quoted = at % 2 == 1;
        let alone = quoted.then_some(part).into_iter();
        let split = (!quoted).then(|| part.split_whitespace()).into_iter().flatten();
        alone.chain(split)
    });
    words.collect()
}

/// Runs a command that publishes a record for these readers.
#[track_caller]
pub(crate) fn publish(world: &World, member: &str, line: &str, readers: &str) -> RecordName {
    let arguments = [words(line), words(readers)].concat();
    let said = demand(&world.watchfire(member, &arguments));
    let name = said.split(['@', ' ']).next().expect("a name");
    name.parse().unwrap_or_else(|_| panic!("no record in {said:?}"))
}

fn video_company(world: &World) -> RecordName {
    let acme = |line: &str| publish(world, "acme-video", line, TO_ALL);
    let operation = acme(
        "publish operation --title 'Daily Lantern' --alias 'Lantern network' --status \
         disrupted --origin XX --target US --target GB --language en --language es \
         --narrative 'News of https://lantern.example for readers abroad.' \
         --first-activity 2017-01-01 --last-activity 2018-08-23 --technique \
         'disarm/T0013 Create inauthentic websites [Establish assets]'",
    );
    let name = operation.to_string();
    acme(&format!(
        "publish --count '58 account on google' --part '39 channel on youtube' --part \
         '13 account on google-plus' --part '6 blog on blogger' --metric \
         'views 13466 in US on youtube as-of 2018-08-23' --operation {name}"
    ));
    acme(&format!(
        "attribute {name} --actor 'a state broadcaster' --actor-type state-media \
         --confidence 90 --basis technical --rationale \
         'Accounts were registered by it.'"
    ));
    acme(&format!(
        "act {name} --action removed --count '39 channel on youtube' --count \
         '13 account on google-plus' --count '6 blog on blogger' --time 2018-08-23"
    ));
    operation
}

fn social_company(world: &World, operation: &RecordName) {
    let name = operation.to_string();
    let birch = |line: &str| publish(world, "birch-social", line, TO_ALL);
    birch(&format!(
        "publish --count '652 account on facebook' --description \
         'Pages, groups and accounts.' --metric \
         'accounts-reached 126000000 on facebook' --metric \
         'accounts-reached 20000000 on instagram' --operation {name}"
    ));
    birch(&format!(
        "publish --count 'at-least 3000 ad on facebook' --first-seen 2015-06-01 \
         --last-seen 2017-05-31 --metric \
         'ad-spend at-least 100000.50 USD on facebook by a committee' --operation \
         {name}"
    ));
    birch(&format!(
        "attribute {name} --actor \
         'several campaigns, one of them of a state broadcaster' --confidence 60 \
         --claimant 'a security firm'"
    ));
    birch(&format!(
        "publish --kind page --platform facebook --value lantern.daily --operation \
         {name} --technique 'disarm/T0013 Create inauthentic websites [Establish assets]' --valid-until \
         2018-09-01"
    ));
    birch(&format!(
        "publish --kind page --platform facebook --value lantern.weekly --operation \
         {name}"
    ));
}

fn others(world: &World, operation: &RecordName) -> (RecordName, RecordName) {
    let name = operation.to_string();
    let cedar = |line: &str| publish(world, "cedar-micro", line, TO_ALL);
    let delta = |line: &str| publish(world, "delta-press", line, TO_ALL);
    cedar(&format!("publish --count '284 account on x' --operation {name}"));
    cedar(&format!(
        "act {name} --action removed --count '284 account on x' --time 2018-08-21 \
         --text 'For coordinated manipulation.'"
    ));
    cedar(&format!(
        "opine {name} --stance disagree --reason wrong-actor --text \
         'We see more than one.'"
    ));
    cedar(&format!("sight {name} --count 0 --platform x --text 'Not since.'"));
    let question = cedar(&format!("ask {name} 'Who paid for the ads?' --due 2018-09-15"));
    cedar(&format!("note {name} 'The list is attached to the minutes.'"));
    publish(world, "delta-press", &format!("reply {question} --result looking"), "");
    let second = delta("publish operation --title 'Second wave'");
    delta(&format!("link {second} {name} --type part-of --confidence 40"));
    let count = format!(
        "publish --count '653 account on facebook' --operation {name} \
         --description 'Pages, groups and accounts, as we count them.'"
    );
    let few = "--tlp amber --recipient acme-video --recipient birch-social";
    let other_count = publish(world, "delta-press", &count, few);
    (second, other_count)
}

async fn case() -> (World, Case) {
    let world = World::with(MEMBERS).await;
    let operation = video_company(&world);
    social_company(&world, &operation);
    let (second, other_count) = others(&world, &operation);
    (world, Case { operation, second, other_count })
}

fn show(world: &World, member: &str, operation: &RecordName) -> String {
    demand(&world.watchfire(member, &["show", &operation.to_string()]))
}

/// The lines of a part, each with its blanks made one.
pub(crate) fn part(shown: &str, title: &str) -> Vec<String> {
    let lines = shown.lines().skip_while(|line| *line != title).skip(2);
    let lines = lines.take_while(|line| !line.is_empty());
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// A line of a part that begins like this.
#[track_caller]
fn row(shown: &str, title: &str, beginning: &str) {
    let rows = part(shown, title);
    assert!(rows.iter().any(|row| row.starts_with(beginning)), "{beginning:?} in {rows:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_figure_is_shown_with_who_claims_it() {
    let (world, case) = case().await;
    let shown = show(&world, "birch-social", &case.operation);
    for line in [
        "Daily Lantern",
        "  publisher    acme-video",
        "  also known   Lantern network",
        "  status       disrupted",
        "  came from    XX",
        "  aimed at     US, GB",
        "  languages    en, es",
        "  activity     2017-01-01 to 2018-08-23",
        "  narrative    News of hxxps[://]lantern[.]example for readers abroad.",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line:?} in {shown}");
    }
    let totals = "Totals, as each claims them";
    for claim in [
        "acme-video google 58 account 39 channel on youtube, 13 account on google-plus, 6 blog on blogger",
        "birch-social facebook 652 account Pages, groups and accounts.",
        "delta-press facebook 653 account Pages, groups and accounts, as we count them.",
        "cedar-micro x 284 account",
        "birch-social facebook at least 3,000 ad 2015-06-01 to 2017-05-31",
    ] {
        row(&shown, totals, claim);
    }
    assert_eq!(part(&shown, totals).len(), 5, "nothing is merged or added up");
    let figures = "Figures, as each claims them";
    for claim in [
        "acme-video acme-video views 13,466 US youtube 2018-08-23",
        "birch-social birch-social accounts-reached 126,000,000 facebook",
        "birch-social birch-social accounts-reached 20,000,000 instagram",
        "a committee birch-social ad-spend at least 100,000.50 USD facebook",
    ] {
        row(&shown, figures, claim);
    }
    assert_eq!(part(&shown, figures).len(), 4);
    // 652 + 653, 58 + 652 + 653 + 284, 126 + 20 million.
    for sum in ["1,305", "1305", "1,647", "1647", "994", "995", "146,000,000", "146000000"] {
        // Names of records are drawn at random, and may hold any digits.
        let is_sum = |word: &str| word == sum;
        assert!(!shown.split([' ', '\n', ':']).any(is_sum), "{sum} in {shown}");
    }
    assert!(!shown.contains("birch-social*"), "every claim was checked: {shown}");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_each_says_and_did_stands_side_by_side() {
    let (world, case) = case().await;
    let shown = show(&world, "birch-social", &case.operation);
    let behind = "Who is behind it, as each claims";
    row(&shown, behind, "acme-video a state broadcaster state-media 90 technical acme-video");
    row(&shown, behind, "a security firm several campaigns, one of them of a state broadcaster 60");
    row(&shown, "What members did", "cedar-micro removed 284 account on x 2018-08-21");
    row(
        &shown,
        "What members did",
        "acme-video removed 39 channel on youtube, 13 account on google-plus, 6 blog",
    );
    row(&shown, "Disputed", "cedar-micro disagree wrong-actor We see more than one.");
    row(&shown, "Sightings", "cedar-micro not seen x Not since.");
    row(
        &shown,
        "Questions",
        "cedar-micro open, overdue 2018-09-15 Who paid for the ads? delta-press: looking",
    );
    row(&shown, "Notes", "cedar-micro The list is attached");
    row(&shown, "Links", "delta-press operation Second wave part-of the operation 40");
    row(&shown, "What these are about", &format!("operation Second wave {}", case.second));
    row(&shown, "Indicators that name it", "birch-social facebook page 2 1");
    row(
        &shown,
        "Techniques, phase by phase",
        "Establish assets disarm/T0013 Create inauthentic websites acme-video, birch-social 2",
    );
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_see_a_claim_sees_the_rest_without_a_trace_of_it() {
    let (world, case) = case().await;
    let (all, rest) = (
        show(&world, "birch-social", &case.operation),
        show(&world, "cedar-micro", &case.operation),
    );
    let hidden = case.other_count.to_string();
    let without: Vec<&str> = all.lines().filter(|line| !line.contains(&hidden)).collect();
    assert_eq!(all.lines().count(), without.len() + 1, "{all}");
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let without: Vec<String> = without.into_iter().map(plain).collect();
    let rest: Vec<String> = rest.lines().map(plain).collect();
    assert_eq!(rest, without);

    let json = demand(
        &world.watchfire("cedar-micro", &["show", &case.operation.to_string(), "--format", "json"]),
    );
    assert!(!json.contains(&hidden) && !json.contains("\"653\""), "{json}");
    let value: Value = serde_json::from_str(&json).expect("one object");
    assert_eq!(value["hub"]["more"], 0);
    assert_eq!(value["totals"].as_array().map(Vec::len), Some(4));
    let verified = |claim: &Value| claim["verified"] == true;
    let claims = ["totals", "metrics"].map(|list| value[list].as_array().expect("a list"));
    assert!(claims.into_iter().flatten().all(verified), "{json}");
    assert_eq!(value["operation"]["body"]["operation"]["title"], "Daily Lantern");
    assert_eq!(value["hub"]["assets"][0]["publisher"], "members/birch-social");
    assert_eq!(
        (&value["hub"]["assets"][0]["count"], &value["hub"]["assets"][0]["expired"]),
        (&Value::from(2), &Value::from(1))
    );

    let own = show(&world, "delta-press", &case.second);
    assert!(own.starts_with("Second wave\n"), "{own}");
    assert!(!own.contains("58 account"), "it is an operation of its own: {own}");
    world.finish();
}
