//! Other people's formats, pure: text in, a plan out.

pub mod meta_csv;
pub mod techniques;
pub mod warning_list;
