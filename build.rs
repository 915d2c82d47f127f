//! Compiles `proto/` in pure Rust (no `protoc` on the machine) and leaves the descriptor set beside the
//! code, for server reflection and for JSON.

use std::env;
use std::error::Error;
use std::fs;
use std::path::PathBuf;

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
    tonic_prost_build::configure()
        .build_transport(false)
        .build_server(false)
        .bytes(".watchfire.v1.Envelope")
        .bytes(".watchfire.v1.Signature")
        .btree_map(".")
        .compile_fds(descriptors.clone())?;
    // The server's side once more, with one difference: what Subscribe answers is a frame of bytes that were
    // encoded when their entries were committed, not a message to be encoded for every subscriber.
    let face = out.join("face");
    fs::create_dir_all(&face)?;
    tonic_prost_build::configure()
        .build_transport(false)
        .build_client(false)
        .extern_path(".watchfire.v1", "crate::wire::pb")
        .extern_path(".watchfire.v1.SubscribeResponse", "crate::wire::SubscribeFrame")
        .out_dir(face)
        .compile_fds(descriptors)?;
    Ok(())
}
