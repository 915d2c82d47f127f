//! Certificates and revocation lists that change while everybody comes and goes: nobody good is turned away, nobody bad
//! gets in, and a list's end is everybody's.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use futures_util::future::join_all;
use tokio::io::AsyncReadExt as _;
use tokio_util::task::TaskTracker;
use watchfire::model::time::Clock as _;
use watchfire::model::time::SystemClock;
use watchfire::pki::CertificateAuthority;
use watchfire::pki::CertificateRequest;
use watchfire::pki::Validity;
use watchfire::pki::inspect;
use watchfire::pki::inspect_list;
use watchfire::profile::Profile;
use watchfire::tls::ClientTls;

use crate::peers::ground::ATTACKER;
use crate::peers::ground::Ground;
use crate::peers::raw::Dialer;
use crate::peers::raw::Raw;
use crate::trials::Lane;
use crate::trials::Trials;
use crate::world::PATIENCE;
use crate::world::World;
use crate::world::until;

/// A reload looks at the files twice a second; P6 of the promises is a second. Machines are noisy.
const NOTICED_WITHIN: Duration = Duration::from_secs(10);
/// How soon all but one in a hundred are out, on a machine that is not busy with other things.
const OUT_WITHIN: Duration = Duration::from_secs(1);
/// Handshakes a second beside the reloads.
const HANDSHAKES_A_SECOND: u32 = 200;
/// So many of them begin together, and of these so many are of somebody bad.
const AT_ONCE: u64 = 8;
const BAD: u64 = 2;

/// The operator's hands on the hub's files.
struct Hands {
    authority: CertificateAuthority,
    folder: PathBuf,
    trust_domain: String,
    number: u64,
    revoked: Vec<(String, SystemTime)>,
}

fn now() -> SystemTime {
    SystemClock::default().now().into()
}

fn authority(name: &str) -> CertificateAuthority {
    let authority = CertificateAuthority::generate(name, valid_for(Duration::from_hours(24)));
    authority.expect("an authority")
}

fn valid_for(time: Duration) -> Validity {
    Validity { not_before: now() - Duration::from_hours(1), not_after: now() + time }
}

impl Hands {
    fn of(world: &World) -> Self {
        let read = |path: PathBuf| std::fs::read_to_string(path).expect("a file");
        let operator = world.profile_folder("operator");
        let folder = world.data().join("tls");
        let authority = CertificateAuthority::from_pem(
            &read(folder.join("ca.pem")),
            &read(operator.join("ca.key")),
        );
        let number = inspect_list(&read(folder.join("crl.pem"))).expect("a list").number;
        let member = read(world.profile_folder(ATTACKER).join("tls.pem"));
        let facts = inspect(&member).expect("its facts");
        let uri = facts.uri_names.first().expect("a name").clone();
        let trust_domain = uri.split('/').nth(2).expect("a domain").to_owned();
        Self {
            authority: authority.expect("the authority"),
            folder,
            trust_domain,
            number,
            revoked: Vec::new(),
        }
    }

    /// As an operator should: a reader sees the old text or the new one.
    fn put(&self, name: &str, text: &str) {
        let beside = self.folder.join(format!("{name}.new"));
        std::fs::write(&beside, text).expect("a file");
        std::fs::rename(&beside, self.folder.join(name)).expect("it is put in place");
    }

    /// A new list with all that was revoked.
    fn publish(&mut self, lasts: Duration) {
        self.number += 1;
        let list = self.authority.revocation_list(&self.revoked, self.number, valid_for(lasts));
        self.put("crl.pem", &list.expect("a list"));
    }

    /// Trusts another authority beside the first, instead of the one before.
    fn trust(&self, other: &CertificateAuthority) {
        let list = other.revocation_list(&[], 1, valid_for(Duration::from_hours(24)));
        self.put("other-ca.pem", other.certificate_pem());
        self.put("other-crl.pem", &list.expect("a list"));
    }

    /// A new certificate for the hub. Its two files are not of one moment: whoever reads between them reads again.
    fn renew_server(&self) {
        let request = CertificateRequest::generate("watchfired").expect("a request");
        let hosts = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let validity = valid_for(Duration::from_hours(24 * 90));
        let issued = self.authority.issue_server(&hosts, &request.request_pem, validity);
        self.put("server.key", &request.key_pem);
        self.put("server.pem", &issued.expect("a certificate").certificate_pem);
    }

    /// A certificate for the attacker, and its number.
    fn issue(&self, world: &World) -> (Dialer, String) {
        self.issue_by(&self.authority, world)
    }

