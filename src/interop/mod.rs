//! Other people's formats, pure.
