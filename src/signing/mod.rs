//! Bytes in, `Verified` out: DSSE envelopes, keys and key ids.
