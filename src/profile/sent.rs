//! What was sent and taken in, for a while: should the hub's log be restored from a backup, receipts of what lies behind
//! its end are void, and the same bytes are sent again.
//!
//! A batch that was answered moves here from the outbox under a name that says where its records stand. That is one
//! rename instead of one removal, and the same one sync of a folder: if a crash takes it back, the batch waits in the
//! outbox again, is sent again, and has the same receipts.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::UNIX_EPOCH;

use uuid::Uuid;

use crate::model::time::Timestamp;
use crate::profile::ProfileError;
use crate::profile::Waiting;
use crate::profile::files;

/// How long what was sent is kept: longer than the oldest backup that anyone would restore.
pub const SENT_AGE_MAX: Duration = Duration::from_hours(35 * 24);
/// Bytes of all that is kept; the oldest goes first.
pub const SENT_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Files of all that is kept: one a batch.
pub const SENT_FILES_MAX: usize = 100_000;

/// Where the records of a batch stand, by their receipts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The epoch of the last one.
    pub epoch: u32,
    /// The lowest place.
    pub first: u64,
    /// The highest place.
    pub last: u64,
    /// How many there are.
    pub count: u64,
}

impl Span {
    /// With one more record.
    #[must_use]
    pub fn with(span: Option<Self>, epoch: u32, place: u64) -> Self {
        span.map_or(Self { epoch, first: place, last: place, count: 1 }, |span| Self {
            epoch: span.epoch.max(epoch),
            first: span.first.min(place),
            last: span.last.max(place),
            count: span.count.saturating_add(1),
        })
    }

    /// How many of its records may lie in an epoch after this one, or at this place and behind it.
    pub fn void_behind(&self, epoch: u32, place: u64) -> u64 {
        if self.epoch > epoch || self.first >= place {
            return self.count;
        }
        self.count.min(self.last.saturating_add(1).saturating_sub(place))
    }

    fn name(&self, id: &str) -> String {
        let Self { epoch, first, last, count } = self;
        format!("{id}.{epoch}.{first}.{last}.{count}.sent")
    }

    /// From the name of a file; the id of its batch with it.
    fn parse(name: &str) -> Option<(Uuid, Self)> {
        let mut parts = name.strip_suffix(".sent")?.split('.');
        let id = parts.next()?.parse().ok()?;
        let epoch = parts.next()?.parse().ok()?;
        let mut number = || parts.next()?.parse::<u64>().ok();
        let span = Self { epoch, first: number()?, last: number()?, count: number()? };
        (parts.next().is_none() && span.first <= span.last).then_some((id, span))
    }
}

/// A batch that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    path: PathBuf,
    id: Uuid,
    /// Where its records stand.
    pub span: Span,
}

/// The folder of what was sent.
#[derive(Clone, Debug)]
pub struct SentFolder {
    folder: PathBuf,
    outbox: PathBuf,
}

impl SentFolder {
    pub(super) fn at(folder: &Path, outbox: &Path) -> Result<Self, ProfileError> {
        files::create_folder(folder)?;
        Ok(Self { folder: folder.to_owned(), outbox: outbox.to_owned() })
    }

    /// Takes a batch over from the outbox, as it is.
    pub fn take(&self, waiting: &Waiting, span: &Span) -> Result<(), ProfileError> {
        let id = waiting.path().file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        // Another process of the same member may have answered, and moved it.
        match files::rename(waiting.path(), &self.folder.join(span.name(id))) {
            Err(ProfileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(())
            }
            moved => moved,
        }
    }

    /// Keeps records of a batch of which others wait still, or were refused.
    pub fn put(&self, bytes: &[u8], span: &Span) -> Result<(), ProfileError> {
        let name = span.name(&Uuid::now_v7().to_string());
        files::write_private(&self.folder.join(name), bytes)
    }

