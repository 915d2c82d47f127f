//! The disk: keys, values, batches, schema version.
