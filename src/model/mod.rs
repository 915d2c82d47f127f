//! What we talk about: ids, headers, bodies, observables and their normal form, handling, limits, time. Values only: no I/O, no async, no wire, no disk.
