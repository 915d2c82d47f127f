//! What people and peers bring: texts, files, certificates, notes and tokens.

use super::said::head;
use crate::targets::world::World;
use crate::targets::world::world;
use serde_json::Value;
use serde_json::json;
use watchfire::exchange::fuzzing::Holder;
use watchfire::model::names::sha256;
use watchfire::model::observable::ObservableKind;
use watchfire::pki::CertificateAuthority;
use watchfire::pki::CertificateRequest;
use watchfire::pki::Validity;
use watchfire::signing::VerifyingKey;
use watchfire::transparency::Cosigner;
use watchfire::wire;

const JSONL: &str = include_str!("../../../docs/JSONL.md");
const VECTORS: &str = include_str!("../../vectors/normal_form.tsv");

pub(super) fn values() -> Vec<Vec<u8>> {
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

pub(super) fn texts() -> Vec<Vec<u8>> {
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

pub(super) fn object(kind: &str, number: u8, more: &Value) -> Value {
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

/// `{type}--{uuid}`.
fn id(kind: &str, number: u8) -> String {
    format!("{kind}--01890a5d-ac96-474b-bcce-b302099a80{number:02x}")
}

/// An operation, and what points at it.
fn operation() -> Vec<Value> {
    vec![
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
    ]
}

/// What is said about it.
fn statements() -> Vec<Value> {
    vec![
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
    ]
}

pub(super) fn bundle() -> Value {
    let objects = [operation(), statements()].concat();
    json!({"type": "bundle", "id": id("bundle", 0), "objects": objects})
}

pub(super) fn patterns() -> Vec<Vec<u8>> {
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

pub(super) fn lists() -> Vec<Vec<u8>> {
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

pub(super) fn papers() -> Vec<Vec<u8>> {
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

pub(super) fn configured() -> Vec<u8> {
    b"listen = \"[::]:7443\"\nworkers = 2\ndrain_seconds = 5\n[tls]\nclient_ca = [\"a.pem\"]\n[connections]\ntotal = 100\n\
      [store]\nmin_free_bytes = 1\n[retention]\ndays = 90\n[warnings]\nlists = [\"l\"]\n[[frameworks]]\nfile = \"f.json\"\n\
      [metrics]\nlisten = \"127.0.0.1:9\"\n[taxii]\nlisten = \"0.0.0.0:1\"\n[log]\nformat = \"json\"\nfilter = \"info,h2=warn\"\n"
        .to_vec()
}

pub(super) fn notes() -> Vec<Vec<u8>> {
    let [_operator, secret, _birch] = &world().keys;
    let key = VerifyingKey::from_spki(&secret.spki()).expect("a key");
    let cosigner =
        Cosigner::of_member(&world().exchange, &World::member(1), key).expect("an Ed25519 key");
    let both =
        world().log_keys.cosign(&world().note, &cosigner, (1_800_000_000, secret)).expect("a note");
    vec![world().note.clone().into(), both.note.into()]
}

pub(super) fn certificates() -> Vec<Vec<u8>> {
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

pub(super) fn tokens() -> Vec<Vec<u8>> {
    let (member, filter) = (World::member(1), sha256(b"a filter"));
    let sealed = |is_cursor| {
        let exchange = &world().exchange;
        Holder { key: &[7; 32], exchange, member: &member, filter: &filter, is_cursor }
            .seal((1, 7, 3))
    };
    vec![sealed(true), sealed(false), b"00ff@7".to_vec()]
}
