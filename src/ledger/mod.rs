//! The ledger: who gave and received what, and how long sharing took, as numbers that any member can compute again.
//!
//! A fold over the entries that one member may see. The hub folds them from its store, a client as it was sent
//! them, both with this code: no number rests on the order in which they come, on entries that the member may not
//! see, or on audiences that it is not in. What the hub alone knows is a claim of its own ([`HubClaims`]), kept apart,
//! and left out when two answers are compared. `docs/LEDGER.md` says what each number means.

mod answer;
mod compare;
mod count;
mod fold;
mod names;
mod people;
mod resolve;
mod sample;
mod times;
mod window;

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod random;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod stories;

pub use self::answer::Ledger;
pub use self::answer::Row;
pub use self::answer::Stage;
pub use self::answer::StageTime;
pub use self::compare::Difference;
pub use self::compare::differences;
pub use self::fold::Fold;
pub use self::fold::HubClaims;
pub use self::fold::LedgerEntry;
pub use self::window::Window;
