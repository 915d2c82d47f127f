//! What the kept corpus began with: for each target inputs that are understood whole. Ours, made here.

use std::fs;

use prost::Message as _;
use serde_json::Value;
use serde_json::json;
use sha2::Digest as _;
use sha2::Sha256;
use watchfire::client::body_from_json;
use watchfire::exchange::fuzzing::Holder;
use watchfire::model::head::Counted;
use watchfire::model::head::HeadName;
use watchfire::model::head::PublisherHead;
use watchfire::model::header::BodyKind;
use watchfire::model::names::sha256;
use watchfire::model::observable::ObservableKind;
use watchfire::pki::CertificateAuthority;
use watchfire::pki::CertificateRequest;
use watchfire::pki::Validity;
use watchfire::signing::VerifyingKey;
use watchfire::store;
use watchfire::transparency::Cosigner;
use watchfire::wire;
use watchfire::wire::disk;
use watchfire::wire::pb;

use crate::engine::folder;
use crate::targets;
use crate::targets::world::World;
use crate::targets::world::world;

const JSONL: &str = include_str!("../../docs/JSONL.md");
const VECTORS: &str = include_str!("../vectors/normal_form.tsv");
const CONFIG: &str = include_str!("../../docs/watchfired.sample.toml");
const LIST: &[u8] = include_bytes!("../data/sample-list.csv");
const FLAT: &[u8] = include_bytes!("../data/sample-flat.csv");

/// Writes the seeds of every target into its corpus.
pub(crate) fn write() {
    for target in targets::ALL {
        let folder = folder(target.name);
        fs::create_dir_all(&folder).expect("a folder");
        for mut seed in seeds(target.name) {
            seed.truncate(target.bytes_max);
            (target.run)(&seed);
            let digest = hex::encode(Sha256::digest(&seed));
            let file = folder.join(digest.get(..16).unwrap_or_default());
            fs::write(file, seed).expect("a seed is written");
        }
    }
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    match name {
        "envelope" => envelopes(),
        "header" => headers(),
        "body" => {
            bodies().into_iter().map(|(kind, body)| [vec![index(kind)], body].concat()).collect()
        }
        "roster" => vec![roster()],
        "query" => queries(),
        "normal-form" => values(),
        "text" => texts(),
        "csv" => vec![LIST.to_vec(), FLAT.to_vec()],
        "bundle" => vec![bundle().to_string().into_bytes()],
        "pattern" => patterns(),
        "lists" => lists(),
        "json" => papers(),
        "config" => vec![
            CONFIG.into(),
            CONFIG.replace("\n# ", "\n").replace("\n#", "\n").into(),
            configured(),
        ],
        "checkpoint" => notes(),
        "proof" => (0..12_u8)
            .map(|seed| (0..64).map(|at| seed.wrapping_mul(31).wrapping_add(at)).collect())
            .collect(),
        "certificate" => certificates(),
        "token" => tokens(),
        "store" => rows(),
        "backup" => backups(),
        other => panic!("{other} has no seeds"),
    }
}

fn index(kind: BodyKind) -> u8 {
    let index = BodyKind::ALL.iter().position(|own| *own == kind).expect("a kind");
    u8::try_from(index).expect("few kinds")
}

/// A body of each kind, with its kind.
fn bodies() -> Vec<(BodyKind, Vec<u8>)> {
    let samples =
        JSONL.lines().filter(|line| line.starts_with("{\"body\"") || line.starts_with("{\"name\""));
    let said = samples.map(|line| {
        let line: Value = serde_json::from_str(line).expect("JSON");
        body_from_json(line.get("body").expect("a body").clone()).expect("a body")
    });
    said.chain(about_the_exchange()).map(encoded).collect()
}

fn encoded(content: pb::body::Content) -> (BodyKind, Vec<u8>) {
    let body = pb::Body { salt: vec![7; 32], content: Some(content) }.encode_to_vec();
    let is_of = |kind: &&BodyKind| wire::body::content(&body, **kind).is_ok();
    let kind = *BodyKind::ALL.iter().find(is_of).expect("of a kind");
    (kind, body)
}

