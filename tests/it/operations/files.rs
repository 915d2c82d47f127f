//! Files of TLS that are no good, put in place under the running hub (T-T6): it goes on with what it has, lets in whom it
//! let in, keeps out whom it kept out, and says so until they are mended.

use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;

use watchfire::client::Client;
use watchfire::model::time::Clock as _;
use watchfire::model::time::SystemClock;
use watchfire::pki::CertificateAuthority;
use watchfire::pki::CertificateRequest;
use watchfire::pki::Validity;
use watchfire::pki::inspect;
use watchfire::pki::inspect_list;
use watchfire::profile::Profile;

use crate::metrics::figure;
use crate::metrics::figures;
use crate::metrics::watched;
use crate::world::World;
use crate::world::domain;
use crate::world::publish;
use crate::world::until;

const OUT: &str = "birch-social";
const DAY: Duration = Duration::from_hours(24);

fn read(path: PathBuf) -> String {
    std::fs::read_to_string(path).expect("a file")
}

fn now() -> SystemTime {
    SystemClock::default().now().into()
}

/// The operator's hands on the hub's files.
struct Hands<'a> {
    world: &'a World,
    authority: CertificateAuthority,
    number: u64,
    revoked: Vec<(String, SystemTime)>,
}

impl<'a> Hands<'a> {
    fn of(world: &'a World) -> Self {
        let folder = world.data().join("tls");
        let key = read(world.profile_folder("operator").join("ca.key"));
        let authority = CertificateAuthority::from_pem(&read(folder.join("ca.pem")), &key);
        let number = inspect_list(&read(folder.join("crl.pem"))).expect("a list").number;
        let shown = read(world.profile_folder(OUT).join("tls.pem"));
        let serial = inspect(&shown).expect("its facts").serial;
        let (authority, revoked) = (authority.expect("the authority"), vec![(serial, now())]);
        Self { world, authority, number, revoked }
    }

    fn put(&self, name: &str, text: &str) {
        let folder = self.world.data().join("tls");
        let beside = folder.join(format!("{name}.new"));
        std::fs::write(&beside, text).expect("a file");
        std::fs::rename(&beside, folder.join(name)).expect("it is put in place");
    }

    /// The files as they are, to be put back.
    fn kept(&self) -> Vec<(&'static str, String)> {
        let folder = self.world.data().join("tls");
        let names = ["server.pem", "server.key", "crl.pem"];
        names.map(|name| (name, read(folder.join(name)))).into()
    }

    /// A list with who is out, or of nobody.
    fn list(&self, number: u64, revoked: &[(String, SystemTime)], ends: SystemTime) -> String {
        let validity = Validity { not_before: now() - DAY * 2, not_after: ends };
        self.authority.revocation_list(revoked, number, validity).expect("a list")
    }

    /// A certificate of the hub and its key.
    fn server(&self, ends: SystemTime) -> (String, String) {
        let request = CertificateRequest::generate("watchfired").expect("a request");
        let hosts = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let validity = Validity { not_before: now() - DAY * 2, not_after: ends };
        let issued = self.authority.issue_server(&hosts, &request.request_pem, validity);
        (issued.expect("a certificate").certificate_pem, request.key_pem.to_string())
    }

    /// What is put in place, by what is wrong with it.
    fn bad(&self) -> Vec<(&'static str, Vec<(&'static str, String)>)> {
        let (good_for, over) = (now() + DAY, now() - DAY);
        let (own, other) = (self.server(good_for), self.server(good_for));
        let expired = self.server(over);
        let nobody = |number, ends| vec![("crl.pem", self.list(number, &[], ends))];
        vec![
            ("a list of garbage", vec![("crl.pem", "garbage".to_owned())]),
            ("no list", vec![("crl.pem", String::new())]),
            ("an older list", nobody(self.number - 1, good_for)),
            ("a list that has ended", nobody(self.number + 9, over)),
            ("a certificate of garbage", vec![("server.pem", "garbage".to_owned())]),
            ("a key of another certificate", vec![("server.pem", own.0), ("server.key", other.1)]),
            ("an expired certificate", vec![("server.pem", expired.0), ("server.key", expired.1)]),
        ]
    }
}

async fn gets_in(world: &World, member: &str) -> bool {
    let profile = Profile::open(&world.profile_folder(member)).expect("a profile");
    Client::connect(profile.at_address(Some(world.address()))).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_no_good_change_nothing_and_are_an_alarm_until_they_are_mended() {
    let (world, address) = watched().await;
    let failing = async || figure(&figures(address).await, "tls_reload_failing") > 0.5;
    let mut hands = Hands::of(&world);
    assert!(gets_in(&world, OUT).await, "the control: it gets in until it is revoked");
    hands.number += 1;
    hands.put("crl.pem", &hands.list(hands.number, &hands.revoked, now() + DAY));
    until("the list is in use", || async { (!gets_in(&world, OUT).await).then_some(()) }).await;
    let acme = world.client("acme-video").await;
    let good = hands.kept();
    for (what, files) in hands.bad() {
        assert!(!failing().await, "{what}");
        for (name, text) in files {
            hands.put(name, &text);
        }
        until(what, || async { failing().await.then_some(()) }).await;
        publish(&acme, domain("old.example")).await;
        publish(&world.client("acme-video").await, domain("new.example")).await;
        assert!(!gets_in(&world, OUT).await, "{what}: who was out is in");
        for (name, text) in &good {
            hands.put(name, text);
        }
        until("it is mended", || async { (!failing().await).then_some(()) }).await;
    }
    world.finish();
}
