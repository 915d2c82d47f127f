//! Protobuf to model and back; the only place that takes generated messages apart.