/// What the roster, the operator and the hub say.
fn about_the_exchange() -> Vec<pb::body::Content> {
    use pb::body::Content;
    let founding = pb::Envelope::decode(world().founding().as_slice()).expect("an envelope");
    let founding = pb::Body::decode(&*founding.body).expect("a body").content.expect("said");
    let audience = format!("audiences/{}", "a1".repeat(12));
    let (record, header) =
        (World::record(1, 3).to_string(), world().header(World::member(1), BodyKind::Note, b"x"));
    vec![
        founding,
        Content::RosterChange(admission(1)),
        Content::RosterChange(admission(2)),
        Content::RosterChange(pb::RosterChange {
            member: World::member(1).name(),
            change: Some(pb::roster_change::Change::Suspend(pb::Suspension::default())),
        }),
        Content::KeyChange(pb::KeyChange {
            change: Some(pb::key_change::Change::Add(proven(1, 1))),
        }),
        Content::AudienceChange(pb::AudienceChange {
            audience,
            change: Some(pb::audience_change::Change::Create(pb::AudienceCreation {
                title: "a few".to_owned(),
                members: vec![World::member(2).name()],
            })),
        }),
        Content::Takedown(pb::Takedown { of: record, reason: 1, explanation: "law".to_owned() }),
        Content::Erasure(pb::ErasureNotice { demand_sequence: 3, sequences: vec![1, 2] }),
        Content::Retention(pb::RetentionNotice {
            first_sequence: 0,
            end_sequence: 9,
            rule: "days".to_owned(),
        }),
        Content::Epoch(pb::EpochStart {
            previous_epoch: 1,
            epoch: 2,
            checkpoint: world().note.clone(),
            reason: "restored".to_owned(),
        }),
        Content::Conflict(pb::ConflictNotice {
            first_sequence: 3,
            payload: wire::header::header_bytes(&header),
            keyid: world().log.id().to_string(),
            sig: vec![1; 64],
        }),
        Content::LogKeyChange(pb::LogKeyChange {
            new_key: Some(wire::proven_key(
                &world().exchange,
                &watchfire::model::names::MemberId::hub(),
                &targets::world::key(21),
            )),
            cosignatures: Vec::new(),
        }),
    ]
}

fn proven(member: u8, of_recovery: u8) -> pb::PublicKey {
    let keys = if of_recovery == 1 { &world().recovery } else { &world().keys };
    let key = keys.get(usize::from(member)).expect("a key");
    wire::proven_key(&world().exchange, &World::member(member), key)
}

fn admission(member: u8) -> pb::RosterChange {
    pb::RosterChange {
        member: World::member(member).name(),
        change: Some(pb::roster_change::Change::Admit(pb::Admission {
            role: 1,
            signing_key: Some(proven(member, 0)),
            recovery_key: Some(proven(member, 1)),
            may_publish_indicators: false,
            display_name: "Acme".to_owned(),
        })),
    }
}

/// A signed envelope around a body of each kind, by each member; the hub's by the hub.
pub(crate) fn signed_envelopes() -> impl Iterator<Item = pb::Envelope> + Clone {
    let signed = (0..3).flat_map(|member| {
        bodies().into_iter().map(move |(kind, body)| world().envelope(member, kind, body))
    });
    signed.collect::<Vec<_>>().into_iter()
}

fn envelopes() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> =
        signed_envelopes().step_by(3).map(|envelope| envelope.encode_to_vec()).collect();
    let envelope = pb::Envelope::decode(all.first().expect("one").as_slice()).expect("an envelope");
    let entry = pb::Entry {
        epoch: 1,
        sequence: 7,
        accept_time: Some(wire::time::timestamp_to_wire(world().now)),
        envelope: Some(envelope),
        ..pb::Entry::default()
    };
    all.push(entry.encode_to_vec());
    all.push(wire::entry::frame(&entry));
    all
}

