//! The pack for the meeting, from the real hub by the real command: every figure of a small story, nothing that the
//! reader may not see, nothing of another time but what is still open.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use watchfire::client::Client;
use watchfire::model::handling::Handling;
use watchfire::model::handling::Tlp;
use watchfire::model::names::RecordName;
use watchfire::model::names::RevisionName;
use watchfire::wire::pb;
use watchfire::wire::pb::ObservableKind;
use watchfire::wire::pb::figure::Value;

use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::handling;
use crate::world::publish;
use crate::world::publish_for;
use crate::world::until;

const ACME: &str = "acme-video";
const BIRCH: &str = "birch-social";
const CEDAR: &str = "cedar-microblog";
const LIAISON: &str = "harbour-liaison";
const MEMBERS: &[(&str, &str)] =
    &[(ACME, "company"), (BIRCH, "company"), (CEDAR, "company"), (LIAISON, "observer")];

/// What a member says that would like to be more than text.
const HOSTILE: &str = "<script>alert(1)</script> [click](https://evil.example/a) ![i](http://192.0.2.9/i.png) | a | \
    \"onload=\"x' </bdi></title></style> **bold** `code`";

/// What a member holds when its briefing is written.
struct Written {
    html: String,
    /// Without the strokes that keep its text from being more than text.
    markdown: String,
    told: String,
}

impl Written {
    fn says(&self, text: &str) -> bool {
        self.markdown.contains(text)
    }

    #[track_caller]
    fn demand(&self, texts: &[&str]) {
        for text in texts {
            assert!(self.says(text), "{text:?} is missing in:\n{}", self.markdown);
        }
    }

    #[track_caller]
    fn demand_none(&self, texts: &[&str]) {
        for text in texts {
            for page in [&self.html, &self.markdown] {
                assert!(
                    !page.to_lowercase().contains(&text.to_lowercase()),
                    "{text:?} in:\n{page}"
                );
            }
        }
    }
}

fn write(world: &World, member: &str, flags: &[&str]) -> Written {
    let folder = world.data().join("briefings");
    std::fs::create_dir_all(&folder).expect("a folder");
    let (html, markdown) =
        (folder.join(format!("{member}.html")), folder.join(format!("{member}.md")));
    let paths = ["--out", html.to_str().expect("a path"), "--markdown"];
    let paths = [&paths[..], &[markdown.to_str().expect("a path")]].concat();
    let output = world.watchfire(member, &[&["briefing"], flags, &paths[..]].concat());
    assert_eq!(demand(&output), "", "it writes files, not standard output");
    let read = |path: &Path| {
        let mode = std::fs::metadata(path).expect("a file").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
        std::fs::read_to_string(path).expect("a text")
    };
    let left = std::fs::read_dir(&folder).expect("a folder").count();
    assert_eq!(left % 2, 0, "nothing lies beside the files");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    Written { html: read(&html), markdown: read(&markdown).replace('\\', ""), told }
}

fn asset(kind: ObservableKind, platform: &str, value: &str, of: &RecordName) -> pb::body::Content {
    indicator(
        pb::Observable {
            kind: kind.into(),
            platform: platform.to_owned(),
            value: value.to_owned(),
            ..pb::Observable::default()
        },
        of,
        "",
    )
}

fn indicator(observable: pb::Observable, of: &RecordName, text: &str) -> pb::body::Content {
    pb::body::Content::Indicator(pb::Indicator {
        observable: Some(observable),
        operation: of.to_string(),
        description: text.to_owned(),
        ..pb::Indicator::default()
    })
}

fn exactly(number: u64) -> pb::Figure {
    pb::Figure { value: Some(Value::Exact(number)) }
}

fn total(count: u64, of: &RecordName, text: &str) -> pb::body::Content {
    let aggregate = pb::Aggregate {
        of: ObservableKind::Page.into(),
        count: Some(exactly(count)),
        parts: Vec::new(),
    };
    let observable = pb::Observable {
        kind: ObservableKind::Aggregate.into(),
        platform: "facebook".to_owned(),
        aggregate: Some(aggregate),
        ..pb::Observable::default()
    };
    indicator(observable, of, text)
}

