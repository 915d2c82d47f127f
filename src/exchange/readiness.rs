//! Whether the hub does what it is there for, and if not, why: for its operator and for whoever balances load.

use tokio::sync::watch;

/// What keeps the hub from taking records. Reads go on in all cases but the first and the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It is shutting down.
    Draining,
    /// The data volume has too little space.
    DiskFull,
    /// Its clock jumped, and its operator has not confirmed the time.
    ClockUnconfirmed,
    /// A write failed: the process ends.
    WriteFailed,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 4] =
        [Self::Draining, Self::DiskFull, Self::ClockUnconfirmed, Self::WriteFailed];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::DiskFull => "disk-full",
            Self::ClockUnconfirmed => "clock-unconfirmed",
            Self::WriteFailed => "write-failed",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Draining => 1,
            Self::DiskFull => 2,
            Self::ClockUnconfirmed => 4,
            Self::WriteFailed => 8,
        }
    }
}

/// The causes that hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness(u8);

impl Readiness {
    /// Whether records are taken.
    pub const fn is_ready(self) -> bool {
        self.0 == 0
    }

    /// Whether this cause holds.
    pub const fn has(self, cause: Cause) -> bool {
        self.0 & cause.bit() != 0
    }

    /// The same where a cause holds, or does not.
    #[must_use]
    pub const fn with(self, cause: Cause, holds: bool) -> Self {
        Self(if holds { self.0 | cause.bit() } else { self.0 & !cause.bit() })
    }
}

/// Tells everyone who watches whether a cause holds, if that is new.
pub(super) fn set(told: &watch::Sender<Readiness>, cause: Cause, holds: bool) {
    // Looked at first: this is asked with every group, and hardly ever changes anything.
    if told.borrow().has(cause) == holds {
        return;
    }
    told.send_if_modified(|readiness| {
        let changed = readiness.with(cause, holds);
        std::mem::replace(readiness, changed) != changed
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_holds_for_itself() {
        let (told, watched) = watch::channel(Readiness::default());
        assert!(watched.borrow().is_ready());
        for cause in Cause::ALL {
            set(&told, cause, true);
            assert!(watched.borrow().has(cause) && !watched.borrow().is_ready());
        }
        for cause in Cause::ALL {
            assert!(!watched.borrow().is_ready());
            set(&told, cause, false);
            assert!(!watched.borrow().has(cause));
        }
        assert!(watched.borrow().is_ready());
        assert_eq!(Cause::ALL.map(Cause::bit).iter().sum::<u8>(), 15, "no two share a bit");
    }

    #[test]
    fn what_is_said_again_wakes_nobody() {
        let (told, mut watched) = watch::channel(Readiness::default());
        set(&told, Cause::DiskFull, false);
        assert!(!watched.has_changed().unwrap());
        set(&told, Cause::DiskFull, true);
        assert!(watched.borrow_and_update().has(Cause::DiskFull));
        set(&told, Cause::DiskFull, true);
        assert!(!watched.has_changed().unwrap());
    }
}
