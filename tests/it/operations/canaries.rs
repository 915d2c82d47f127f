//! T-X3: what is secret is in nothing that the hub writes or sends about itself, whatever it is asked to tell.

use std::path::Path;

use watchfire::model::filter::Filter;
use watchfire::wire::pb;

use super::audit_file;
use super::refusal;
use super::traces::Collector;
use super::traces::traced;
use crate::metrics::address_of_figures;
use crate::metrics::scrape;
use crate::taxii::tool::Tool;
use crate::world::World;
use crate::world::demand;
use crate::world::draft;
use crate::world::handling;
use crate::world::operation;
use crate::world::publish_for;
use crate::world::replay;
use crate::world::sign;
use crate::world::until;

/// A value that only named members may read.
const VALUE: &str = "canary-value-of-tlp-red.example";
const TITLE: &str = "Canary Title of the Heron";
const ASKED: &str = "canary-that-is-asked-for.example";

/// The secret parts of a PEM file: its lines without the frame.
fn secrets_of(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).expect("a key");
    let lines = text.lines().filter(|line| !line.starts_with("-----") && line.len() >= 16);
    let secrets: Vec<String> = lines.map(str::to_owned).collect();
    assert!(!secrets.is_empty(), "{} holds no key", path.display());
    secrets
}

/// The private number of a key in PKCS #8, as a program might print it: in hex, or as a list of bytes. What lies behind it
/// in the file may be the public key, which is in every certificate.
fn private_number(path: &Path) -> [String; 3] {
    use base64::Engine as _;
    let text = std::fs::read_to_string(path).expect("a key");
    let base64: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(base64).expect("base64");
    let at = der.windows(2).position(|pair| pair == [0x04, 0x20]).expect("32 private bytes") + 2;
    let secret = &der[at..at + 32];
    let list = format!("{:?}", &secret[8..16]);
    [
        hex::encode(&secret[..16]),
        hex::encode(&secret[16..]),
        list.trim_matches(['[', ']']).to_owned(),
    ]
}

#[expect(clippy::too_many_lines, reason = "one story, told in order")]
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_logs_figures_audit_log_or_traces() {
    let (collector, endpoint) = Collector::start().await;
    let mut world = traced(endpoint, "1.0").await;
    world.stop();
    let taxii = world.address().replace(":7443", ":7444");
    world.configure(&format!(
            "\n[metrics]\nlisten = \"127.0.0.1:0\"\n[log]\nfilter = \"trace\"\n[taxii]\nlisten = \"{taxii}\"\n"
        ),
    );
    world.start(&[]).await;
    let address = address_of_figures(&world).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let mut named = handling(&[], &["birch-social"]);
    named.tlp = watchfire::model::handling::Tlp::Red;
    let (record, _) = publish_for(&acme, crate::world::domain(VALUE), named.clone()).await;
    publish_for(&acme, operation(TITLE), named).await;
    demand(&world.watchfire("birch-social", &["lookup", ASKED, VALUE]));
    let seen = replay(&birch, Filter::default()).await;
    assert!(seen.len() > 2);
    // Refused, with the value in the record; and with a broken signature.
    let signer = acme.signer().expect("a key");
    let mut forged =
        sign(&acme, draft(&signer, crate::world::domain(VALUE), handling(&["all"], &[])));
    forged.signatures[0].sig = bytes::Bytes::from_static(&[7; 64]);
    let request = pb::PublishRequest { envelopes: vec![forged], ..pb::PublishRequest::default() };
    acme.exchange_service().publish(request).await.expect("an answer");
    assert!(refusal(&birch, crate::world::withdrawal(&record)).await.is_some());
    let tool = Tool::of(&world, "birch-social");
    let listed = tool.get("/exchange/collections/").await;
    let id = listed.body["collections"][0]["id"].as_str().expect("an id").to_owned();
    let objects = tool.get(&format!("/exchange/collections/{id}/objects/?limit=1")).await;
    let page = objects.body["next"].as_str().expect("a page behind this one").to_owned();
    assert!(page.len() > 16, "a token that is found by itself: {page}");
    let mut stream = crate::world::subscribe(
        &birch,
        watchfire::client::From::Start,
        Filter::default(),
        crate::world::Ends::AtHead,
    )
    .await;
    while stream.next().await.expect("a delivery").is_some() {}
    world.signal_hub("-HUP");
    until("spans are received", || async {
        collector.spans().iter().any(|span| span.name.ends_with("/Publish")).then_some(())
    })
    .await;
    let figures = scrape(address).await;
    let data = world.data();
    drop((acme, birch, stream));
    world.stop();

    let mut secrets = vec![VALUE.to_owned(), TITLE.to_owned(), ASKED.to_owned()];
    secrets.push(crate::world::CANARY.to_owned());
    secrets.push(page);
    for key in
        ["log.key", "tls/server.key", "profiles/operator/ca.key", "profiles/acme-video/tls.key"]
    {
        secrets.extend(private_number(&data.join(key)));
        secrets.extend(secrets_of(&data.join(key)));
    }
    let audit = std::fs::read_to_string(audit_file(&world)).expect("a text");
    let (log, traces) = (world.log_text(), collector.text());
    assert!(log.contains("TRACE"), "the log tells everything");
    assert!(audit.contains("BAD_SIGNATURE") && audit.contains("read.taxii"), "{audit}");
    for (place, text) in
        [("log", &log), ("figures", &figures), ("audit log", &audit), ("traces", &traces)]
    {
        let small = text.to_lowercase();
        for secret in &secrets {
            assert!(!small.contains(&secret.to_lowercase()), "{secret} is in the {place}");
        }
        // The check bites: the same search finds what is meant to be there.
        let open = if place == "log" { "serving" } else { "acme-video" };
        assert!(small.contains(open), "{open} is not in the {place}");
    }
    world.finish();
}

/// The limits of a core file's size: the one that holds, and the one up to which it may be raised.
fn core_limits(process: u32) -> String {
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).expect("its limits");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max core file size"));
    let [one, other, _unit] = line.expect("the limit").split_whitespace().collect::<Vec<_>>()[..]
    else {
        panic!("{limits}");
    };
    format!("{one} {other}")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_core_file_can_be_written_of_the_hub() {
    let world = World::with(&[("acme-video", "company")]).await;
    if core_limits(std::process::id()) == "0 0" {
        println!("no core file could be written of us either: nothing is shown");
    }
    assert_eq!(core_limits(world.process_id()), "0 0");
    world.finish();
}
