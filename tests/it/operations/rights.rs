//! Nobody gets more rights than it has (T-A5): every role asks for everything that only another role may do, by every call
//! that changes who may do what and by publishing it. Nothing changes, and each attempt is in the audit log.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use prost::Message as _;
use prost_reflect::DescriptorPool;
use tonic::Status;
use watchfire::client::Client;
use watchfire::client::KeeperChange;
use watchfire::client::draw_audience;
use watchfire::client::proven_key;
use watchfire::model::header::BodyKind;
use watchfire::model::names::Audience;
use watchfire::model::names::MemberId;
use watchfire::model::names::RecordName;
use watchfire::profile::OwnKey;
use watchfire::signing::SecretKey;
use watchfire::wire::pb;
use watchfire::wire::pb::body::Content;
use watchfire::wire::pb::roster_change::Change;

use super::audit_lines;
use super::roster_change;
use super::told;
use crate::identity::by_its_call;
use crate::identity::sign_anything;
use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::head;
use crate::world::publish;
use crate::world::until;

const MEMBERS: &[(&str, &str)] = &[
    ("acme-video", "company"),
    ("birch-social", "company"),
    ("harbour-liaison", "observer"),
    ("juniper-audit", "auditor"),
    ("willow-apart", "company"),
];
/// Who tries: every role, and one that is suspended.
const WHO: [&str; 5] =
    ["birch-social", "harbour-liaison", "juniper-audit", "willow-apart", "operator"];
const SUSPENDED: &str = "willow-apart";

/// What somebody tries.
struct Attempt {
    /// Its word in the audit log; none if it cannot be read so far.
    what: Option<&'static str>,
    kind: BodyKind,
    content: Content,
}

impl Attempt {
    fn roster(what: &'static str, member: &str, change: Change) -> Self {
        Self {
            what: Some(what),
            kind: BodyKind::RosterChange,
            content: roster_change(member, change),
        }
    }
}

/// What there is to be taken from others.
struct Stage {
    world: World,
    operator: Client,
    acme_key: SecretKey,
    operator_key: SecretKey,
    desk: Audience,
    record: RecordName,
}

impl Stage {
    async fn open() -> Self {
        let world = World::with(MEMBERS).await;
        let (acme, operator) = (world.client("acme-video").await, world.client("operator").await);
        let desk = draw_audience().expect("a handle");
        let members = vec![member("harbour-liaison")];
        let create = KeeperChange::Create { title: "Desk".to_owned(), members };
        acme.change_audience(&desk, create).await.expect("a receipt");
        let (record, _) = publish(&acme, domain("one.example")).await;
        let key = |client: &Client| client.profile().key(OwnKey::Signing).expect("a key");
        let (acme_key, operator_key) = (key(&acme), key(&operator));
        Self { world, operator, acme_key, operator_key, desk, record }
    }

    /// A key of the one who tries, with the proof that is asked for.
    fn key(&self, of: &str) -> pb::PublicKey {
        let key = SecretKey::generate().expect("a key");
        proven_key(self.operator.pin().exchange(), &member(of), &key)
    }

    fn admission(&self, of: &str, role: pb::Role) -> Change {
        Change::Admit(pb::Admission {
            role: role.into(),
            signing_key: Some(self.key(of)),
            recovery_key: Some(self.key(of)),
            may_publish_indicators: true,
            ..pb::Admission::default()
        })
    }

    fn reset(&self, of: &str) -> Change {
        Change::ResetKeys(pb::KeyReset {
            signing_key: Some(self.key(of)),
            recovery_key: Some(self.key(of)),
            reason: String::new(),
        })
    }

    /// What is the operator's to do: for oneself, and against others.
    fn of_the_operator(&self, own: &str) -> Vec<Attempt> {
        let roster = Attempt::roster;
        let suspend = || Change::Suspend(pb::Suspension { reason: "Because.".to_owned() });
        let reinstate = || Change::Reinstate(pb::Reinstatement::default());
        let quota = || Change::Quota(pb::Quota { streams: 256, ..pb::Quota::default() });
        let retire = |of: &str, key: &SecretKey| Change::RetireKey(retirement(of, key));
        let mut all = vec![
            roster("roster.admit", "mallory", self.admission("mallory", pb::Role::Company)),
            roster("roster.admit", own, self.admission(own, pb::Role::Company)),
            roster("roster.admit", own, self.admission(own, pb::Role::Auditor)),
            roster("roster.retire-key", "operator", retire("operator", &self.operator_key)),
            roster("roster.retire-key", "acme-video", retire("acme-video", &self.acme_key)),
        ];
        for about in [own, "acme-video", "operator"] {
            all.push(roster("roster.suspend", about, suspend()));
            all.push(roster("roster.reinstate", about, reinstate()));
            all.push(roster("roster.quota", about, quota()));
            all.push(roster("roster.reset-keys", about, self.reset(about)));
        }
        all.push(Attempt {
            what: Some("takedown"),
            kind: BodyKind::Takedown,
            content: Content::Takedown(pb::Takedown {
                of: self.record.to_string(),
                reason: pb::TakedownReason::Legal.into(),
                ..pb::Takedown::default()
            }),
        });
        all
    }

