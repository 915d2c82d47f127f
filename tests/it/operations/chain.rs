//! The audit log's chain: a line that is removed or changed is noticed, across restarts, crashes and rotations.

use std::path::PathBuf;

use super::audit_file;
use super::audit_lines;
use super::line_of;
use super::line_with;
use super::refusal;
use super::roster_change;
use super::verified;
use crate::world::World;
use crate::world::until;
use crate::world::watchfired;
use watchfire::wire::pb;
use watchfire::wire::pb::roster_change::Change;

const MEMBERS: &[(&str, &str)] = &[("acme-video", "company"), ("birch-social", "company")];

#[track_caller]
fn check_broken(text: &str, expected: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("audit.jsonl");
    std::fs::write(&file, text).expect("it is written");
    let (holds, said) = verified(&[file]);
    assert!(!holds && said.contains(expected), "not {expected:?}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_removed_or_changed_is_noticed() {
    let world = World::with_members_then_stopped(MEMBERS).await;
    let text = std::fs::read_to_string(audit_file(&world)).expect("a text");
    let (holds, said) = verified(&[audit_file(&world)]);
    assert!(holds && said.contains("lines hold, number 1 to"), "{said}");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() >= 5, "{text}");
    for gone in 0..lines.len() - 1 {
        let rest = lines.iter().enumerate().filter(|(place, _line)| *place != gone);
        let rest: Vec<&str> = rest.map(|(_place, line)| *line).collect();
        let rest = format!("{}\n", rest.join("\n"));
        if gone > 0 {
            check_broken(&rest, &format!("line {}: it does not follow", gone + 1));
        } else {
            // The first that is left does not say that it is the first.
            assert!(verified_text(&rest).contains("number 2 to"));
        }
    }
    check_broken(&text.replacen("members/birch-social", "members/birch-socials", 1), "follow");
    let swapped: Vec<&str> = [lines[1], lines[0]].into_iter().chain(lines[2..].to_vec()).collect();
    check_broken(&format!("{}\n", swapped.join("\n")), "follow");
    check_broken(text.get(..text.len() - 20).expect("ASCII"), "it is cut off");
    check_broken(&text.replacen('{', "{{", 3), "line");
    world.check_log();
}

fn verified_text(text: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("audit.jsonl");
    std::fs::write(&file, text).expect("it is written");
    verified(&[file]).1
}

/// `watchfired verify` of a hub that does not run: with which code it ended, and what it said.
fn verified_whole(world: &World) -> (Option<i32>, String) {
    let output = watchfired(&["verify", "--data", world.data().to_str().expect("text")]);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).expect("text"))
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_of_the_data_directory_looks_at_it_and_names_the_line() {
    let mut world = World::with(MEMBERS).await;
    line_with(&world, "the last admission", |line| line["target"] == "members/birch-social").await;
    world.kill();
    let file = audit_file(&world);
    let text = std::fs::read_to_string(&file).expect("a text");
    let lines: Vec<&str> = text.lines().collect();
    let (code, said) = verified_whole(&world);
    assert_eq!(code, Some(0), "{said}");
    let whole = format!("audit log: {} lines hold, number 1 to", lines.len());
    assert!(said.contains(&whole), "{said}");

    let admitted = lines.iter().position(|line| line.contains("members/acme-video"));
    let admitted = admitted.expect("its admission");
    let without = lines.iter().enumerate().filter(|(place, _line)| *place != admitted);
    let without: Vec<&str> = without.map(|(_place, line)| *line).collect();
    let removed = (format!("{}\n", without.join("\n")), admitted + 1);
    let changed = (text.replacen("members/acme-video", "members/acme-videos", 1), admitted + 2);
    for (broken, place) in [removed, changed] {
        std::fs::write(&file, broken).expect("it is written");
        let (code, said) = verified_whole(&world);
        assert_eq!(code, Some(1), "{said}");
        let named = format!("audit.jsonl, line {place}: it does not follow the line before");
        assert!(said.contains(&named), "{named}: {said}");
    }

    // What a kill may leave of the last line is no damage, and neither is a log that is kept elsewhere.
    std::fs::write(&file, text.get(..text.len() - 30).expect("ASCII")).expect("it is written");
    let (code, said) = verified_whole(&world);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("1 of them were cut off, the last one too"), "{said}");
    std::fs::remove_file(&file).expect("it is removed");
    let (code, said) = verified_whole(&world);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("audit log: there is none at"), "{said}");
    std::fs::write(&file, text).expect("it is put back");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_behind_a_line_that_a_crash_cut_off() {
    let mut world = World::with(MEMBERS).await;
    line_of(&world, "roster.admit", "done").await;
    world.kill();
    let file = audit_file(&world);
    let before = std::fs::read_to_string(&file).expect("a text");
    let cut = before.len() - 30;
    let left = u64::try_from(cut).expect("a number");
    std::fs::File::options().write(true).open(&file).expect("it").set_len(left).expect("it");
    world.start(&[]).await;
    let text = until("it goes on", || async {
        let text = std::fs::read_to_string(&file).ok()?;
        text.contains("audit-log.cut").then_some(text)
    });
    let text = text.await;
    assert!(text.starts_with(before.get(..cut).expect("ASCII")), "nothing is taken away");
    world.stop();
    let (holds, said) = verified(&[file]);
    assert!(holds && said.contains("1 of them were cut off"), "{said}");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_moved_away_is_followed_by_one_that_goes_on() {
    let mut world = World::with(MEMBERS).await;
    let (file, moved) = (audit_file(&world), world.data().join("audit.jsonl.1"));
    line_of(&world, "roster.admit", "done").await;
    std::fs::rename(&file, &moved).expect("it is moved");
    world.signal_hub("-HUP");
    line_of(&world, "audit-log.reopen", "done").await;
    world.stop();
    world.start(&[]).await;
    world.stop();
    let (holds, said) = verified(&[moved.clone(), file.clone()]);
    assert!(holds && said.contains("number 1 to"), "{said}");
    let (holds, said) = verified(&[file, moved]);
    assert!(!holds, "in the wrong order: {said}");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_large_enough_is_put_aside_and_the_chain_goes_on() {
    let mut world = World::stopped();
    world.configure("\n[audit]\nbytes = 65536\n");
    world.start(&[]).await;
    for (member, role) in MEMBERS {
        world.admit(member, role);
    }
    // Reasons of the roster are for all to read; the line about it holds none of it.
    let operator = world.client("operator").await;
    let mut number = 0_u32;
    let older = loop {
        for _change in 0..50 {
            number += 1;
            let quota = pb::Quota { streams: number, ..pb::Quota::default() };
            let change = roster_change("acme-video", Change::Quota(quota));
            assert_eq!(refusal(&operator, change).await, None);
        }
        let older = put_aside(&world);
        if !older.is_empty() {
            break older;
        }
        assert!(number < 2_000, "it never becomes another file");
    };
    assert!(audit_lines(&world).len() < 400);
    world.stop();
    world.start(&[]).await;
    let last = audit_file(&world);
    let older =
        put_aside(&world).into_iter().chain(older).collect::<std::collections::BTreeSet<_>>();
    let files: Vec<PathBuf> = older.into_iter().chain([last]).collect();
    world.stop();
    let (holds, said) = verified(&files);
    assert!(holds && said.contains("number 1 to"), "{said}");
    world.finish();
}

/// Files that were put aside, the oldest first.
fn put_aside(world: &World) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(world.data()).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let is_older = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("audit.jsonl.")
    };
    let mut older: Vec<PathBuf> = paths.filter(is_older).collect();
    older.sort_unstable();
    older
}
