//! Reading a bundle that may be anything.
//!
//! What is kept is the text of each object, never a tree of all of them, so that memory is bounded by
//! [`BUNDLE_BYTES_MAX`], and about 200 bytes an object, of which there are at most [`OBJECTS_MAX`]. An object is taken
//! apart when it is its turn, which costs some ten times [`OBJECT_BYTES_MAX`] at most.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::io::BufRead;
use std::io::Read;
use std::rc::Rc;

use serde::de::DeserializeSeed;
use serde::de::Deserializer;
use serde::de::Error as _;
use serde::de::IgnoredAny;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;
use serde_json::Map;
use serde_json::Value;
use serde_json::value::RawValue;

/// Bytes of a bundle: the largest public ones have some tens of millions.
pub const BUNDLE_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Bytes of an object: ours have up to 250,000, of which the envelope takes most.
pub const OBJECT_BYTES_MAX: u64 = 1024 * 1024;
/// Objects of a bundle.
pub const OBJECTS_MAX: usize = 500_000;
/// Bytes of an id: a type of 250 letters, and a UUID.
const ID_BYTES_MAX: usize = 300;

/// Why a file is not read as a bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// It is not in UTF-8.
    #[error("it is written in {0}; STIX is written in UTF-8")]
    Encoding(&'static str),
    /// It is not JSON, or too much of it; with line and column.
    #[error("{0}")]
    Json(serde_json::Error),
    /// It is something else.
    #[error("it is {0}, and not a STIX bundle with its objects")]
    NotABundle(String),
    /// One id, twice, of two objects.
    #[error("{0} is there twice and says two things")]
    Conflict(String),
    /// The disk.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// An object of a bundle, not taken apart yet.
#[derive(Debug)]
pub struct Given {
    /// Which of the bundle's objects, from 1.
    pub number: usize,
    /// Its id; empty if it has none that is one.
    pub id: String,
    /// Its type, which its id begins with; empty if it has none.
    pub kind: String,
    raw: Box<RawValue>,
}

impl Given {
    /// Its properties; the reason if it has none.
    pub fn json(&self) -> Result<Map<String, Value>, String> {
        serde_json::from_str(self.raw.get()).map_err(|error| unreadable(&error))
    }

    /// What people call it: its id, or its number.
    pub fn label(&self) -> String {
        if self.id.is_empty() { format!("object {}", self.number) } else { self.id.clone() }
    }
}

fn unreadable(error: &serde_json::Error) -> String {
    if error.to_string().starts_with("recursion limit") {
        return "it is nested more than 127 deep".to_owned();
    }
    format!("it is no object: {error}")
}

/// What a bundle holds.
#[derive(Debug, Default)]
pub struct Bundle {
    /// Its objects, each id once, in the newest of its versions.
    pub objects: Vec<Given>,
    /// Objects that say again what another one says.
    pub duplicates: u64,
    /// Older versions of objects, by id.
    pub older: Vec<String>,
    /// Objects that cannot be taken apart, or have no id: what they are called, and why.
    pub unreadable: Vec<(String, String)>,
}

impl Bundle {
    /// How many objects there are, of any sort.
    pub fn count(&self) -> u64 {
        let kept = self.objects.len() + self.older.len() + self.unreadable.len();
        self.duplicates + u64::try_from(kept).unwrap_or(u64::MAX)
    }
}

/// Reads a bundle.
pub fn read(input: impl Read) -> Result<Bundle, BundleError> {
    let meter = Rc::new(Meter::default());
    let mut input = io::BufReader::new(Metered { input, meter: Rc::clone(&meter) });
    demand_utf8(&mut input)?;
    let mut reader = serde_json::Deserializer::from_reader(input);
    let found = TopLevel { meter: &meter }.deserialize(&mut reader);
    let found = found.and_then(|found| reader.end().map(|()| found)).map_err(json)?;
    match found {
        Top { kind: Some(kind), objects: Some(objects) } if kind == "bundle" => sorted(objects),
        Top { kind: Some(kind), .. } if kind == "bundle" => Ok(Bundle::default()),
        Top { kind: Some(kind), .. } => {
            let kind: String = kind.chars().take(80).collect();
            Err(BundleError::NotABundle(format!("of the type {kind:?}")))
        }
        Top { kind: None, .. } => Err(BundleError::NotABundle("without a type".to_owned())),
    }
}

/// An I/O error says itself; all others say line and column.
fn json(error: serde_json::Error) -> BundleError {
    if error.is_io() { BundleError::Io(error.into()) } else { BundleError::Json(error) }
}

/// Skips the mark that some editors put before UTF-8; refuses what looks like another encoding.
fn demand_utf8(input: &mut impl BufRead) -> Result<(), BundleError> {
    let start = input.fill_buf()?;
    match start {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] | [0, 0, 0, _, ..] => {
            Err(BundleError::Encoding("UTF-32"))
        }
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, ..] => {
            Err(BundleError::Encoding("UTF-16"))
        }
        [0x1f, 0x8b, ..] => Err(BundleError::Encoding("gzip")),
        [b'P', b'K', 3, 4, ..] => Err(BundleError::Encoding("zip")),
        [0xef, 0xbb, 0xbf, ..] => {
            input.consume(3);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Counts what was read, in all and of one object.
#[derive(Debug, Default)]
struct Meter {
    all: Cell<u64>,
    object: Cell<u64>,
    in_object: Cell<bool>,
}

struct Metered<R> {
    input: R,
    meter: Rc<Meter>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(into)?;
        let bytes = u64::try_from(count).unwrap_or(u64::MAX);
        let Meter { all, object, in_object } = self.meter.as_ref();
        all.set(all.get().saturating_add(bytes));
        object.set(object.get().saturating_add(bytes));
        if all.get() > BUNDLE_BYTES_MAX {
            return Err(io::Error::other(format!(
                "the bundle has more than {BUNDLE_BYTES_MAX} bytes"
            )));
        }
        // The buffer reads ahead: an object may be a little larger before it is noticed.
        if in_object.get() && object.get() > OBJECT_BYTES_MAX {
            return Err(io::Error::other(format!(
                "an object or another value has more than {OBJECT_BYTES_MAX} bytes, behind byte {}",
                all.get().saturating_sub(object.get())
            )));
        }
        Ok(count)
    }
}

impl Meter {
    /// The next value begins.
    fn begin(&self) {
        self.object.set(0);
        self.in_object.set(true);
    }
}

#[derive(Default)]
struct Top {
    kind: Option<String>,
    objects: Option<Vec<Box<RawValue>>>,
}

struct TopLevel<'a> {
    meter: &'a Meter,
}

