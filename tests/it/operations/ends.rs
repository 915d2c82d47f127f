//! With which exit code a program ends: what a supervisor makes of it must help.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::world::World;
use crate::world::hub_program;

/// Runs `watchfired` without root's right to every file: as its owner, and no more.
fn as_owner(arguments: &[&str]) -> (Option<i32>, String) {
    let words = ["--user", "--map-user=1000", "--"];
    let mut command = Command::new("unshare");
    let output = command.args(words).arg(hub_program()).args(arguments).output();
    let output = output.expect("unshare runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said)
}

/// As after a command that was run as root: whoever starts the hub again and again gets nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_another_accounts_is_unusable_and_no_failed_write() {
    let world = World::with_members_then_stopped(&[("acme-video", "company")]).await;
    let data = world.data();
    let data = data.to_str().expect("text");
    let (code, said) = as_owner(&["verify", "--data", data]);
    assert_eq!(code, Some(0), "the check bites: {said}");
    let log = world.data().join("store/db");
    let allow = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&log, permissions).expect("it is ours");
    };
    allow(0o400);
    for line in [["serve", "--data", data], ["rebuild", "--data", data]] {
        let (code, said) = as_owner(&line);
        assert_eq!(code, Some(78), "{said}");
        assert!(said.contains("store/db cannot be used"), "{said}");
    }
    allow(0o600);
    world.check_log();
}
