//! A member's folder: address, pins, keys, cursors, outbox.
