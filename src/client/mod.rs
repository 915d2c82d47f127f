//! The reference client as a library: connect, publish, subscribe, verify.