    fn issue_by(&self, authority: &CertificateAuthority, world: &World) -> (Dialer, String) {
        let request = CertificateRequest::generate(ATTACKER).expect("a request");
        let member = ATTACKER.parse().expect("an id");
        let validity = valid_for(Duration::from_hours(24));
        let issued =
            authority.issue_member(&self.trust_domain, &member, &request.request_pem, validity);
        let issued = issued.expect("a certificate");
        let profile = Profile::open(&world.profile_folder(ATTACKER)).expect("a profile");
        let tls = ClientTls {
            certificate_pem: issued.certificate_pem,
            key_pem: request.key_pem.to_string(),
            ..profile.tls().expect("its files")
        };
        (Dialer::of(world, ATTACKER).showing(&tls), issued.serial)
    }
}

/// Whether a certificate gets in: the hub's settings come only to who does.
async fn gets_in(dialer: &Dialer) -> bool {
    let Ok(mut stream) = dialer.dial().await else { return false };
    let first = tokio::time::timeout(PATIENCE, stream.read(&mut [0; 9])).await.expect("an answer");
    matches!(first, Ok(read) if read > 0)
}

/// Connections of somebody good and of somebody bad, until it is over; how many of each.
async fn come_and_go(
    good: Dialer,
    bad: Dialer,
    ended: Arc<AtomicBool>,
    counted: Arc<AtomicU64>,
) -> (u64, u64) {
    let mut tick = tokio::time::interval(Duration::from_secs(AT_ONCE) / HANDSHAKES_A_SECOND);
    let (mut came, mut bad_came) = (0_u64, 0_u64);
    while !ended.load(Ordering::Relaxed) {
        tick.tick().await;
        let goods = (0..AT_ONCE - BAD).map(|number| enters(&good, number));
        let bads = (0..BAD).map(|number| enters(&bad, number));
        let (goods, bads) = tokio::join!(join_all(goods), join_all(bads));
        assert!(goods.iter().all(|came| *came), "somebody good was turned away");
        assert!(!bads.iter().any(|came| *came), "somebody bad got in");
        came += AT_ONCE - BAD;
        bad_came += BAD;
        counted.fetch_add(AT_ONCE, Ordering::Relaxed);
    }
    (came, bad_came)
}

async fn enters(dialer: &Dialer, from: u64) -> bool {
    gets_in(&dialer.clone().with_address(from.try_into().expect("a small number"))).await
}

/// On demand nearly as many came as were to come.
fn demand_rate(came: u64, within: Duration) {
    let wanted = f64::from(HANDSHAKES_A_SECOND) * 0.9 * within.as_secs_f64();
    let came = f64::from(u32::try_from(came).expect("fewer than a billion"));
    assert!(Lane::of_this_run() == Lane::Commit || came > wanted, "{came}, and not {wanted}");
}

