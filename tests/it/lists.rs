//! Lists and lines on their way out, by the command: what members say decides no path, runs in no spreadsheet, and is
//! there whole or not at all.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::durable::json_lines;
use crate::world::World;
use crate::world::demand;
use crate::world::scratch;

const MEMBERS: &[(&str, &str)] = &[("acme-video", "company"), ("birch-social", "company")];
const FOR_COMPANIES: [&str; 4] = ["--tlp", "green", "--audience", "companies"];

/// Names of the files in a folder, sorted.
fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn titles_and_texts_of_members_do_no_harm_in_exported_lists() {
    let world = World::with(MEMBERS).await;
    let run = |member: &str, arguments: &[&str]| world.watchfire(member, arguments);
    for title in ["../../../evil", "Lantern", "LANTERN", "-rf"] {
        let (named, of) = (format!("--title={title}"), format!("--operation={title}"));
        let operation = ["publish", "operation", &named];
        demand(&run("acme-video", &[&operation[..], &FOR_COMPANIES].concat()));
        let asset = ["publish", "--kind", "domain", "--value", "lantern[.]example"];
        let more = [of.as_str(), "--description", "=HYPERLINK(1);+2\u{1b}[31m"];
        demand(&run("acme-video", &[&asset[..], &more, &FOR_COMPANIES].concat()));
    }
    let place = scratch();
    let folder = place.path().join("lists");
    let out = folder.to_str().expect("a path in UTF-8");
    let exported = run("birch-social", &["export", "csv", "--out", out]);
    demand(&exported);
    let told = String::from_utf8_lossy(&exported.stderr).into_owned();
    assert!(told.contains("strictest label"), "{told}");
    let names = files(&folder);
    assert_eq!(names, ["LANTERN (2).csv", "Lantern.csv", "_________evil.csv", "rf.csv"]);
    assert_eq!(files(place.path()), ["lists"], "nothing beside the folder");
    for name in &names {
        let path = folder.join(name);
        let mode = fs::metadata(&path).expect("a file").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
        let text = fs::read_to_string(&path).expect("a text");
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert!(text.contains("\u{2060}=HYPERLINK"), "{text:?}");
    }
    // Once more: files are replaced, none is added.
    demand(&run("birch-social", &["export", "csv", "--out", out]));
    assert_eq!(files(&folder), names);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_exported_whole_or_not_at_all_and_published_again_as_they_are() {
    let world = World::with(MEMBERS).await;
    let run = |member: &str, arguments: &[&str]| world.watchfire(member, arguments);
    let asset = ["publish", "--kind", "domain", "--value", "lantern[.]example"];
    let said = demand(&run("acme-video", &[&asset[..], &FOR_COMPANIES].concat()));
    let name = said.split('@').next().expect("a name").to_owned();
    demand(&run("acme-video", &["note", &name, "Seen in May."]));
    demand(&run("birch-social", &["sight", &name, "--count", "2"]));
    let amended = ["publish", "--amend", &name, "--kind", "domain", "--value", "lantern[.]example"];
    demand(&run("acme-video", &[&amended[..], &["--confidence", "70"]].concat()));

    let place = scratch();
    let absent = place.path().join("absent/lines.jsonl");
    let failed = run("acme-video", &["export", "jsonl", "--out", absent.to_str().expect("UTF-8")]);
    assert!(!failed.status.success());
    assert_eq!(files(place.path()), [""; 0]);
    let file = place.path().join("lines.jsonl");
    fs::write(&file, "earlier").expect("a file");
    let out = file.to_str().expect("a path in UTF-8");
    demand(&run("acme-video", &["export", "jsonl", "--out", out]));
    assert_eq!(files(place.path()), ["lines.jsonl"], "nothing is left beside it");
    let text = fs::read_to_string(&file).expect("a text");
    let names: Vec<&str> = text
        .lines()
        .filter(|line| {
            line.contains("\"kind\":\"indicator\"") || line.contains("\"kind\":\"note\"")
        })
        .collect();
    assert!(names[0].contains(&format!("\"name\":\"{name}\"")), "before what is about it: {text}");

    let refused = run("acme-video", &["publish", "--jsonl", out]);
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{why}");
    let taken = run("acme-video", &["publish", "--jsonl", out, "--own"]);
    let told = String::from_utf8_lossy(&taken.stderr).into_owned();
    assert!(demand(&taken).contains("0 records are durable, 2 were there already"), "{taken:?}");
    let others = told.lines().filter(|line| line.contains("another member's record")).count();
    assert_eq!(others, text.lines().count() - 2, "each is told: {told}");
    let listed = json_lines(&run("acme-video", &["list", "--format", "jsonl"]));
    assert_eq!(listed.len(), text.lines().count(), "nothing was added");
    world.finish();
}