fn headers() -> Vec<Vec<u8>> {
    let mut red = world().header(World::member(1), BodyKind::Note, b"x");
    red.handling.tlp = watchfire::model::handling::Tlp::Red;
    red.handling.reach.audiences.clear();
    red.handling.reach.recipients = vec![World::member(2)];
    red.handling.use_until = Some(world().now);
    red.revision = 2;
    red.previous_digest = Some([3; 32]);
    let plain = world().header(World::member(1), BodyKind::Indicator, b"y");
    let mut all: Vec<Vec<u8>> = [red, plain].iter().map(wire::header::header_bytes).collect();
    all.push(wire::head::head_bytes(&head()));
    let listing = wire::head::ListingStatement {
        exchange: world().exchange.clone(),
        member: World::member(2),
        name: head().name,
        epoch: 1,
        size: 12,
        root: [5; 32],
        counted: head().counted,
        time: world().now,
    };
    all.push(listing.to_bytes());
    all
}

fn head() -> PublisherHead {
    let [_operator, key, _birch] = &world().keys;
    PublisherHead {
        exchange: world().exchange.clone(),
        name: HeadName {
            publisher: World::member(1),
            key: key.id(),
            scope: "audiences/companies".parse().expect("a scope"),
        },
        epoch: 1,
        size: 12,
        counted: Counted { count: 3, digest: [7; 32] },
        time: world().now,
        next_due: world().now,
        seen: Vec::new(),
    }
}

fn roster() -> Vec<u8> {
    let mut all = Vec::new();
    let founding = about_the_exchange().into_iter().map(encoded);
    for (number, (kind, body)) in (0_u8..)
        .zip(founding.filter(|(kind, _body)| kind.is_roster() || *kind == BodyKind::AudienceChange))
    {
        let length = u16::try_from(body.len()).expect("a short body").to_be_bytes();
        let signer = if kind == BodyKind::RosterChange || number == 0 { 0 } else { 1 };
        all.extend([index(kind), signer]);
        all.extend(length);
        all.extend(body);
    }
    all
}

fn queries() -> Vec<Vec<u8>> {
    let filter = pb::Filter {
        body_kinds: vec![2, 3],
        kinds: vec![1, 2],
        platforms: vec!["x".to_owned()],
        publishers: vec![World::member(1).name()],
        operations: vec![World::record(1, 3).to_string()],
    };
    let text = "added_after=2018-08-22T00%3A00%3A00.000001Z&match%5Bid%5D=b--1,a--2&match[type]=url%2Cindicator\
                &match[version]=last,first,2018-08-22T00:00:00Z&match[spec_version]=2.1&limit=7&next=abc&unknown=1";
    vec![filter.encode_to_vec(), text.into(), "limit=0".into(), "match[version]=all".into()]
}

fn values() -> Vec<Vec<u8>> {
    let lines = VECTORS.lines().filter(|line| !line.starts_with('#'));
    let vector = |line: &str| {
        let mut fields = line.split('\t');
        let kind: ObservableKind = fields.next()?.parse().ok()?;
        let _platform = fields.next()?;
        let kind = u8::try_from(kind.number()).ok()?;
        Some([&[kind, 1], fields.next()?.as_bytes()].concat())
    };
    lines.filter_map(vector).step_by(7).collect()
}

