//! Compiles `proto/` in pure Rust (no `protoc` on the machine) and leaves the descriptor set beside the
//! code, for server reflection and for JSON. Tells the programs which commit they are of.

use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use prost::Message;

const FILES: &[&str] = &[
    "watchfire/v1/audience_service.proto",
    "watchfire/v1/body.proto",
    "watchfire/v1/entry.proto",
    "watchfire/v1/exchange_service.proto",
    "watchfire/v1/export_service.proto",
    "watchfire/v1/header.proto",
    "watchfire/v1/member.proto",
    "watchfire/v1/query_service.proto",
    "watchfire/v1/roster_service.proto",
    "watchfire/v1/subscription_service.proto",
    "watchfire/v1/transparency_service.proto",
    "watchfire/disk/v1/disk.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::Compiler::new(["proto"])?
        .include_source_info(true)
        .include_imports(true)
        .open_files(FILES)?
        .file_descriptor_set();
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    fs::write(out.join("watchfire.descriptors"), descriptors.encode_to_vec())?;
    let mut named = prost_build::Config::new();
    // Messages know their names: the hub looks up what a request may hold before it is taken apart.
    named.enable_type_names();
    tonic_prost_build::configure()
        .build_transport(false)
        .build_server(false)
        .bytes(".watchfire.v1.Envelope")
        .bytes(".watchfire.v1.Signature")
        .btree_map(".")
        .compile_fds_with_config(descriptors.clone(), named)?;
    // The server's side once more, with one difference: what Subscribe answers is a frame of bytes that were
    // encoded when their entries were committed, not a message to be encoded for every subscriber.
    let face = out.join("face");
    fs::create_dir_all(&face)?;
    tonic_prost_build::configure()
        .build_transport(false)
        .build_client(false)
        .extern_path(".watchfire.v1", "crate::wire::pb")
        .extern_path(".watchfire.v1.SubscribeResponse", "crate::wire::SubscribeFrame")
        .codec_path("crate::rpc::MessageCodec")
        .out_dir(face)
        .compile_fds(descriptors)?;
    println!("cargo::rustc-env=WATCHFIRE_VERSION={}", version()?);
    Ok(())
}

/// The version, with the commit if it is known: `WATCHFIRE_COMMIT` where it is set, for sources without a repository;
/// else what git says. Only releases look at the repository: a build for development would begin anew with each commit.
fn version() -> Result<String, Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed=WATCHFIRE_COMMIT");
    let number = env::var("CARGO_PKG_VERSION")?;
    let said = env::var("WATCHFIRE_COMMIT").ok().filter(|commit| !commit.is_empty());
    let commit = match said {
        Some(commit) => Some(commit),
        None if env::var("PROFILE")? == "release" => commit_of_repository(),
        None => return Ok(format!("{number} (development build)")),
    };
    Ok(commit.map_or_else(|| number.clone(), |commit| format!("{number} ({commit})")))
}

fn commit_of_repository() -> Option<String> {
    // A repository further up is somebody else's.
    if !Path::new(".git").exists() {
        return None;
    }
    for file in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", file])?;
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok().filter(|it| it.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
