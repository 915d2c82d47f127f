//! One line of `publish --jsonl`: what it says is to be published, and how.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use prost::Message as _;
use serde_json::Value;
use watchfire::client::ClientError;
use watchfire::client::Said;
use watchfire::client::body_from_json;
use watchfire::client::handling_from_json;
use watchfire::model::handling::Handling;
use watchfire::model::names::InvalidName;
use watchfire::model::names::MemberId;
use watchfire::model::names::RecordName;
use watchfire::wire;
use watchfire::wire::pb;

use crate::failure::Failure;
use crate::output;

/// Fields that `subscribe` prints and that are not the publisher's to say.
const PASSED_OVER: [&str; 15] = [
    "epoch",
    "sequence",
    "accept_time",
    "revision",
    "publisher",
    "kind",
    "erased",
    "expires",
    "expired",
    "overlay",
    "header_digest",
    "verified",
    "in_doubt",
    "unconfirmed",
    "envelope",
];

/// A record that a line asks for.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) name: Option<RecordName>,
    pub(crate) content: pb::body::Content,
    /// Who may read it, where the line says so.
    pub(crate) handling: Option<Handling>,
    /// What it says as it was signed elsewhere, with fields that this version does not know.
    pub(crate) said: Option<Said>,
}

/// What is to be done about a line.
#[derive(Clone, Debug)]
pub(crate) enum Line {
    /// It asks for a record.
    Wanted(Box<Wanted>),
    /// It is of an export, and nothing that this member could say again: why.
    NotOwn(String),
}

/// Reads a line. With `own_alone`, what an export has of others and of the log's own is told apart; without it,
/// another member's record is refused.
pub(crate) fn read(line: &str, member: &MemberId, own_alone: bool) -> anyhow::Result<Line> {
    if own_alone && let Some(why) = not_own(line, member) {
        return Ok(Line::NotOwn(why));
    }
    Ok(Line::Wanted(Box::new(parse(line, member)?)))
}

/// Why a line of an export is not for this member to say again.
fn not_own(line: &str, member: &MemberId) -> Option<String> {
    let value: Value = serde_json::from_str(line).ok()?;
    let text = |field: &str| value.get(field).and_then(Value::as_str);
    let name: RecordName = text("name")?.parse().ok()?;
    if name.member != *member {
        return Some(format!("{name} is another member's record"));
    }
    let kind = text("kind")?;
    let is_said = watchfire::model::header::BodyKind::ALL
        .iter()
        .any(|known| known.as_str() == kind && known.is_chosen());
    if value.get("erased").is_some() {
        return Some(format!("the body of {name} was erased"));
    }
    (!is_said)
        .then(|| format!("{name} is of the kind {}: it is not said again", output::clean(kind)))
}

fn parse(line: &str, member: &MemberId) -> anyhow::Result<Wanted> {
    let usage = |why: String| Failure::Usage(why);
    let value: Value = serde_json::from_str(line).map_err(|error| usage(error.to_string()))?;
    let Value::Object(mut fields) = value else {
        return Err(usage("it is not an object".to_owned()).into());
    };
    let envelope = fields.get("envelope").and_then(Value::as_str).map(str::to_owned);
    for field in PASSED_OVER {
        fields.remove(field);
    }
    let body = fields.remove("body").ok_or_else(|| usage("it has no body".to_owned()))?;
    let handling = fields.remove("handling").map(handling_from_json).transpose();
    let handling = handling.map_err(ClientError::Invalid)?;
    let name = fields.remove("name");
    if let Some(unknown) = fields.keys().next() {
        return Err(usage(format!("the field {} is not known", output::clean(unknown))).into());
    }
    let name: Option<RecordName> = match name {
        Some(Value::String(name)) => {
            Some(name.parse().map_err(|error: InvalidName| usage(error.to_string()))?)
        }
        Some(_) => return Err(usage("the name is not a text".to_owned()).into()),
        None => None,
    };
    if let Some(name) = name.as_ref().filter(|name| name.member != *member) {
        return Err(usage(format!("{name} is another member's record")).into());
    }
    let content = body_from_json(body).map_err(ClientError::Invalid)?;
    let said = envelope.and_then(|envelope| said(&envelope, &content));
    Ok(Wanted { name, content, handling, said })
}