fn texts() -> Vec<Vec<u8>> {
    [
        "see hxxps[://]user[@]www[.]example[.]com/a[.]b, about 1.5 million (e.g. J. Doe)",
        "https://user@www.example.com/a.b",
        "z\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}y \u{202e}\u{200b} 你好。世界 a．example＠b",
        "members/acme-video/records/01890a5d-ac96-774b-bcce-b302099a8057@3",
        "members/acme-video/subscriptions/feed",
        "audiences/companies",
        "exchanges/spring-0123456789abcdef",
        "00ff@7",
        "2018-08-22T00:00:00.000001Z",
        "f162eb9daab170c0567fe3632d9a5548c5612982dd5e374a7424ebbc8a835c95",
        "# <b>bold</b> | [link](https://evil.example) `code` \\ *x* ~~y~~",
        "fake \"local news\" -spring Ω straße ИРАН 日本語",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

fn object(kind: &str, number: u8, more: &Value) -> Value {
    let mut json = json!({
        "type": kind, "spec_version": "2.1", "id": format!("{kind}--01890a5d-ac96-474b-bcce-b302099a80{number:02x}"),
        "created": "2018-08-22T00:00:00.000Z", "modified": "2018-08-22T00:00:00.000Z",
    });
    let (Some(json_object), Some(more)) = (json.as_object_mut(), more.as_object()) else {
        return json;
    };
    json_object.extend(more.clone());
    json
}

fn bundle() -> Value {
    let id =
        |kind: &str, number: u8| format!("{kind}--01890a5d-ac96-474b-bcce-b302099a80{number:02x}");
    let objects = [
        object("identity", 1, &json!({"name": "Acme", "identity_class": "organization"})),
        object(
            "marking-definition",
            2,
            &json!({"definition_type": "statement", "definition": {"statement": "x"}}),
        ),
        object(
            "campaign",
            3,
            &json!({"name": "Iranian network", "description": "see example[.]com", "first_seen": "2018-01-01T00:00:00Z"}),
        ),
        object(
            "indicator",
            4,
            &json!({
                "name": "n", "pattern_type": "stix", "valid_from": "2018-08-22T00:00:00Z", "confidence": 80,
                "pattern": "[domain-name:value = 'a.example' OR url:value = 'https://b.example/x']",
                "created_by_ref": id("identity", 1), "labels": ["seen"],
            }),
        ),
        object(
            "relationship",
            5,
            &json!({"relationship_type": "indicates", "source_ref": id("indicator", 4), "target_ref": id("campaign", 3)}),
        ),
        object("domain-name", 6, &json!({"value": "c.example"})),
        object(
            "user-account",
            7,
            &json!({"account_login": "alice", "account_type": "twitter", "display_name": "A"}),
        ),
        object("threat-actor", 8, &json!({"name": "An actor"})),
        object(
            "relationship",
            9,
            &json!({"relationship_type": "attributed-to", "source_ref": id("campaign", 3), "target_ref": id("threat-actor", 8)}),
        ),
        object(
            "attack-pattern",
            10,
            &json!({"name": "Create account", "external_references": [{"source_name": "mitre-attack", "external_id": "T1585.001"}]}),
        ),
        object(
            "relationship",
            11,
            &json!({"relationship_type": "uses", "source_ref": id("campaign", 3), "target_ref": id("attack-pattern", 10)}),
        ),
        object("sighting", 12, &json!({"sighting_of_ref": id("indicator", 4), "count": 7})),
        object(
            "opinion",
            13,
            &json!({"opinion": "disagree", "object_refs": [id("indicator", 4)], "explanation": "e"}),
        ),
        object("note", 14, &json!({"content": "c", "object_refs": [id("campaign", 3)]})),
        object(
            "grouping",
            15,
            &json!({"context": "suspicious-activity", "object_refs": [id("domain-name", 6)]}),
        ),
        object(
            "observed-data",
            16,
            &json!({"number_observed": 2, "object_refs": [id("user-account", 7)]}),
        ),
    ];
    json!({"type": "bundle", "id": id("bundle", 0), "objects": objects})
}

fn patterns() -> Vec<Vec<u8>> {
    [
        "[domain-name:value = 'a.example']",
        "[url:value = 'https://a.example/\\'x\\\\'] OR [ipv4-addr:value = '192.0.2.1']",
        "[user-account:account_login = 'alice' AND user-account:account_type = 'twitter']",
        "[(file:hashes.'SHA-256' = 'aa' OR file:hashes.MD5 = 'bb') AND file:name = 'c']",
        "[domain-name:value IN ('a.example', 'b.example')]",
        "[a:b LIKE 'x%'] FOLLOWEDBY [c:d > 5] WITHIN 5 SECONDS",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

fn lists() -> Vec<Vec<u8>> {
    let list = |kind: &str, entries: Value| {
        json!({
            "name": "A list", "version": 20_240_101, "description": "d", "type": kind,
            "matching_attributes": ["domain", "hostname", "url", "ip-dst"], "list": entries,
        })
    };
    let galaxy = json!({
        "type": "disarm", "version": 3, "name": "n",
        "values": [{"value": "Create account", "uuid": "x", "meta": {"external_id": "T0090", "kill_chain": ["tactics:Establish Assets"]}}],
    });
    [
        list("hostname", json!(["example.com", ".example.org", "www.example.net"])),
        list("string", json!(["192.0.2.1", "https://example.com/", "x"])),
        list("cidr", json!(["192.0.2.0/24", "2001:db8::/32", "198.51.100.7"])),
        list("substring", json!(["exam", "ple"])),
        list("regex", json!(["/^www\\.[a-z]+\\.com$/i", "a{2,5}|(b|c)*d"])),
        galaxy,
        bundle(),
    ]
    .map(|value| value.to_string().into_bytes())
    .into_iter()
    .chain([b"phase,code,name\nAcquire,T1,Getting accounts\n".to_vec()])
    .collect()
}

fn papers() -> Vec<Vec<u8>> {
    use base64::Engine as _;
    let base64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let samples =
        JSONL.lines().filter(|line| line.starts_with("{\"body\"") || line.starts_with("{\"name\""));
    let mut all: Vec<Vec<u8>> = samples.map(|line| line.as_bytes().to_vec()).collect();
    let head = wire::head::head_bytes(&head());
    let (genesis, exchange) = (base64(&world().founding()), world().exchange.name());
    let evidence = json!({
        "watchfire_evidence": 1, "exchange": exchange, "genesis": genesis, "finder": "members/acme-video",
        "time": "2018-08-22T00:00:00Z", "deviation": "fork",
        "exhibits": [
            {"kind": "checkpoint", "note": world().note},
            {"kind": "publisher_head", "statement": base64(&head), "signature": base64(&[1; 64])},
            {"kind": "leaf", "sequence": 3, "leaf_hash": hex::encode([1; 32]), "path": [hex::encode([2; 32])], "note": world().note},
            {"kind": "received", "what": "w", "bytes": base64(b"x")},
        ],
    });
    let receipt = json!({
        "watchfire_report_receipt": 1, "genesis": genesis, "roster": [], "statement": base64(&head), "signature": base64(&[1; 64]),
    });
    all.extend([evidence, receipt].map(|value| value.to_string().into_bytes()));
    all.push(world().founding());
    all
}

fn configured() -> Vec<u8> {
    b"listen = \"[::]:7443\"\nworkers = 2\ndrain_seconds = 5\n[tls]\nclient_ca = [\"a.pem\"]\n[connections]\ntotal = 100\n\
      [store]\nmin_free_bytes = 1\n[retention]\ndays = 90\n[warnings]\nlists = [\"l\"]\n[[frameworks]]\nfile = \"f.json\"\n\
      [metrics]\nlisten = \"127.0.0.1:9\"\n[taxii]\nlisten = \"0.0.0.0:1\"\n[log]\nformat = \"json\"\nfilter = \"info,h2=warn\"\n"
        .to_vec()
}

fn notes() -> Vec<Vec<u8>> {
    let [_operator, secret, _birch] = &world().keys;
    let key = VerifyingKey::from_spki(&secret.spki()).expect("a key");
    let cosigner =
        Cosigner::of_member(&world().exchange, &World::member(1), key).expect("an Ed25519 key");
    let cosigned =
        world().log_keys.cosign(&world().note, &cosigner, (1_800_000_000, secret)).expect("a note");
    vec![world().note.clone().into(), cosigned.note.into()]
}

fn certificates() -> Vec<Vec<u8>> {
    let start = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    let validity =
        Validity { not_before: start, not_after: start + std::time::Duration::from_hours(240_000) };
    let authority = CertificateAuthority::generate("Spring", validity).expect("an authority");
    let request = CertificateRequest::generate("acme-video").expect("a request");
    let member =
        authority.issue_member("spring.example", &World::member(1), &request.request_pem, validity);
    let member = member.expect("a certificate").certificate_pem;
    let list = authority.revocation_list(&[], 1, validity).expect("a list");
    let der = |pem: &str| {
        use rustls::pki_types::pem::PemObject as _;
        rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes())
            .expect("a certificate")
            .to_vec()
    };
    let [operator, ..] = &world().keys;
    vec![
        der(&member),
        der(authority.certificate_pem()),
        member.clone().into(),
        format!("{}{member}", authority.certificate_pem()).into(),
        list.into(),
        operator.to_pem().expect("a key").as_bytes().to_vec(),
        operator.spki(),
        VerifyingKey::from_spki(&operator.spki())
            .expect("a key")
            .ed25519_bytes()
            .expect("32 bytes")
            .to_vec(),
        b"spiffe://spring.example/members/acme-video/agents/feed".to_vec(),
    ]
}

fn tokens() -> Vec<Vec<u8>> {
    let (member, filter) = (World::member(1), sha256(b"a filter"));
    let sealed = |is_cursor| {
        let exchange = &world().exchange;
        Holder { key: &[7; 32], exchange, member: &member, filter: &filter, is_cursor }
            .seal((1, 7, 3))
    };
    vec![sealed(true), sealed(false), b"00ff@7".to_vec()]
}

fn rows() -> Vec<Vec<u8>> {
    let filter = pb::Filter { kinds: vec![1], ..pb::Filter::default() }.encode_to_vec();
    let subscription = disk::Subscription {
        filter: filter.clone(),
        epoch: 1,
        position: 3,
        access: 3,
        update_time_us: 9,
    };
    let delivery = disk::Delivery {
        member: "acme-video".to_owned(),
        filter,
        positions: vec![3],
        times_us: vec![9],
        passed: vec![disk::Passed { start: 0, end: 3, access: 3, since_us: 9 }],
        ..disk::Delivery::default()
    };
    let head = disk::Head {
        size: 3,
        accept_time_us: 9,
        epoch: 1,
        frontier: vec![vec![1; 32], vec![2; 32]],
        roster: vec![3; 32],
        checkpoint: world().note.clone(),
        bytes: 700,
    };
    let [_operator, key, _birch] = &world().keys;
    let cosignature = disk::Cosignature {
        note: world().note.clone(),
        key: key.id().as_bytes().to_vec(),
        time: 9,
    };
    let kept = disk::PublisherHead {
        statement: wire::head::head_bytes(&self::head()),
        signature: vec![1; 64],
        counted: true,
    };
    vec![
        subscription.encode_to_vec(),
        delivery.encode_to_vec(),
        head.encode_to_vec(),
        cosignature.encode_to_vec(),
        kept.encode_to_vec(),
        disk::MisbehaviorReport { time_us: 9, length: 7 }.encode_to_vec(),
        block(),
        store::fuzzing::run_filter_of(&(0..40).map(|value| value << 40).collect::<Vec<_>>()),
        store::fuzzing::head_key(&self::head().name),
        [&[0x30, 10], "acme-video".as_bytes(), b"feed"].concat(),
        vec![0; 17],
        scope(),
    ]
}

fn scope() -> Vec<u8> {
    disk::Scope {
        publisher: "acme-video".to_owned(),
        body_kind: 2,
        audiences: vec!["companies".to_owned()],
        recipients: Vec::new(),
        shapes: vec![disk::Shape {
            observable_kind: 1,
            platform: "x".to_owned(),
            operation: String::new(),
            revision: 1,
        }],
        publisher_is_reached: false,
    }
    .encode_to_vec()
}

/// The payload of a block of one entry.
fn block() -> Vec<u8> {
    let (kind, body) = bodies().into_iter().next().expect("a body");
    let framed = wire::entry::frame_of(1, 7, world().now, &world().envelope(1, kind, body));
    let scope = scope();
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).expect("short").to_be_bytes();
    let mut payload = vec![2, 1, 0, 0, 0, 0, 1];
    payload.extend(length(&scope));
    payload.extend(&scope);
    payload.extend(u32::from(u16::from_be_bytes(length(&framed))).to_be_bytes());
    payload.extend([0, 0, 0, 0, 1]);
    payload.extend([7; 16]);
    payload.push(0);
    payload.extend(framed);
    payload
}

fn backups() -> Vec<Vec<u8>> {
    let row = store::fuzzing::seal(&block());
    let mut content = 0_u64.to_be_bytes().to_vec();
    content.extend([0, 0]);
    content.extend(u32::try_from(row.len()).expect("short").to_be_bytes());
    content.extend(&row);
    let frame = |kind: u8, content: &[u8]| {
        let length = u16::try_from(content.len()).expect("short").to_be_bytes();
        [&[kind], length.as_slice(), content].concat()
    };
    let state = [&[0, 3], b"key".as_slice(), b"value"].concat();
    vec![
        frame(2, &content),
        [frame(2, &content), frame(3, &state)].concat(),
        b"watchfire-backup 1\n".to_vec(),
    ]
}