    /// What nobody may do, or another member alone.
    fn of_nobody(&self, own: &str) -> Vec<Attempt> {
        let join = |audience: &Audience, change| {
            Content::AudienceChange(pb::AudienceChange {
                audience: audience.name(),
                change: Some(change),
            })
        };
        let of = |who: &str| pb::AudienceMembers { members: vec![member(who).name()] };
        let add = pb::audience_change::Change::Add;
        let audience =
            |what, content| Attempt { what: Some(what), kind: BodyKind::AudienceChange, content };
        let others = pb::key_change::Change::Retire(retirement("acme-video", &self.acme_key));
        let kinds = pb::audience_change::Change::Create(pb::AudienceCreation {
            title: "Everybody".to_owned(),
            members: vec![member("birch-social").name()],
        });
        let mut all = vec![
            audience("audience.add", join(&self.desk, add(of(own)))),
            // Those that every exchange has are nobody's to change: it cannot even be said.
            Attempt { what: None, ..audience("", join(&Audience::companies(), add(of(own)))) },
            audience(
                "audience.remove",
                join(&self.desk, pb::audience_change::Change::Remove(of("harbour-liaison"))),
            ),
            audience("audience.create", join(&self.desk, kinds)),
            Attempt {
                what: Some("key.retire"),
                kind: BodyKind::KeyChange,
                content: Content::KeyChange(pb::KeyChange { change: Some(others) }),
            },
        ];
        // Nobody is made an operator, not by the operator either.
        for (about, role) in [("mallory", pb::Role::Operator), (own, pb::Role::Operator)] {
            let kind = BodyKind::RosterChange;
            let content = roster_change(about, self.admission(about, role));
            all.push(Attempt { what: None, kind, content });
        }
        all
    }

    /// What the operator may not do with its own rights.
    fn above_the_operator(&self) -> Vec<Attempt> {
        let roster = Attempt::roster;
        let suspend = Change::Suspend(pb::Suspension::default());
        vec![
            roster("roster.admit", "operator", self.admission("operator", pb::Role::Company)),
            roster("roster.admit", "acme-video", self.admission("acme-video", pb::Role::Auditor)),
            roster("roster.suspend", "operator", suspend),
            roster("roster.reset-keys", "operator", self.reset("operator")),
            Attempt {
                what: Some("publish.indicator"),
                kind: BodyKind::Indicator,
                content: domain("own.example"),
            },
        ]
    }

    /// Who takes part with which rights, keys and audiences, to the last byte.
    async fn standing(&self) -> Vec<u8> {
        let mut roster = self.operator.roster_service();
        let members = roster.list_members(pb::ListMembersRequest::default()).await;
        let members = members.expect("members").into_inner();
        let mut all = members.encode_to_vec();
        for one in members.members {
            let request =
                pb::ListKeysRequest { parent: one.name, ..pb::ListKeysRequest::default() };
            all.extend(roster.list_keys(request).await.expect("keys").into_inner().encode_to_vec());
        }
        let request = pb::ListAudiencesRequest::default();
        let audiences = self.operator.audience_service().list_audiences(request).await;
        all.extend(audiences.expect("audiences").into_inner().encode_to_vec());
        all
    }
}

fn member(name: &str) -> MemberId {
    name.parse().expect("a name")
}

fn retirement(of: &str, key: &SecretKey) -> pb::KeyRetirement {
    pb::KeyRetirement {
        key: format!("members/{of}/keys/{}", key.id()),
        ..pb::KeyRetirement::default()
    }
}

fn reason_of(status: &Status) -> String {
    let info = tonic_types::StatusExt::get_details_error_info(status);
    info.map(|info| info.reason).unwrap_or_default()
}

/// The reason for which something that is published is refused: by itself, or with its whole call.
async fn published(client: &Client, envelope: pb::Envelope) -> Result<String, String> {
    let request = pb::PublishRequest { envelopes: vec![envelope], ..pb::PublishRequest::default() };
    let answer = match client.exchange_service().publish(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return Err(reason_of(&status)),
    };
    let outcome = answer.results.into_iter().next().and_then(|result| result.outcome);
    match outcome.expect("an outcome") {
        pb::publish_result::Outcome::Refusal(refusal) => Ok(refusal.reason),
        pb::publish_result::Outcome::Receipt(receipt) => panic!("taken: {receipt:?}"),
    }
}