fn storm() -> pb::body::Content {
    pb::body::Content::Operation(pb::Operation {
        title: "Spring storm".to_owned(),
        status: pb::OperationStatus::Active.into(),
        origin_regions: vec!["XA".to_owned()],
        narratives: vec![HOSTILE.to_owned()],
        description: HOSTILE.to_owned(),
        metrics: vec![pb::Metric {
            kind: pb::MetricKind::Views.into(),
            figure: Some(exactly(13_466)),
            platform: "youtube".to_owned(),
            claimant: "a newspaper".to_owned(),
            ..pb::Metric::default()
        }],
        techniques: vec![pb::Technique {
            framework: "disarm".to_owned(),
            external_id: "T0013".to_owned(),
            name: "Create inauthentic websites".to_owned(),
            phase: "Establish assets".to_owned(),
            ..pb::Technique::default()
        }],
        ..pb::Operation::default()
    })
}

fn labelled(tlp: Tlp, audiences: &[&str], recipients: &[&str]) -> Handling {
    Handling { tlp, ..handling(audiences, recipients) }
}

/// The record that a command says it published.
#[track_caller]
fn say(world: &World, member: &str, arguments: &[&str]) -> String {
    let said = demand(&world.watchfire(member, arguments));
    said.split(['@', ' ']).next().expect("a name").to_owned()
}

/// Three companies find one operation, each its own assets; totals compete, attributions differ; one record is RED.
async fn tell_story(world: &World) -> RecordName {
    let (acme, birch, cedar) =
        (world.client(ACME).await, world.client(BIRCH).await, world.client(CEDAR).await);
    let (storm, _) = publish_for(&acme, storm(), labelled(Tlp::Amber, &["companies"], &[])).await;
    for (client, kind, platform, values) in [
        (
            &acme,
            ObservableKind::Channel,
            "youtube",
            &["@storm_one", "@storm_two", "@storm_three"][..],
        ),
        (&birch, ObservableKind::Page, "facebook", &["storm.one", "storm.two"]),
        (&cedar, ObservableKind::Account, "x", &["@storm1", "@storm2", "@storm3", "@storm4"]),
    ] {
        for value in values {
            publish(client, asset(kind, platform, value, &storm)).await;
        }
    }
    publish(&birch, total(652, &storm, "By our own count.")).await;
    publish(&cedar, total(653, &storm, "By our count of the notice.")).await;
    let red = labelled(Tlp::Red, &[], &[BIRCH]);
    publish_for(&acme, domain("crimson-secret.example"), red).await;
    let own = pb::body::Content::Operation(pb::Operation {
        title: "Harbour lights".to_owned(),
        ..pb::Operation::default()
    });
    publish_for(&cedar, own, labelled(Tlp::Clear, &["all"], &[])).await;
    let name = storm.to_string();
    say(world, ACME, &["attribute", &name, "--actor", "a state broadcaster", "--confidence", "80"]);
    let actor = ["attribute", &name, "--actor", HOSTILE, "--claimant", "a court"];
    say(world, BIRCH, &actor);
    let action =
        ["act", &name, "--action", "removed", "--count", "2 page on facebook", "--text", HOSTILE];
    say(world, BIRCH, &action);
    storm
}

