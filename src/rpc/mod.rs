//! The gRPC face: decode, call, encode; the only place where an error becomes a `Status`.