/// Tries something both ways; the words that must be in the audit log afterwards, and the call that is for it.
async fn attempt(client: &Client, tried: Attempt) -> (Vec<String>, Option<&'static str>) {
    let mut words = Vec::new();
    let sign = || sign_anything(client, tried.kind, tried.content.clone());
    // What is refused of one record is told by what it is; what is refused of a call, by the call.
    let what = tried.what.unwrap_or("publish");
    match published(client, sign()).await {
        Ok(reason) => words.push(format!("{what} {reason}")),
        Err(reason) => words.push(format!("call ExchangeService/Publish {reason}")),
    }
    let Some((call, said)) = by_its_call(client, &tried.content, sign()).await else {
        return (words, None);
    };
    let reason = reason_of(&said.expect_err(call));
    words.push(format!("call {call} {reason}"));
    if let Some(what) = tried.what.filter(|_what| reason != "MEMBER_SUSPENDED") {
        words.push(format!("{what} {reason}"));
    }
    (words, Some(call))
}

/// How often each word must be there.
fn counted(words: Vec<String>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for word in words {
        *counts.entry(word).or_default() += 1;
    }
    counts
}

/// Every call whose request is one signed change.
fn calls_with_a_change() -> BTreeSet<String> {
    let pool = DescriptorPool::decode(watchfire::wire::DESCRIPTORS).expect("descriptors");
    let methods = pool.services().flat_map(|service| service.methods().collect::<Vec<_>>());
    methods
        .filter(|method| method.input().get_field_by_name("envelope").is_some())
        .map(|method| format!("{}/{}", method.parent_service().name(), method.name()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_role_gets_more_than_it_has_by_any_call() {
    let stage = Stage::open().await;
    let mut clients = BTreeMap::new();
    for name in WHO {
        clients.insert(name, stage.world.client(name).await);
    }
    demand(&stage.world.watchfire("operator", &["suspend", SUSPENDED, "--reason", "Apart."]));
    let (before, size) = (stage.standing().await, head(&stage.operator).await);
    let mut calls = BTreeSet::new();
    for (name, client) in &clients {
        let mut tried = stage.of_nobody(name);
        tried.extend(match *name {
            "operator" => stage.above_the_operator(),
            own => stage.of_the_operator(own),
        });
        let mut words = Vec::new();
        for one in tried {
            let (told, call) = attempt(client, one).await;
            words.extend(told);
            calls.extend(call.map(str::to_owned));
        }
        let expected = counted(words);
        let refusal = if *name == SUSPENDED { "MEMBER_SUSPENDED" } else { "ROLE_FORBIDS" };
        assert!(expected.keys().any(|word| word.ends_with(refusal)), "{name}: {expected:?}");
        until(&format!("every attempt of {name} is told"), || async {
            let told = told(&audit_lines(&stage.world), name);
            expected.iter().all(|(word, count)| told.get(word) == Some(count)).then_some(())
        })
        .await;
    }
    assert_eq!(head(&stage.operator).await, size, "nothing was written");
    assert!(stage.standing().await == before, "somebody has other rights, keys or audiences");
    taken_from_the_operator(&stage, &mut calls).await;
    assert_eq!(calls, calls_with_a_change(), "every call that changes something was tried");
    stage.world.finish();
}

/// The control: the same changes are taken of who may make them, by the same calls, and are seen.
async fn taken_from_the_operator(stage: &Stage, calls: &mut BTreeSet<String>) {
    let before = stage.standing().await;
    let own = |change| roster_change("acme-video", change);
    let changes = [
        roster_change("mallory", stage.admission("mallory", pb::Role::Company)),
        own(Change::Suspend(pb::Suspension::default())),
        own(Change::Reinstate(pb::Reinstatement::default())),
        own(Change::Quota(pb::Quota { streams: 255, ..pb::Quota::default() })),
        own(stage.reset("acme-video")),
    ];
    for content in changes {
        let envelope = sign_anything(&stage.operator, BodyKind::RosterChange, content.clone());
        let (call, said) = by_its_call(&stage.operator, &content, envelope).await.expect("a call");
        said.expect(call);
        calls.insert(call.to_owned());
    }
    let birch = stage.world.client("birch-social").await;
    let key = stage.key("birch-social");
    let added = pb::KeyChange { change: Some(pb::key_change::Change::Add(key)) };
    let content = Content::KeyChange(added);
    let envelope = sign_anything(&birch, BodyKind::KeyChange, content.clone());
    let (call, said) = by_its_call(&birch, &content, envelope).await.expect("a call");
    said.expect(call);
    calls.insert(call.to_owned());
    assert!(stage.standing().await != before, "the check bites");
}
