//! Keeps the place of a subscription in a file, if there is one.

use std::path::PathBuf;

use watchfire::client::Batch;
use watchfire::client::InvalidPlace;
use watchfire::client::Origin;
use watchfire::client::Place;
use watchfire::client::Run;
use watchfire::profile::Offered;
use watchfire::profile::SavedCursor;

use crate::failure::Failure;

/// Keeps the place in a file.
pub(crate) struct Keeper {
    file: Option<(PathBuf, Origin)>,
    /// What the file says.
    place: Place,
    offered: Option<Offered>,
}

impl Keeper {
    /// Keeps no place.
    pub(crate) fn nowhere() -> Self {
        Self { file: None, place: Place::default(), offered: None }
    }

    /// With where it stood; refuses a place that was made for something else.
    pub(crate) fn open(file: PathBuf, origin: Origin) -> anyhow::Result<(Self, Option<Place>)> {
        let saved = SavedCursor::load(&file)?;
        let refusal = |error: InvalidPlace| {
            Failure::Usage(format!("{} cannot be used: {error}", file.display()))
        };
        let place = saved.as_ref().map(|saved| origin.place(saved)).transpose().map_err(refusal)?;
        let place = place.unwrap_or_default();
        let offered = saved.and_then(|saved| saved.offered);
        let known = (place != Place::default()).then(|| place.clone());
        Ok((Self { file: Some((file, origin)), place, offered }, known))
    }

    /// Where the batch ends that was offered and not acknowledged.
    pub(crate) const fn offered(&self) -> Option<Offered> {
        self.offered
    }

    /// Notes that a batch is offered, so that it can be offered again as it is.
    pub(crate) fn offer(&mut self, batch: &Batch) -> anyhow::Result<()> {
        self.offered = match (batch.run, batch.span()) {
            (Run::Forward, Some((epoch, _first, sequence))) => Some(Offered { epoch, sequence }),
            (Run::Backfill, _) | (Run::Forward, None) => return Ok(()),
        };
        self.write()
    }

    /// Everything up to this place took effect.
    pub(crate) fn save(&mut self, place: &Place) -> anyhow::Result<()> {
        self.place = place.clone();
        // A mark that comes before the batch that was offered does not settle it.
        self.offered = self.offered.filter(|offered| {
            let is_before = |at| (place.epoch, at) < (offered.epoch, offered.sequence);
            place.sequence.is_none_or(is_before)
        });
        self.write()
    }

    fn write(&self) -> anyhow::Result<()> {
        let Some((file, origin)) = &self.file else {
            return Ok(());
        };
        let saved = SavedCursor { offered: self.offered, ..origin.saved(&self.place) };
        Ok(saved.save(file)?)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use watchfire::client::Cursor;

    use watchfire::model::filter::Filter;
    use watchfire::model::header::BodyKind;
    use watchfire::model::names::ExchangeName;
    use watchfire::model::roster::Role;
    use watchfire::profile::Settings;

    use super::*;

    fn open(file: &Path, kinds: &[BodyKind]) -> anyhow::Result<(Keeper, Option<Place>)> {
        let settings = Settings {
            address: "127.0.0.1:7443".to_owned(),
            server_name: "localhost".to_owned(),
            exchange: ExchangeName::from_name("exchanges/spring-0123456789abcdef")?,
            trust_domain: "spring.watchfire.internal".to_owned(),
            member: "birch-social".parse()?,
            role: Role::Company,
            hub_data: None,
            witnesses: None,
        };
        let filter = Filter { body_kinds: kinds.to_vec(), ..Filter::default() };
        Keeper::open(file.to_owned(), Origin::new(&settings, &filter))
    }

    fn cursor(bytes: &[u8]) -> Cursor {
        Cursor { bytes: bytes.to_vec(), position: 9 }
    }

    #[test]
    fn a_cursor_of_another_filter_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cursor.json");
        let place = Place { cursor: Some(cursor(&[1, 2])), epoch: 1, sequence: Some(9) };
        let (mut keeper, none) = open(&file, &[]).unwrap();
        assert_eq!(none, None);
        keeper.save(&place).unwrap();
        assert_eq!(open(&file, &[]).unwrap().1, Some(place));
        let error = open(&file, &[BodyKind::Indicator]).err().unwrap();
        assert!(error.to_string().contains("another filter"), "{error}");
    }

    #[test]
    fn what_was_offered_is_known_until_it_is_acknowledged() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cursor.json");
        let (mut keeper, _none) = open(&file, &[]).unwrap();
        keeper.offered = Some(Offered { epoch: 1, sequence: 9 });
        keeper.write().unwrap();
        let (mut keeper, place) = open(&file, &[]).unwrap();
        assert_eq!((keeper.offered(), place), (Some(Offered { epoch: 1, sequence: 9 }), None));
        let before = Place { cursor: Some(cursor(&[1])), epoch: 1, sequence: Some(8) };
        keeper.save(&before).unwrap();
        assert_eq!(open(&file, &[]).unwrap().0.offered(), Some(Offered { epoch: 1, sequence: 9 }));
        let place = Place { cursor: None, epoch: 1, sequence: Some(9) };
        keeper.save(&place).unwrap();
        let (keeper, saved) = open(&file, &[]).unwrap();
        assert_eq!((keeper.offered(), saved), (None, Some(place)));
    }
}
