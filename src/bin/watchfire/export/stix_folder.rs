//! `watchfire export stix --follow`: a folder with a STIX bundle for each record.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use serde_json::json;
use watchfire::interop::exported::ExportedRecord;
use watchfire::interop::stix;
use watchfire::interop::stix::ids;
use watchfire::model::names::RecordName;
use watchfire::model::time::Timestamp;
use watchfire::profile::Profile;
use watchfire::wire::expiry;

use crate::context::Context;
use crate::crl::now;
use crate::export::Common;
use crate::export::follow;
use crate::export::follow::FollowFlags;
use crate::export::place::Place;
use crate::export::product::Product;
use crate::output;

/// Keeps a folder current.
pub(super) async fn run(
    context: &Context,
    common: &Common,
    flags: &FollowFlags,
    out: &Path,
) -> anyhow::Result<()> {
    let folder = BundleFolder::open(out, &context.profile()?)?;
    let state = folder.place.state("records.db");
    follow::run(context, common, flags, state, folder).await
}

/// The folder: a bundle for each record that stands; that of one that was taken back says so. One that ended, and one
/// whose body is gone, has none.
struct BundleFolder {
    place: Place,
    /// The files of records that were given.
    files: BTreeSet<String>,
    /// When those with an end go.
    ends: BTreeMap<RecordName, Timestamp>,
    /// Bundles that were there when an earlier process ended, until all records were given.
    earlier: Option<Vec<String>>,
}

impl BundleFolder {
    fn open(out: &Path, profile: &Profile) -> anyhow::Result<Self> {
        let what = format!("STIX bundles of {}\n", profile.settings().exchange);
        let place = Place::folder(out, &what)?;
        let earlier = Some(bundles(&place)?);
        Ok(Self { place, files: BTreeSet::new(), ends: BTreeMap::new(), earlier })
    }

    fn take_out(&mut self, name: &RecordName) -> anyhow::Result<()> {
        let file = file_name(name);
        self.ends.remove(name);
        self.files.remove(&file);
        self.place.remove(&file).map(drop)
    }
}

impl Product for BundleFolder {
    fn put(&mut self, record: ExportedRecord) -> anyhow::Result<()> {
        let name = record.name().clone();
        let end = expiry(&record.record.header, Some(&record.record.body));
        let mut ids_seen = BTreeSet::new();
        let objects: Vec<Value> = stix::objects(&record)
            .into_iter()
            .filter(|object| ids_seen.insert(object.id().to_owned()))
            .map(|object| Value::Object(object.json))
            .collect();
        if objects.is_empty() || end.is_some_and(|end| end <= now()) {
            return self.take_out(&name);
        }
        self.ends.remove(&name);
        self.ends.extend(end.map(|end| (name.clone(), end)));
        let file = file_name(&name);
        let id = ids::of_record("bundle", &name, "bundle");
        let bundle = json!({ "type": "bundle", "id": id, "objects": objects });
        let mut bytes = serde_json::to_vec(&bundle)?;
        bytes.push(b'\n');
        self.place.put(&file, &bytes)?;
        self.files.insert(file);
        Ok(())
    }

    fn remove(&mut self, name: &RecordName) -> anyhow::Result<()> {
        self.take_out(name)
    }

    fn clear(&mut self) -> anyhow::Result<()> {
        self.files.clear();
        self.ends.clear();
        self.earlier = Some(bundles(&self.place)?);
        Ok(())
    }

    fn write(&mut self, now: Timestamp) -> anyhow::Result<()> {
        for file in self.earlier.take().unwrap_or_default() {
            if !self.files.contains(&file) {
                self.place.remove(&file)?;
            }
        }
        let ended = self.ends.iter().filter(|(_name, end)| **end <= now);
        let ended: Vec<RecordName> = ended.map(|(name, _end)| name.clone()).collect();
        for name in ended {
            self.take_out(&name)?;
        }
        self.place.settle()
    }

    fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        self.ends.values().copied().filter(|end| *end > now).min()
    }

    fn tell(&self) {
        output::note(&format!("{} bundles", self.files.len()));
    }
}

/// Members and ids have few characters, and none that means something in a path.
fn file_name(name: &RecordName) -> String {
    format!("{}--{}.json", name.member, name.record)
}

/// The files that are bundles by their names. All others are somebody else's: a web server's, or a word to readers.
fn bundles(place: &Place) -> anyhow::Result<Vec<String>> {
    let mut names = place.names()?;
    names.retain(|name| is_bundle(name));
    Ok(names)
}

/// Whether a name is one that [`file_name`] gives.
fn is_bundle(file: &str) -> bool {
    let parts = file.strip_suffix(".json").and_then(|stem| stem.rsplit_once("--"));
    let name = parts.map(|(member, record)| format!("members/{member}/records/{record}"));
    name.and_then(|name| name.parse().ok()).is_some_and(|name| file_name(&name) == file)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_what_is_named_as_a_bundle_is_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("stix");
        let place = Place::folder(&path, "tests").unwrap();
        let bundle = "acme--video--01890a5d-ac96-774b-bcce-b302099a8057.json";
        let others = [
            ".htaccess",
            "README.md",
            "notes.json",
            "a--b.json",
            "acme--01890A5D-AC96-774B-BCCE-B302099A8057.json",
            "acme--01890a5d-ac96-774b-bcce-b302099a8057.json.bak",
        ];
        for name in others.into_iter().chain([bundle]) {
            fs::write(path.join(name), "{}").unwrap();
        }
        let earlier = Some(bundles(&place).unwrap());
        let mut folder =
            BundleFolder { place, files: BTreeSet::new(), ends: BTreeMap::new(), earlier };
        folder.write(Timestamp::default()).unwrap();
        assert!(!path.join(bundle).exists());
        assert!(others.iter().all(|name| path.join(name).exists()));
    }
}
