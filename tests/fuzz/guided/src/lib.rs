//! The targets of `tests/fuzz`, for libFuzzer: the same functions, with coverage as their guide.
//!
//! A package of its own, with a lock of its own: it is no part of the workspace, and no build of ours compiles it.

#[expect(dead_code, reason = "the changes without a guide use the rest")]
#[path = "../../targets/mod.rs"]
mod targets;

/// Gives a target an input.
///
/// # Panics
///
/// If the parser does not keep its word, which is what is sought.
pub fn run(name: &str, input: &[u8]) {
    let target = targets::named(name).expect("a target");
    (target.run)(input);
}