impl<'de> DeserializeSeed<'de> for TopLevel<'_> {
    type Value = Top;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Top, D::Error> {
        self.meter.begin();
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for TopLevel<'_> {
    type Value = Top;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a STIX bundle")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Top, A::Error> {
        let mut top = Top::default();
        while let Some(key) = map.next_key::<String>()? {
            self.meter.begin();
            match key.as_str() {
                "type" if top.kind.is_none() => top.kind = Some(map.next_value()?),
                "objects" if top.objects.is_none() => {
                    top.objects = Some(map.next_value_seed(Objects { meter: self.meter })?);
                }
                "type" | "objects" => {
                    return Err(A::Error::custom(format!("the bundle has {key:?} twice")));
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
            self.meter.begin();
        }
        Ok(top)
    }
}

struct Objects<'a> {
    meter: &'a Meter,
}

impl<'de> DeserializeSeed<'de> for Objects<'_> {
    type Value = Vec<Box<RawValue>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Objects<'_> {
    type Value = Vec<Box<RawValue>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut objects = Vec::new();
        self.meter.begin();
        while let Some(object) = list.next_element::<Box<RawValue>>()? {
            self.meter.begin();
            if objects.len() >= OBJECTS_MAX {
                return Err(A::Error::custom(format!("more than {OBJECTS_MAX} objects")));
            }
            objects.push(object);
        }
        Ok(objects)
    }
}

