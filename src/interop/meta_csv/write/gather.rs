//! From exported records to sheets: an operation with its indicators is a file.

use std::collections::BTreeMap;
use std::collections::HashMap;

use crate::interop::exported::ExportedRecord;
use crate::interop::meta_csv::write::Asset;
use crate::interop::meta_csv::write::Sheet;
use crate::model::names::RecordName;
use crate::wire::body::Content;
use crate::wire::pb;

/// What indicators are filed under that belong to no operation.
const WITHOUT: &str = "Without an operation";

/// Records as they come, sorted into sheets.
#[derive(Debug, Default)]
pub struct Gathered {
    operations: Vec<(RecordName, pb::Operation)>,
    assets: Vec<(Option<RecordName>, Asset)>,
    others: BTreeMap<&'static str, u64>,
}

impl Gathered {
    /// Takes the next record, in the order of the log.
    pub fn take(&mut self, exported: &ExportedRecord) {
        let record = &exported.record;
        match (&record.content, &record.body.content) {
            (
                Content::Indicator { form, operation, .. },
                Some(pb::body::Content::Indicator(said)),
            ) => {
                let asset = Asset { form: form.clone(), indicator: said.clone() };
                self.assets.push((operation.clone(), asset));
            }
            (Content::Operation, Some(pb::body::Content::Operation(said))) => {
                self.operations.push((record.header.name.clone(), said.clone()));
            }
            _ => *self.others.entry(record.header.body_kind.as_str()).or_default() += 1,
        }
    }

    /// Records that no list has a place for, by kind; erased ones among them.
    pub const fn others(&self) -> &BTreeMap<&'static str, u64> {
        &self.others
    }

    /// The sheets: of operations in the order of the log, then of operations that are not here, then of none.
    pub fn into_sheets(self) -> Vec<Sheet> {
        let Self { operations, assets, .. } = self;
        let mut sheets: Vec<Sheet> = Vec::new();
        let mut places: HashMap<Option<RecordName>, usize> = HashMap::new();
        // A later part is told by its title alone, so that it is looked for when all first parts are known.
        let mut firsts: HashMap<(String, String), usize> = HashMap::new();
        let (later, first): (Vec<_>, Vec<_>) =
            operations.into_iter().partition(|(_, said)| part_of(&said.title).is_some());
        for (name, said) in first {
            let key = (name.member.to_string(), said.title.clone());
            firsts.entry(key).or_insert(sheets.len());
            places.insert(Some(name), sheets.len());
            sheets.push(Sheet { title: said.title.clone(), parts: vec![said], assets: vec![] });
        }
        for (name, said) in later {
            let title = part_of(&said.title).unwrap_or_default().to_owned();
            let sheet = firsts.get(&(name.member.to_string(), title));
            if let Some(sheet) = sheet.and_then(|place| sheets.get_mut(*place)) {
                sheet.parts.push(said);
            } else {
                places.insert(Some(name), sheets.len());
                sheets.push(Sheet { title: said.title.clone(), parts: vec![said], assets: vec![] });
            }
        }
        for (operation, asset) in assets {
            let title = || match &operation {
                Some(name) => format!("Operation {}", name.record),
                None => WITHOUT.to_owned(),
            };
            let place = *places.entry(operation.clone()).or_insert_with(|| {
                sheets.push(Sheet { title: title(), ..Sheet::default() });
                sheets.len().saturating_sub(1)
            });
            if let Some(sheet) = sheets.get_mut(place) {
                sheet.assets.push(asset);
            }
        }
        sheets
    }
}

/// `Lantern` of `Lantern (part 2)`, as the importer names what is too long for one record.
fn part_of(title: &str) -> Option<&str> {
    let (first, number) = title.strip_suffix(')')?.rsplit_once(" (part ")?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(first)
}