/// The bytes that were signed, if they say what the line says: whoever edited the line means the line.
fn said(envelope: &str, content: &pb::body::Content) -> Option<Said> {
    let bytes = BASE64.decode(envelope).ok()?;
    let body = pb::Envelope::decode(bytes.as_slice()).ok()?.body;
    let decoded = wire::body::body(&body).ok()?;
    (decoded.content.as_ref() == Some(content)).then(|| Said::of(&body))?
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"sequence":7,"body":{"indicator":{"observable":{"kind":"OBSERVABLE_KIND_DOMAIN","value":"example.com"}}},"handling":{"tlp":"TLP_GREEN","audiences":["audiences/companies"]}}"#;

    #[track_caller]
    fn check_refused(line: &str, expected: &str) {
        let error = parse(line, &"acme-video".parse().unwrap()).err().unwrap();
        assert!(format!("{error:#}").contains(expected), "{error:#}");
    }

    #[test]
    fn a_line_as_it_was_printed_is_a_record() {
        let wanted = parse(LINE, &"acme-video".parse().unwrap()).unwrap();
        assert_eq!(wanted.name, None);
        assert_eq!(wanted.handling.unwrap().reach.audiences.len(), 1);
        let bare = LINE
            .replace(r#","handling":{"tlp":"TLP_GREEN","audiences":["audiences/companies"]}"#, "");
        assert_ne!(bare, LINE);
        assert_eq!(parse(&bare, &"acme-video".parse().unwrap()).unwrap().handling, None);
    }

    #[test]
    fn a_line_that_is_no_record_says_why() {
        check_refused("{", "EOF");
        check_refused("[]", "not an object");
        check_refused("{}", "no body");
        check_refused(&LINE.replace("TLP_GREEN", "TLP_BLUE"), "TLP_BLUE");
        check_refused(&LINE.replace("sequence", "colour"), "colour");
        check_refused(
            &LINE.replace(
                r#""sequence":7"#,
                r#""name":"members/bravo-net/records/01890a5d-ac96-774b-bcce-b302099a8057""#,
            ),
            "another member",
        );
    }

    #[test]
    fn bytes_that_were_signed_count_if_they_say_what_the_line_says() {
        let content = parse(LINE, &"acme-video".parse().unwrap()).unwrap().content;
        let body = pb::Body { salt: vec![7; 32], content: Some(content) };
        let mut bytes = body.encode_to_vec();
        bytes.extend([0xba, 0x3e, 3, b'n', b'e', b'w']);
        let envelope = pb::Envelope { body: bytes.into(), ..pb::Envelope::default() };
        let envelope = BASE64.encode(envelope.encode_to_vec());
        let line = LINE.replace("{\"sequence\":7", &format!("{{\"envelope\":\"{envelope}\""));
        let read = |line: &str| parse(line, &"acme-video".parse().unwrap()).unwrap();
        assert!(read(&line).said.is_some());
        let edited = line.replace("example.com", "example.org");
        assert_eq!(read(&edited).said, None, "whoever edits a line means the line");
        assert_eq!(read(&line.replace(&envelope, "!")).said, None);
    }

    #[test]
    fn what_an_export_has_of_others_is_told_apart_if_that_is_asked_for() {
        let member: MemberId = "acme-video".parse().unwrap();
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let named = |who: &str, kind: &str, more: &str| {
            let name = format!(r#""name":"members/{who}/records/{id}","kind":"{kind}"{more}"#);
            LINE.replace(r#""sequence":7"#, &name)
        };
        for (line, why) in [
            (named("bravo-net", "indicator", ""), "another member's"),
            (named("acme-video", "withdrawal", ""), "of the kind withdrawal"),
            (named("acme-video", "genesis", ""), "of the kind genesis"),
            (named("acme-video", "indicator", r#","erased":{"cause_sequence":9}"#), "was erased"),
        ] {
            let told = read(&line, &member, true).unwrap();
            assert!(matches!(&told, Line::NotOwn(told) if told.contains(why)), "{told:?}");
        }
        let own = named("acme-video", "indicator", "");
        assert!(matches!(read(&own, &member, true).unwrap(), Line::Wanted(_)));
        read(&named("bravo-net", "indicator", ""), &member, false).unwrap_err();
    }
}