/// What an object is known by.
#[derive(serde::Deserialize)]
struct Name {
    #[serde(default)]
    id: Value,
    #[serde(default, rename = "type")]
    kind: Value,
}

/// Each id once.
fn sorted(raw: Vec<Box<RawValue>>) -> Result<Bundle, BundleError> {
    let mut bundle = Bundle::default();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (number, raw) in (1..).zip(raw) {
        let given = match named(number, raw) {
            Ok(given) => given,
            Err(why) => {
                bundle.unreadable.push((format!("object {number}"), why));
                continue;
            }
        };
        let Some(place) = places.get(&given.id).copied() else {
            places.insert(given.id.clone(), bundle.objects.len());
            bundle.objects.push(given);
            continue;
        };
        let Some(known) = bundle.objects.get_mut(place) else { continue };
        match newer(known, &given) {
            Newer::Same => bundle.duplicates += 1,
            Newer::Conflict => return Err(BundleError::Conflict(given.id)),
            Newer::First => bundle.older.push(given.id),
            Newer::Second => {
                bundle.older.push(given.id.clone());
                *known = given;
            }
        }
    }
    Ok(bundle)
}

/// The id and the type, which must agree.
fn named(number: usize, raw: Box<RawValue>) -> Result<Given, String> {
    let name: Name = serde_json::from_str(raw.get()).map_err(|error| unreadable(&error))?;
    let Value::String(kind) = name.kind else { return Err("it has no type".to_owned()) };
    let Value::String(id) = name.id else {
        let kind: String = kind.chars().take(80).collect();
        return Err(format!("a {kind} without an id"));
    };
    let is_id = id.len() <= ID_BYTES_MAX
        && id
            .strip_prefix(&kind)
            .and_then(|rest| rest.strip_prefix("--"))
            .is_some_and(|uuid| uuid.len() == 36 && uuid::Uuid::try_parse(uuid).is_ok());
    if !is_id {
        let id: String = id.chars().take(80).collect();
        return Err(format!("its id {id:?} is not its type, two hyphens and a UUID"));
    }
    Ok(Given { number, id, kind, raw })
}

enum Newer {
    First,
    Second,
    Same,
    Conflict,
}