async fn accepted(client: &Client, name: &RecordName) -> String {
    let name = RevisionName { record: name.clone(), revision: None };
    client.get(&name).await.expect("the record").entry.accept_time().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_briefing_holds_every_figure_that_its_reader_may_see() {
    let world = World::with(MEMBERS).await;
    tell_story(&world).await;

    let birch = write(&world, BIRCH, &["--since", "1h"]);
    birch.demand(&[
        "**TLP:RED**",
        "Spring storm",
        "| acme-video | youtube | channel | 3 |",
        "| birch-social | facebook | page | 2 |",
        "| cedar-microblog | x | account | 4 |",
        "These totals compete. Each stands as its claimant gave it.",
        "652‡",
        "653‡",
        "By our own count",
        "13,466‡",
        "on the word of a newspaper",
        "T0013",
        "2 actors are named. Each claim stands as it was made.",
        "Confidence 80 of 100",
        "birch-social says, on the word of a court",
        "removed | 2‡ facebook page",
        "Harbour lights",
        "Nothing is said yet of: assets, who is behind it, how far it reached, techniques, what was done about it.",
        // The RED one, which names no operation.
        "| no platform | domain | 1 |",
        // Counted here, day by day, of what was verified.
        "| acme-video | indicator | 4 |",
        "| birch-social | indicator | 3 |",
        "| cedar-microblog | indicator | 5 |",
        "| acme-video | **all kinds** | **6** |",
        "| birch-social | **all kinds** | **5** |",
        "| cedar-microblog | **all kinds** | **6** |",
        "records shared: 17",
    ]);
    assert!(birch.told.matches("TLP:RED, readable by you alone").count() == 2, "{}", birch.told);

    let cedar = write(&world, CEDAR, &["--since", "1h"]);
    cedar.demand(&["**TLP:AMBER**", "Spring storm", "652‡", "653‡", "records shared: 16"]);
    cedar.demand_none(&["crimson", "TLP:RED"]);

    // The operator reads no records.
    let operator = write(&world, "operator", &["--since", "1h"]);
    operator.demand(&["**TLP:CLEAR**", "records shared: 0"]);
    operator.demand_none(&["Spring storm", "Harbour lights", "crimson", "our own count"]);

    let liaison = write(&world, LIAISON, &["--since", "1h"]);
    liaison.demand(&["**TLP:CLEAR**", "Harbour lights", "record shared: 1"]);
    liaison.demand_none(&[
        "Spring storm",
        "crimson",
        "storm_one",
        // Numbers alone could be part of a record's name.
        "our own count",
        "our count",
        "13,466",
        "broadcaster",
        "T0013",
        "TLP:AMBER",
        "evil",
    ]);

    for page in [&birch, &cedar] {
        page.demand(&["&lt;script&gt;alert(1)&lt;/script&gt; [click](hxxps[://]evil[.]example/a)"]);
        page.demand_none(&["<script", "<img", "evil.example", "href=\"http", "192.0.2.9"]);
        let bare = page.html.matches("</style>").count();
        assert_eq!(bare, 1, "the style sheet ends where it ends");
    }
    world.finish();
}

/// The same as `publish`, said by a name for people.
async fn said(client: &Client, content: pb::body::Content) -> String {
    publish(client, content).await.0.to_string()
}

fn question(of: &str, due: Option<i64>) -> pb::body::Content {
    pb::body::Content::Inquiry(pb::Inquiry {
        about: Some(pb::Reference { to: Some(pb::reference::To::Record(of.to_owned())) }),
        question: "Who registered it?".to_owned(),
        addressees: vec![format!("members/{ACME}")],
        due_time: due.map(|seconds| prost_types::Timestamp { seconds, nanos: 0 }),
    })
}

fn disagrees(of: &str) -> pb::body::Content {
    pb::body::Content::Opinion(pb::Opinion {
        of: of.to_owned(),
        stance: pb::Stance::Disagree.into(),
        reason: pb::OpinionReason::FalsePositive.into(),
        text: "It is a newspaper.".to_owned(),
    })
}

/// Waits until the hub has erased what was taken back.
async fn erased(client: &Client, record: &str) {
    let name = RevisionName { record: record.parse().expect("a name"), revision: None };
    until("the hub has erased it", || async {
        client.get(&name).await.expect("its header").entry.erased_by()
    })
    .await;
}

/// What happened before the period: some of it is over, some of it is open.
async fn tell_past(world: &World, acme: &Client, birch: &Client) {
    said(acme, crate::world::operation("Old tide")).await;
    let disputed = said(acme, domain("old-dispute.example")).await;
    said(birch, disagrees(&disputed)).await;
    let asked = said(acme, domain("asked.example")).await;
    said(birch, question(&asked, Some(1_600_000_000))).await;
    let answered = said(birch, question(&asked, None)).await;
    say(world, ACME, &["reply", &answered, "--result", "no", "--text", "old-answer"]);
    let recalled = said(acme, domain("old-recall.example")).await;
    let demand = ["withdraw", &recalled, "--reason", "privacy", "--demand-deletion"];
    say(world, ACME, &[&demand[..], &["--acknowledge-by", "7d"]].concat());
    say(world, BIRCH, &["acknowledge", &recalled, "--answer", "deleted"]);
    let settled = said(acme, domain("old-error.example")).await;
    say(world, ACME, &["withdraw", &settled, "--reason", "duplicate"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_was_before_the_period_a_briefing_holds_what_is_open() {
    let world = World::with(MEMBERS).await;
    let (acme, birch, cedar) =
        (world.client(ACME).await, world.client(BIRCH).await, world.client(CEDAR).await);
    tell_past(&world, &acme, &birch).await;

    let (first, _) = publish(&acme, domain("new-asset.example")).await;
    let since = accepted(&acme, &first).await;
    let taken_back = said(&acme, domain("scarlet-value.example")).await;
    said(&cedar, disagrees(&taken_back)).await;
    say(&world, ACME, &["withdraw", &taken_back, "--reason", "error", "--demand-deletion"]);
    erased(&acme, &taken_back).await;
    let private = ["ask", "--value", "teal-value.example", "Seen by you?", "--to", BIRCH];
    say(&world, CEDAR, &[&private[..], &["--tlp", "red"]].concat());

    let page = write(&world, ACME, &["--since", &since]);
    page.demand(&[
        "operations presented: 0",
        "disputes: 2 (1 open)",
        "domain old-dispute[.]example",
        "Taken back: ",
        "indicator, to be deleted",
        "false positive",
        "open inquiry: 1 (1 overdue)",
        "domain asked[.]example",
        "No reply from: acme-video",
        "recalls: 2 (3 copies still held)",
        "**Still held, as far as is known, by:** cedar-microblog. 1 holder has let go.",
        "| birch-social | yes | deleted |",
        "| birch-social | not known | **no answer** |",
        "The hub's copy: erased",
        "The hub's copy: not erased",
        "Why: privacy",
        "| acme-video | indicator | 1 |",
        "| acme-video | withdrawal | 1 |",
    ]);
    page.demand_none(&[
        "Old tide",
        "old-answer",
        "old-recall",
        "old-error",
        "scarlet",
        "teal",
        "TLP:RED",
        "You have not answered",
    ]);

    let page = write(&world, CEDAR, &["--since", &since]);
    page.demand(&[
        "**TLP:RED**",
        "Open question (TLP:RED)",
        "domain teal-value[.]example",
        "You have not answered this recall.",
        "recalls: 2 (2 copies still held)",
    ]);
    page.demand_none(&["Who has answered", "scarlet", "old-recall"]);

    let page = write(&world, BIRCH, &["--since", &since]);
    page.demand(&["recall: 1 (1 copy still held)", "domain teal-value[.]example"]);

    let page = write(&world, ACME, &["--since", "2026-01-01", "--until", &since]);
    page.demand(&["operation presented: 1", "Old tide", "old-answer", "old-dispute[.]example"]);
    page.demand_none(&["new-asset", "scarlet", "to be deleted (TLP:RED)"]);
    let name = RevisionName { record: first, revision: None };
    acme.get(&name).await.expect("it stands");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_was_computed_again_is_no_word_of_the_hub() {
    let world = World::with(MEMBERS).await;
    tell_story(&world).await;
    let trusted = write(&world, ACME, &[]);
    trusted.demand(&["| acme-video | 6† |", "| birch-social | 5† |", "published → acted"]);
    trusted.demand(&[
        "| Member | Role | Given | By kind | Confirmed | Disputed | Acted on | Withdrawn |",
        "| Member | Given | Received | Delivered | Acknowledged | Acted on |",
        "| birch-social | company | 5† | 3† indicator, 1† attribution, 1† action-report | 0† |",
        "By operation, claimed",
        "| Spring storm | acme-video |",
    ]);
    let proven = write(&world, ACME, &["--recompute"]);
    proven.demand(&["| acme-video | 6 |", "| birch-social | 5 |", "published → acted"]);
    assert!(!proven.markdown.contains("| acme-video | 6† |"));
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_briefing_that_cannot_be_is_refused_before_anything_is_written() {
    let world = World::with(MEMBERS).await;
    let folder = world.data();
    let (data, out) = (folder.to_str().expect("a path"), folder.join("out.html"));
    let (out, absent) = (out.to_str().expect("a path"), folder.join("absent/out.html"));
    let absent = absent.to_str().expect("a path");
    for (flags, words) in [
        (vec!["--since", "1h", "--until", "2h", "--out", out], "--since must lie before --until"),
        (vec!["--out", data], "is no place for a file"),
        (vec!["--out", absent], "is no place for a file"),
        (vec!["--out", out, "--markdown", out], "name the same file"),
        (vec!["--out", out, "--since", "soon"], "must be like 7d"),
    ] {
        let output = world.watchfire(ACME, &[&["briefing"], &flags[..]].concat());
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {told}");
        assert!(told.contains(words), "{told}");
    }
    assert!(!Path::new(out).exists(), "nothing was written");
    let empty = write(&world, LIAISON, &[]);
    empty.demand(&["Nobody presents anything this time.", "**TLP:CLEAR**", "records shared: 0"]);
    world.finish();
}
