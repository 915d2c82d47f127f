//! The steps by which a group becomes durable and known, named so that the tests can end the process at each of them.
//! Programs have nothing of it: [`reached`] does nothing outside of unit tests.

/// A step of a commit that was reached, in the order in which they come.
#[cfg_attr(test, derive(Clone, Copy, Debug, PartialEq, Eq))]
pub(crate) enum Step {
    /// The group is judged and encoded, in memory only.
    Judged,
    /// The atomic write has returned: sled may have it in its buffers.
    Written,
    /// sled has written its buffers to the file.
    Flushed,
    /// The device has it: the commit point is passed.
    Synced,
    /// The indexes have it, in memory.
    Indexed,
    /// Subscribers may read it.
    Told,
    /// The callers have their receipts.
    Answered,
}

/// Says that a step was reached.
#[cfg(not(test))]
#[inline]
pub(crate) const fn reached(_step: Step) {}

#[cfg(test)]
pub(crate) use self::end::reached;

#[cfg(test)]
pub(crate) mod end {
    use std::sync::Mutex;
    use std::sync::PoisonError;

    use super::Step;

    /// The step at which this process ends, and how often it is passed before.
    static AIM: Mutex<Option<(Step, u32)>> = Mutex::new(None);

    /// Has this process end when a step is reached for the so-manieth time.
    pub(crate) fn aim(step: Step, time: u32) {
        *AIM.lock().unwrap_or_else(PoisonError::into_inner) = Some((step, time));
    }

    /// Ends the process, without a word and without unwinding, if this is the step.
    pub(crate) fn reached(step: Step) {
        let mut aim = AIM.lock().unwrap_or_else(PoisonError::into_inner);
        match aim.as_mut() {
            Some((aimed, 1)) if *aimed == step => std::process::abort(),
            Some((aimed, times)) if *aimed == step => *times -= 1,
            Some(_) | None => {}
        }
    }
}