/// The hub has one more file of authorities, and one more list, from now on.
async fn trust_others(world: &mut World) {
    world.stop();
    let folder = world.data().join("tls");
    let folder = folder.display();
    let tls = format!(
        "\n[tls]\nclient_ca = ['{folder}/ca.pem', '{folder}/other-ca.pem']\n\
         revocation_lists = ['{folder}/crl.pem', '{folder}/other-crl.pem']\n",
    );
    world.configure(&tls);
    world.start(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_turn_nobody_good_away_and_let_nobody_bad_in() {
    let mut trials = Trials::of("peers_reload", 10, 1000);
    let mut world = Ground::world("[connections]\nper_member = 2000\n").await;
    let mut hands = Hands::of(&world);
    let others = ["one", "two"].map(authority);
    let mut trusted = 0;
    hands.trust(&others[trusted]);
    trust_others(&mut world).await;
    let (good, _serial) = hands.issue(&world);
    let (bad, serial) = hands.issue(&world);
    let of_others = others.each_ref().map(|other| hands.issue_by(other, &world).0);
    hands.revoked.push((serial, now()));
    hands.publish(Duration::from_hours(24));
    until("the list is in use", || async { (!gets_in(&bad).await).then_some(()) }).await;
    assert!(gets_in(&good).await, "the control");
    let over = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&over);
    let served: Arc<AtomicU64> = Arc::default();
    let counted = Arc::clone(&served);
    let coming = TaskTracker::new().spawn(come_and_go(good, bad, ended, counted));
    let begun = Instant::now();
    let reloads = || world.log_text().matches("TLS files reloaded").count();
    while let Some(mut round) = trials.next() {
        let before = reloads();
        let begun_round = Instant::now();
        let came = served.load(Ordering::Relaxed);
        if round.number % 2 == 1 {
            trusted = 1 - trusted;
            hands.trust(&others[trusted]);
        } else {
            hands.publish(Duration::from_hours(24));
        }
        if round.number % 4 == 0 {
            hands.renew_server();
        }
        let hup = Command::new("kill").args(["-HUP", &world.process_id().to_string()]).status();
        assert!(hup.expect("kill runs").success());
        until("the files are loaded again", || async { (reloads() > before).then_some(()) }).await;
        round.note("reload ms", begun_round.elapsed().as_secs_f64() * 1000.0);
        for (other, of_other) in of_others.iter().enumerate() {
            let is_in = gets_in(of_other).await;
            assert_eq!(is_in, other == trusted, "of an authority that comes and goes");
        }
        let before_last = served.load(Ordering::Relaxed);
        until("others came and went", || async {
            let since = served.load(Ordering::Relaxed) - before_last;
            (since > AT_ONCE || coming.is_finished()).then_some(())
        })
        .await;
        round.note("connections", served.load(Ordering::Relaxed) - came);
        assert!(!coming.is_finished(), "those who come and go have met something");
        trials.keep(round);
    }
    over.store(true, Ordering::Relaxed);
    let (came, refused) = coming.await.expect("nobody was wronged");
    assert!(came > 0 && refused > 0, "{came} came, {refused} were refused");
    println!("{came} came, {refused} were refused");
    demand_rate(came + refused, begun.elapsed());
    trials.finish();
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_is_out_when_the_list_is_there() {
    let mut trials = Trials::of("peers_revocation", 3, 100);
    let world = Ground::world("").await;
    let mut hands = Hands::of(&world);
    let mut all = Vec::new();
    while let Some(mut round) = trials.next() {
        let (dialer, serial) = hands.issue(&world);
        let live: Raw = dialer.greet(&[]).await.expect("it gets in");
        assert!(live.until(PATIENCE, |heard| heard.acks > 0).await, "it is in");
        hands.revoked.push((serial, now()));
        let begun = Instant::now();
        hands.publish(Duration::from_hours(24));
        assert!(
            live.until(NOTICED_WITHIN, |heard| heard.ended.is_some()).await,
            "its connection goes on"
        );
        let took = begun.elapsed();
        round.note("live connection ended after ms", took.as_secs_f64() * 1000.0);
        all.push(took);
        assert!(!gets_in(&dialer).await, "it comes again");
        trials.keep(round);
    }
    all.sort_unstable();
    if Lane::of_this_run() != Lane::Commit
        && let Some(p99) = all.get(all.len().saturating_sub(1) * 99 / 100)
    {
        assert!(*p99 <= OUT_WITHIN, "the slowest hundredth were out after {p99:?}");
    }
    trials.finish();
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_list_is_the_end_of_access_until_there_is_another() {
    let mut trials = Trials::of("peers_list_end", 1, 3);
    while let Some(mut round) = trials.next() {
        let mut world = Ground::world("").await;
        let mut hands = Hands::of(&world);
        let (dialer, _serial) = hands.issue(&world);
        let lasts = Duration::from_secs(6);
        hands.publish(lasts);
        let end = Instant::now() + lasts;
        let first: Raw = dialer.greet(&[]).await.expect("it gets in");
        // Until the short list is in use, a connection would last as long as the one before.
        until("the list is in use", || async {
            world.log_text().contains("TLS files reloaded").then_some(())
        })
        .await;
        let live: Raw = dialer.greet(&[]).await.expect("it gets in");
        assert!(
            live.until(lasts + NOTICED_WITHIN, |heard| heard.ended.is_some()).await,
            "it goes on"
        );
        let late = Instant::now().saturating_duration_since(end);
        round.note("ended so many ms after the list", late.as_secs_f64() * 1000.0);
        until("nobody new gets in", || async { (!gets_in(&dialer).await).then_some(()) }).await;
        assert!(first.age() > Duration::ZERO);
        hands.publish(Duration::from_hours(24 * 5));
        until("the next list lets members in", || async { gets_in(&dialer).await.then_some(()) })
            .await;
        // An end that is near is told at the start, days before.
        assert!(!world.log_text().contains("an end is near"), "it was not near then");
        world.stop();
        world.start(&[]).await;
        until("it is told", || async { world.log_text().contains("an end is near").then_some(()) })
            .await;
        world.finish();
        trials.keep(round);
    }
    trials.finish();
}
