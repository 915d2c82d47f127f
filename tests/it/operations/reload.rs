//! A signal to load again while streams stay open: what can change does, whole or not at all, and what cannot is named.

use std::path::PathBuf;

use watchfire::client::From;
use watchfire::model::filter::Filter;
use watchfire::wire::pb;

use super::line_of;
use crate::metrics::figure;
use crate::metrics::figures;
use crate::metrics::watched;
use crate::world::Ends;
use crate::world::World;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::next_entries;
use crate::world::publish;
use crate::world::sign;
use crate::world::subscribe;
use crate::world::until;

fn settings(world: &World) -> PathBuf {
    world.data().join("watchfired.toml")
}

/// Sends the signal, and waits until the log says this once more than before.
async fn reload(world: &World, said: &str) {
    let before = world.log_text().matches(said).count();
    world.signal_hub("-HUP");
    until(said, || async { (world.log_text().matches(said).count() > before).then_some(()) }).await;
}

/// How many warnings a publisher hears about a value.
async fn warnings(client: &watchfire::client::Client, value: &str) -> usize {
    let signer = client.signer().expect("a key");
    let envelope = sign(client, draft(&signer, domain(value), handling(&["companies"], &[])));
    let request = pb::PublishRequest { envelopes: vec![envelope], ..pb::PublishRequest::default() };
    let answer = client.exchange_service().publish(request).await.expect("an answer").into_inner();
    answer.results[0].warnings.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_filter_retention_and_limits_change_while_streams_stay_open() {
    let (world, address) = watched().await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let mut stream = subscribe(&birch, From::Now, Filter::default(), Ends::Never).await;
    assert_eq!(warnings(&acme, "common.example").await, 0);
    next_entries(&mut stream).await;

    let list = r#"{"name": "ours", "type": "hostname", "version": 1, "description": "", "matching_attributes": ["domain"], "list": ["common.example"]}"#;
    std::fs::write(world.data().join("ours.json"), list).expect("it is written");
    world.configure("\n[warnings]\nlists = [\"ours.json\"]\n[log]\nfilter = \"debug\"\n[retention]\ndays = 3650\n\
         [connections]\nper_member = 1\n[store]\nopen_seconds = 61\n",
    );
    reload(&world, "configuration reloaded").await;
    let log = world.log_text();
    let line = log.lines().find(|line| line.contains("configuration reloaded")).expect("a line");
    for setting in ["log.filter", "retention", "warnings.lists", "connections"] {
        assert!(line.contains(setting), "{line}");
    }
    let waiting = log.lines().find(|line| line.contains("settings that need a restart"));
    assert!(waiting.is_some_and(|line| line.contains("store.open_seconds")), "{log}");
    line_of(&world, "config.reload", "done").await;

    assert_eq!(warnings(&acme, "common.example").await, 1, "the list holds");
    let entries = next_entries(&mut stream).await;
    assert_eq!(entries.len(), 1, "the stream was not cut");
    let refused = r#"tls_refusals_total{reason="too-many-of-member"}"#;
    let before = figure(&figures(address).await, refused);
    // The one that is open stays; a further one is one too many.
    let profile = watchfire::profile::Profile::open(&world.profile_folder("birch-social"));
    let keys = profile.expect("a profile").tls().expect("its keys");
    assert!(watchfire::tls::connect(&world.address(), &keys).await.is_err());
    assert!(figure(&figures(address).await, refused) > before);
    assert!(world.log_text().contains("DEBUG"), "the filter holds");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_changes_nothing_and_is_an_alarm_until_it_is_mended() {
    let (world, address) = watched().await;
    let acme = world.client("acme-video").await;
    let good = std::fs::read_to_string(settings(&world)).expect("a text");
    let failing = async || figure(&figures(address).await, "config_reload_failing");
    let wrong = [
        "\n[log]\nfilter = \"debug\"\n[warnings]\nlists = [\"missing.json\"]\n",
        "\n[log]\nfilter = \"debug\"\nfilters = \"debug\"\n",
        "\n[log]\nfilter = \"a=b=c\"\n",
        "\n[log]\nfilter = \"debug\"\n[[frameworks]]\nfile = \"missing.json\"\n",
        "\n[log]\nfilter = \"debug\"\n[retention]\ndays = 0\n",
        "not TOML",
    ];
    for text in wrong {
        std::fs::write(settings(&world), format!("{good}{text}")).expect("it is written");
        reload(&world, "configuration not reloaded: the old one stays in use").await;
        assert!(failing().await > 0.5, "{text}");
        publish(&acme, domain("one.example")).await;
        assert!(!world.log_text().contains("DEBUG"), "a part of it was taken: {text}");
    }
    std::fs::remove_file(settings(&world)).expect("it was there");
    reload(&world, "configuration not reloaded: the old one stays in use").await;
    assert!(failing().await > 0.5, "a file that went away is no wish for the defaults");
    line_of(&world, "config.reload", "failed").await;
    std::fs::write(settings(&world), good).expect("it is written");
    reload(&world, "configuration reloaded").await;
    assert!(failing().await < 0.5);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_no_record_is_refused_and_no_stream_ends() {
    let (world, _) = watched().await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let mut stream = subscribe(&birch, From::Now, Filter::default(), Ends::Never).await;
    let publishing = async {
        for _record in 0..60 {
            publish(&acme, domain("one.example")).await;
        }
    };
    let reloading = async {
        for _time in 0..10 {
            reload(&world, "configuration reloaded").await;
        }
    };
    tokio::join!(publishing, reloading);
    let mut received = 0;
    while received < 60 {
        received += next_entries(&mut stream).await.len();
    }
    assert_eq!(received, 60, "each once");
    world.finish();
}
