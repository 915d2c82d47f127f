//! Every target is this program under its own name.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    watchfire_guided::run(env!("CARGO_BIN_NAME"), input);
});
