//! What publishers asked, and what they were answered when.

use std::cell::RefCell;
use std::collections::HashSet;
use std::path::Path;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use crate::exchange::Outcome;
use crate::exchange::driver::copy_folder;
use crate::exchange::driver::model::Model;
use crate::exchange::hub::Ticket;
use crate::exchange::planted;
use crate::exchange::planted::Point;
use crate::model::names::Digest;
use crate::model::names::sha256;
use crate::store::Store;
use crate::wire::pb;

/// Records of one call.
pub(super) struct Asked {
    ticket: Ticket,
    digests: Vec<Digest>,
    pub(super) outcomes: Option<Vec<Outcome>>,
}

/// What is under way, and what was seen at the points of a commit.
#[derive(Default)]
pub(super) struct Watch {
    pub(super) asked: Vec<Asked>,
    pub(super) broken: Option<String>,
}

impl Asked {
    pub(super) fn new(ticket: Ticket, envelopes: &[pb::Envelope]) -> Self {
        let digests = envelopes.iter().map(|envelope| sha256(&envelope.payload)).collect();
        Self { ticket, digests, outcomes: None }
    }

    /// Takes the answer, if there is one.
    pub(super) fn ask(&mut self) {
        if self.outcomes.is_none() {
            self.outcomes = self.ticket.outcomes_now();
        }
    }

    /// What was taken in.
    pub(super) fn accepted(&self) -> impl Iterator<Item = Digest> {
        let outcomes = self.digests.iter().zip(self.outcomes.iter().flatten());
        outcomes.filter(|(_digest, outcome)| outcome.is_ok()).map(|(digest, _outcome)| *digest)
    }

    /// Holds the answers against the log; how many records were taken in, and refused. What was refused is not there,
    /// unless it was there before, or another call brought it.
    pub(super) fn check(
        &self,
        model: &Model,
        before: u64,
        accepted_now: &HashSet<Digest>,
    ) -> (usize, usize) {
        let (mut accepted, mut refused) = (0, 0);
        let outcomes = self.outcomes.iter().flatten();
        for (digest, outcome) in self.digests.iter().zip(outcomes) {
            let place = model.place_of(digest);
            match outcome {
                Ok(receipt) => {
                    assert_eq!(place, Some(receipt.sequence), "it is not where it was promised");
                    assert!(receipt.tree_size > receipt.sequence, "a tree without it");
                    accepted += usize::from(!receipt.repeated);
                }
                Err(refusal) => {
                    let is_so = place.is_none_or(|place| place < before);
                    assert!(
                        is_so || accepted_now.contains(digest),
                        "it was refused and taken in: {refusal}"
                    );
                    refused += 1;
                }
            }
        }
        (accepted, refused)
    }
}

/// Looks at every point of the next commits: nobody has a receipt for what is not on the disk. At the nth time that it
/// comes to a point, the data directory is copied as it is; what was answered by then stays answered.
pub(super) fn look(
    watch: &Rc<RefCell<Watch>>,
    mut stop: Option<(Point, usize, PathBuf)>,
    (folder, store): (&Path, &Arc<Store>),
) {
    let (watch, folder, store) = (Rc::clone(watch), folder.to_owned(), Arc::clone(store));
    let mut is_over = false;
    planted::look(Some(Box::new(move |point| {
        if is_over {
            return;
        }
        let mut watch = watch.borrow_mut();
        watch.asked.iter_mut().for_each(Asked::ask);
        let size = store.head().unwrap().frontier.size();
        let outcomes = watch.asked.iter().flat_map(|asked| asked.outcomes.iter().flatten());
        let early = outcomes.flatten().find(|receipt| receipt.sequence >= size);
        if let Some(receipt) = early {
            watch.broken =
                Some(format!("{} was promised before it was on the disk", receipt.sequence));
        }
        let is_here = stop.as_mut().is_some_and(|(at, left, _copy)| {
            let is_here = *at == point && *left == 0;
            *left = left.saturating_sub(usize::from(*at == point));
            is_here
        });
        if is_here && let Some((_point, _nth, copy)) = stop.take() {
            copy_folder(&folder, &copy);
            is_over = true;
        }
    })));
}
