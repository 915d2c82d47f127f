//! A hub that does not want to have been told: what it signs instead is no receipt. And one whose log does not hold is told
//! all the same.

use watchfire::model::names::ExchangeName;
use watchfire::signing::SecretKey;
use watchfire::wire::head::LISTING_PAYLOAD_TYPE;
use watchfire::wire::pb;
use watchfire::wire::report::REPORT_PAYLOAD_TYPE;
use watchfire::wire::report::ReportStatement;

use crate::hostile::MEMBERS;
use crate::hostile::Victim;
use crate::hostile::demand_caught;
use crate::hostile::demand_proven;
use crate::hostile::front::Front;
use crate::hostile::front::Honest;
use crate::hostile::front::Keys;
use crate::hostile::front::Tamper;
use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::publish;

/// What is answered to a report.
struct Answers<F>(F);

impl<F> Tamper for Answers<F>
where
    F: FnMut(pb::SignedStatement) -> Option<pb::SignedStatement> + Send + 'static,
{
    fn reported(&mut self, answer: pb::ReportMisbehaviorResponse) -> pb::ReportMisbehaviorResponse {
        let statement = self.0(answer.statement.unwrap_or_default());
        pb::ReportMisbehaviorResponse { statement }
    }
}

/// Evidence that a victim found by itself: two histories, each in a world of its own.
async fn found() -> (World, World, Victim, String) {
    let mut world = World::with(MEMBERS).await;
    publish(&world.client("acme-video").await, domain("common.example")).await;
    world.stop();
    let mut twin = world.twin();
    for (world, count) in [(&mut world, 2), (&mut twin, 3)] {
        world.start(&[]).await;
        let acme = world.client("acme-video").await;
        for number in 0..count {
            publish(&acme, domain(&format!("n{number}.example"))).await;
        }
    }
    let victim = Victim::of(&world, "birch-social");
    demand(&victim.watchfire(&world.address(), &["status"]));
    let output = victim.watchfire(&twin.address(), &["status"]);
    let evidence = demand_caught(&victim, &output, "not a continuation of what it was");
    let evidence = evidence.display().to_string();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains(&format!("watchfire report {evidence}")), "{said}");
    (world, twin, victim, evidence)
}

fn receipts(victim: &Victim) -> usize {
    let folder = std::fs::read_dir(victim.profile().join("reports"));
    folder.into_iter().flatten().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_whose_log_does_not_hold_is_told_and_its_auditors_read_it() {
    let (world, twin, victim, evidence) = found().await;
    // To the one that it knows, and to the one that shows another history: both must sign that they were told.
    for hub in [&world, &twin] {
        let said = demand(&victim.watchfire(&hub.address(), &["report", &evidence]));
        assert!(said.contains("as the hub signed"), "{said}");
        let folder = victim.profile().join("out");
        let folder = folder.to_str().expect("a path in UTF-8");
        let said = demand(&hub.watchfire("operator", &["reports", "--out", folder]));
        assert!(said.contains("birch-social") && said.contains("PROVEN"), "{said}");
    }
    let read = std::fs::read_dir(victim.profile().join("out")).expect("a folder");
    for file in read {
        demand_proven(&file.expect("a file").path(), "two different logs");
    }
    assert_eq!(receipts(&victim), 3, "the file, and a receipt of each");
    world.finish();
    twin.finish();
}

/// A statement as somebody else would have it.
fn restated(
    signed: &pb::SignedStatement,
    (secret, payload_type): (&SecretKey, &str),
    change: impl FnOnce(&mut ReportStatement),
) -> pb::SignedStatement {
    let mut statement = ReportStatement::from_bytes(&signed.statement).expect("a statement");
    change(&mut statement);
    let statement = statement.to_bytes();
    let signature = secret.sign(payload_type, &statement).to_vec();
    pb::SignedStatement { statement, signature }
}

/// What is answered instead, and what the client says to it.
type Lie =
    (Box<dyn FnMut(pb::SignedStatement) -> Option<pb::SignedStatement> + Send>, &'static str);

fn lies(keys: &Keys) -> Vec<Lie> {
    let secret = keys.secret.clone();
    let other = SecretKey::generate().expect("a key");
    let lie = move |change: fn(&mut ReportStatement)| {
        let secret = secret.clone();
        move |signed: pb::SignedStatement| {
            Some(restated(&signed, (&secret, REPORT_PAYLOAD_TYPE), change))
        }
    };
    let secret = keys.secret.clone();
    let unsigned = "the log's key did not sign it";
    vec![
        (Box::new(|_signed| None), unsigned),
        (
            Box::new(move |signed| {
                Some(restated(&signed, (&other, REPORT_PAYLOAD_TYPE), |_same| ()))
            }),
            unsigned,
        ),
        (
            Box::new(move |signed| {
                Some(restated(&signed, (&secret, LISTING_PAYLOAD_TYPE), |_same| ()))
            }),
            unsigned,
        ),
        (
            Box::new(|mut signed| {
                signed.signature[7] ^= 1;
                Some(signed)
            }),
            unsigned,
        ),
        (Box::new(lie(|said| said.evidence_digest[0] ^= 1)), "it is for other evidence"),
        (
            Box::new(lie(|said| said.member = "acme-video".parse().expect("a member"))),
            "it is another member's",
        ),
        (
            Box::new(lie(|said| {
                let other = ExchangeName::from_name("exchanges/autumn-0123456789abcdef");
                said.exchange = other.expect("an exchange");
            })),
            "it is of another exchange",
        ),
        (
            Box::new(lie(|said| {
                said.time = said.time.saturating_add(std::time::Duration::from_hours(1));
            })),
            "its time is still to come",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_signed_instead_of_a_receipt_is_refused_and_not_kept() {
    let (world, twin, victim, evidence) = found().await;
    let keys = Keys::of(&world, world.client("birch-social").await.pin().exchange());
    for (lie, expected) in lies(&keys) {
        let front = Front::open(&world, "birch-social", Answers(lie)).await;
        let output = victim.watchfire(&front.address(), &["report", &evidence]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(5), "{said}");
        assert!(said.contains("the receipt does not hold") && said.contains(expected), "{said}");
        assert_eq!(receipts(&victim), 0, "{expected}");
    }
    let front = Front::open(&world, "birch-social", Honest).await;
    demand(&victim.watchfire(&front.address(), &["report", &evidence]));
    assert_eq!(receipts(&victim), 2);
    world.finish();
    twin.finish();
}
