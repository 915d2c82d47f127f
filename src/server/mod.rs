//! Composition root of the hub: config, build, run, drain.