/// Which of two objects of one id counts. Versions are told apart by when they were modified.
fn newer(first: &Given, second: &Given) -> Newer {
    if first.raw.get() == second.raw.get() {
        return Newer::Same;
    }
    let (Ok(first), Ok(second)) = (first.json(), second.json()) else { return Newer::Conflict };
    if first == second {
        return Newer::Same;
    }
    let modified = |object: &Map<String, Value>| {
        object.get("modified")?.as_str()?.parse::<jiff::Timestamp>().ok()
    };
    match (modified(&first), modified(&second)) {
        (Some(first), Some(second)) if first > second => Newer::First,
        (Some(first), Some(second)) if first < second => Newer::Second,
        _ => Newer::Conflict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "identity--01890a5d-ac96-474b-bcce-b302099a8057";

    fn bundle(objects: &str) -> String {
        format!("{{\"type\": \"bundle\", \"objects\": [{objects}]}}")
    }

    #[track_caller]
    fn check_refused(text: &[u8], why: &str) {
        let told = read(text).unwrap_err().to_string();
        assert!(told.contains(why), "{told}");
    }

    #[test]
    fn a_bundle_is_read_whatever_the_order_of_its_fields() {
        let object = format!("{{\"id\": \"{A}\", \"type\": \"identity\"}}");
        let text =
            format!("\u{feff}{{\"objects\": [{object}], \"x\": [1, {{}}], \"type\": \"bundle\"}}");
        let whole = read(text.as_bytes()).unwrap();
        assert_eq!((whole.objects.len(), whole.count()), (1, 1));
        assert_eq!((whole.objects[0].id.as_str(), whole.objects[0].kind.as_str()), (A, "identity"));
        assert_eq!(read(&b"{\"type\": \"bundle\"}"[..]).unwrap().count(), 0);
    }

    #[test]
    fn what_is_no_bundle_is_told_what_it_is_and_where() {
        check_refused(b"\xff\xfe{\0", "UTF-16");
        check_refused(b"{\0\"\0", "UTF-16");
        check_refused(b"\0\0\0{", "UTF-32");
        check_refused(b"\x1f\x8b\x08", "gzip");
        check_refused(b"", "line 1 column 0");
        check_refused(b"{\"type\": \"bundle\",\n \"objects\": [{]}", "line 2");
        check_refused(b"{\"type\": \"bundle\", \"objects\": [\"\xff\"]}", "line 1");
        check_refused(b"{\"type\": \"indicator\"}", "of the type \"indicator\"");
        check_refused(b"[]", "a STIX bundle");
        check_refused(b"{}", "without a type");
        check_refused(b"{\"type\": \"bundle\", \"objects\": {}}", "a list of objects");
        check_refused(b"{\"objects\": [], \"objects\": [], \"type\": \"bundle\"}", "twice");
        check_refused(b"{\"type\": \"bundle\"} {}", "trailing");
    }

    #[test]
    fn an_object_that_cannot_be_taken_apart_does_not_stand_in_the_way_of_others() {
        let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
        let other = A.replace("identity--0", "identity--1");
        let deep = format!("{{\"id\": \"{other}\", \"type\": \"identity\", \"x\": {open}{close}}}");
        let good = format!("{{\"id\": \"{A}\", \"type\": \"identity\"}}");
        let objects = format!(
            "{deep}, {good}, 5, {{}}, {{\"type\": \"url\", \"id\": \"{A}\"}}, {{\"type\": \"url\"}}"
        );
        let read = read(bundle(&objects).as_bytes()).unwrap();
        assert_eq!(read.count(), 6);
        let told: Vec<String> =
            read.unreadable.iter().map(|(object, why)| format!("{object}: {why}")).collect();
        assert!(told.iter().any(|told| told.starts_with("object 3: it is no object")), "{told:?}");
        assert!(told.iter().any(|told| told.starts_with("object 5: its id")), "{told:?}");
        assert!(told.contains(&"object 6: a url without an id".to_owned()), "{told:?}");
        assert_eq!(read.objects[0].json().unwrap_err(), "it is nested more than 127 deep");
    }

    #[test]
    fn one_id_is_one_object_in_its_newest_version() {
        let version = |modified: &str, name: &str| {
            format!(
                "{{\"id\": \"{A}\", \"type\": \"identity\", \"modified\": \"{modified}\", \"name\": \"{name}\"}}"
            )
        };
        let (old, new) =
            (version("2020-01-01T00:00:00Z", "a"), version("2021-01-01T00:00:00Z", "b"));
        let read = read(bundle(&format!("{old}, {new}, {old}, {new}")).as_bytes()).unwrap();
        assert_eq!((read.objects.len(), read.older.len(), read.duplicates), (1, 2, 1));
        assert_eq!(read.objects[0].json().unwrap()["name"], "b");
        let other = version("2021-01-01T00:00:00Z", "c");
        check_refused(bundle(&format!("{new}, {other}")).as_bytes(), "says two things");
    }

    #[test]
    fn what_is_too_large_is_given_up_before_it_is_held() {
        let long = format!("{{\"x\": \"{}\"}}", "a".repeat(2 * 1024 * 1024));
        check_refused(bundle(&long).as_bytes(), "more than 1048576 bytes, behind byte");
        check_refused(
            format!("{{\"type\": \"{}\"}}", "a".repeat(2 * 1024 * 1024)).as_bytes(),
            "more than",
        );
        let endless = b"{\"type\": \"bundle\", \"objects\": [".chain(io::repeat(b' '));
        let told = read(endless).unwrap_err().to_string();
        assert!(told.contains("has more than"), "{told}");
    }
}