    /// Every batch that is kept, in the order in which they were signed.
    pub fn list(&self) -> Result<Vec<Sent>, ProfileError> {
        let failed = |source| ProfileError::Io { path: self.folder.clone(), verb: "read", source };
        let mut kept = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let parsed = path.file_name().and_then(|name| name.to_str()).and_then(Span::parse);
            if let Some((id, span)) = parsed {
                kept.push(Sent { path, id, span });
            }
        }
        kept.sort_unstable_by_key(|sent| sent.id);
        Ok(kept)
    }

    /// Puts a batch back into the outbox: its receipts are void.
    pub fn put_back(&self, sent: &Sent) -> Result<(), ProfileError> {
        files::rename(&sent.path, &self.outbox.join(format!("{}.batch", sent.id)))
    }

    /// Lets go of what is too old or too much.
    pub fn prune(&self, now: Timestamp) -> Result<(), ProfileError> {
        let (mut bytes, mut count) = (0_u64, 0_usize);
        for sent in self.list()?.into_iter().rev() {
            // Gone meanwhile: another process prunes, too.
            let Ok(metadata) = fs::metadata(&sent.path) else { continue };
            bytes = bytes.saturating_add(metadata.len());
            count += 1;
            let written =
                metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            let written = written.and_then(|since| u64::try_from(since.as_micros()).ok());
            let written = written.and_then(Timestamp::from_micros);
            let is_old = written.is_some_and(|time| now.saturating_since(time) > SENT_AGE_MAX);
            if is_old || bytes > SENT_BYTES_MAX || count > SENT_FILES_MAX {
                let_go(sent.path)?;
            }
        }
        Ok(())
    }
}

/// Without a sync: what comes back after a crash goes with the next.
fn let_go(path: PathBuf) -> Result<(), ProfileError> {
    match fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(ProfileError::Io { path, verb: "written", source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Clock as _;
    use crate::model::time::SystemClock;
    use crate::profile::Outbox;

    fn span(epoch: u32, first: u64, last: u64, count: u64) -> Span {
        Span { epoch, first, last, count }
    }

    #[test]
    fn a_name_says_where_a_batch_stands() {
        let id = Uuid::now_v7();
        let whole = span(2, 5, 9, 3);
        assert_eq!(Span::parse(&whole.name(&id.to_string())), Some((id, whole)));
        for other in ["x.2.5.9.3.sent", "", &format!("{id}.2.9.5.3.sent"), &format!("{id}.batch")] {
            assert_eq!(Span::parse(other), None, "{other}");
        }
        assert_eq!(Span::with(Some(Span::with(None, 1, 9)), 2, 5), span(2, 5, 9, 2));
    }

    #[test]
    fn what_is_void_lies_at_the_place_or_behind_it_or_in_a_later_epoch() {
        assert_eq!(span(1, 5, 9, 3).void_behind(1, 10), 0);
        assert_eq!(span(1, 5, 9, 3).void_behind(1, 9), 1);
        assert_eq!(span(1, 5, 9, 3).void_behind(1, 2), 3);
        assert_eq!(span(2, 5, 9, 3).void_behind(1, 100), 3);
    }

    #[test]
    fn a_batch_that_was_sent_can_wait_again() {
        let place = tempfile::tempdir().unwrap();
        let (sent, waits) = (place.path().join("sent"), place.path().join("outbox"));
        let outbox = Outbox::at(&waits).unwrap();
        let folder = SentFolder::at(&sent, &waits).unwrap();
        let waiting = outbox.put(b"bytes".to_vec()).unwrap();
        folder.take(&waiting, &span(1, 5, 9, 3)).unwrap();
        folder.take(&waiting, &span(1, 5, 9, 3)).unwrap();
        assert!(outbox.waiting().unwrap().is_empty());
        let kept = folder.list().unwrap();
        assert_eq!(kept.iter().map(|sent| sent.span).collect::<Vec<_>>(), [span(1, 5, 9, 3)]);
        folder.put_back(&kept[0]).unwrap();
        assert_eq!(outbox.waiting().unwrap(), [waiting]);
    }

    #[test]
    fn what_is_old_goes() {
        let place = tempfile::tempdir().unwrap();
        let folder = SentFolder::at(&place.path().join("sent"), place.path()).unwrap();
        folder.put(b"bytes", &span(1, 5, 9, 3)).unwrap();
        let now = SystemClock::default().now();
        folder.prune(now).unwrap();
        assert_eq!(folder.list().unwrap().len(), 1);
        folder.prune(now.saturating_add(SENT_AGE_MAX + Duration::from_mins(1))).unwrap();
        assert!(folder.list().unwrap().is_empty());
    }
}
