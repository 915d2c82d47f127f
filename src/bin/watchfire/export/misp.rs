//! `watchfire export misp`: a MISP feed in a folder, for a web server or `file://`.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;
use uuid::Uuid;
use watchfire::interop::exported::ExportedRecord;
use watchfire::interop::misp;
use watchfire::interop::misp::Feed;
use watchfire::model::handling::Tlp;
use watchfire::model::names::RecordName;
use watchfire::model::time::Timestamp;
use watchfire::profile::Profile;

use crate::context::Context;
use crate::export::Common;
use crate::export::follow;
use crate::export::follow::FollowFlags;
use crate::export::place::Place;
use crate::export::product::Product;
use crate::export::product::once;
use crate::output;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// The folder: manifest.json, hashes.csv, and a file for each event.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Leave out records with a stricter label than this.
    #[arg(long, value_name = "LABEL", default_value = "amber+strict")]
    tlp_max: Tlp,
    #[command(flatten)]
    follow: FollowFlags,
}

pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let profile = context.profile()?;
    let mut folder = FeedFolder::open(&args, &profile)?;
    if args.follow.is_on() {
        let state = folder.place.state("records.db");
        return follow::run(context, &args.common, &args.follow, state, folder).await;
    }
    let client = context.connect().await?;
    let filter = args.common.filter(&client).await?;
    once(&client, filter, &mut folder).await
}

/// A feed, and the folder that it is in.
struct FeedFolder {
    place: Place,
    feed: Feed,
    tlp_max: Tlp,
    /// The events in the folder.
    events: BTreeMap<Uuid, Written>,
    /// As of when they were made; never, at first.
    made: Timestamp,
}

/// What the manifest and the hashes need of an event.
struct Written {
    event: Value,
    hashes: BTreeSet<String>,
    records: usize,
    left_out: usize,
}

impl FeedFolder {
    fn open(args: &Args, profile: &Profile) -> anyhow::Result<Self> {
        let what = format!("a MISP feed of {}\n", profile.settings().exchange);
        Ok(Self {
            place: Place::folder(&args.out, &what)?,
            feed: Feed::new(args.tlp_max),
            tlp_max: args.tlp_max,
            events: BTreeMap::new(),
            made: Timestamp::default(),
        })
    }

    /// Puts an event in place, or the word that it is gone. What a MISP has of it already is said to be deleted.
    fn put(&mut self, uuid: Uuid, new: Option<&misp::Event>, now: Timestamp) -> anyhow::Result<()> {
        let name = format!("{uuid}.json");
        let there = self.place.read(&name)?;
        let old: Option<Value> =
            there.as_ref().and_then(|bytes| serde_json::from_slice(bytes).ok());
        let event = match (old, new) {
            // One that is no event was broken by somebody else: the new one mends it.
            (Some(old), Some(new)) => {
                misp::merge(&old, Some(&new.json), now).unwrap_or_else(|_none| new.json.clone())
            }
            (Some(old), None) => match misp::merge(&old, None, now) {
                Ok(event) => event,
                Err(_none) => return Ok(()),
            },
            (None, Some(new)) => new.json.clone(),
            (None, None) => {
                // What is too long to be read must not stay either.
                if there.is_none() {
                    self.place.remove(&name)?;
                }
                return Ok(());
            }
        };
        self.place.put(&name, &line(&event)?)?;
        let hashes = new.map(|new| new.hashes.clone()).unwrap_or_default();
        let written = Written {
            event: without_content(event),
            hashes,
            records: new.map_or(0, |new| new.records),
            left_out: new.map_or(0, |new| new.left_out),
        };
        self.events.insert(uuid, written);
        Ok(())
    }
}

impl Product for FeedFolder {
    fn put(&mut self, record: ExportedRecord) -> anyhow::Result<()> {
        Ok(self.feed.put(record)?)
    }

    fn remove(&mut self, name: &RecordName) -> anyhow::Result<()> {
        self.feed.remove(name);
        Ok(())
    }

    fn clear(&mut self) -> anyhow::Result<()> {
        self.feed = Feed::new(self.tlp_max);
        self.events.clear();
        self.made = Timestamp::default();
        Ok(())
    }

    fn write(&mut self, now: Timestamp) -> anyhow::Result<()> {
        let (events, mut gone) = self.feed.make(self.made, now);
        if self.made == Timestamp::default() {
            // What an earlier process left there and is no more.
            let names = self.place.names()?;
            let there = names.iter().filter_map(|name| name.strip_suffix(".json")?.parse().ok());
            gone.extend(
                there.filter(|there: &Uuid| events.iter().all(|event| event.uuid != *there)),
            );
        }
        for event in &events {
            self.put(event.uuid, Some(event), now)?;
        }
        for uuid in gone {
            self.put(uuid, None, now)?;
        }
        let hashes = self.events.iter().map(|(uuid, written)| (*uuid, &written.hashes));
        let hashes = misp::hashes_csv(hashes);
        let manifest = misp::manifest(self.events.values().map(|written| &written.event));
        // In this order: what the manifest lists is there.
        self.place.settle()?;
        self.place.put("hashes.csv", hashes.as_bytes())?;
        self.place.put("manifest.json", &line(&manifest)?)?;
        self.place.settle()?;
        self.made = now;
        Ok(())
    }

    fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        self.feed.next_change(now)
    }

    fn tell(&self) {
        let records: usize = self.events.values().map(|written| written.records).sum();
        output::note(&format!("{} events of {records} records", self.events.len()));
        let too_many: usize = self.events.values().map(|written| written.left_out).sum();
        if too_many > 0 {
            output::note(&format!("left out: {too_many} records for which an event has no room"));
        }
        if self.feed.too_strict() > 0 {
            let left_out = self.feed.too_strict();
            output::note(&format!(
                "left out: {left_out} records have a stricter label (--tlp-max)"
            ));
        }
    }
}

/// Without blanks: an event may have many thousands of attributes.
fn line(json: &Value) -> anyhow::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(json)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// What the manifest needs of it.
fn without_content(mut event: Value) -> Value {
    if let Some(Value::Object(event)) = event.get_mut("Event") {
        event.retain(|name, _value| {
            !matches!(name.as_str(), "Attribute" | "Object" | "EventReport")
        });
    }
    event
}
