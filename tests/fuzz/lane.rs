//! How much is tried: a sample with every change, everything when somebody asks.

/// Whether `WATCHFIRE_LANE` asks for everything.
pub(crate) fn is_on_demand() -> bool {
    match std::env::var("WATCHFIRE_LANE").as_deref() {
        Err(_) | Ok("commit") => false,
        Ok("demand" | "soak") => true,
        Ok(other) => panic!("WATCHFIRE_LANE is none of commit, demand, soak: {other}"),
    }
}
