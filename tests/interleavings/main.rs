//! The parts of the exchange that threads meet in, run in every order that there is.
//!
//! The files are those of `src/exchange`, compiled once more with a `sync` that is made of loom's parts, so that no
//! dependency is built twice and no line of what is tested is a copy. What they are given to move about is smaller: a ring
//! that holds one block, and blocks of one letter.
//!
//! Each promise has its control: the same with one step in the wrong order, which loom must find.

#![expect(clippy::expect_used, reason = "a test may panic")]

mod exchange;

/// Of the model, what the files name; limits are as small as they can be.
mod model {
    pub(crate) use watchfire::model::names;
    pub(crate) use watchfire::model::reason;
    pub(crate) use watchfire::model::roster;
    pub(crate) use watchfire::model::time;

    pub(crate) mod limits {
        pub(crate) const TAIL_BYTES_MAX: usize = 1;
        pub(crate) const STREAMS_PER_MEMBER_MAX: usize = 1;
    }
}

/// Of the store, a block: so many letters, one for each entry.
mod store {
    #[derive(Clone, Debug)]
    pub(crate) struct LogBlock {
        pub(crate) first: u64,
        pub(crate) bytes: Vec<u8>,
    }

    impl LogBlock {
        pub(crate) fn end(&self) -> u64 {
            self.first + u64::try_from(self.bytes.len()).expect("a short block")
        }
    }
}

mod transparency {
    pub(crate) use watchfire::transparency::Checkpoint;
}
