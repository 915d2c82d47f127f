//! Facts as they lie on disk beside their entries.

use prost::Message as _;
use uuid::Uuid;

use crate::model::facts::Facts;
use crate::model::facts::Shape;
use crate::model::handling::Reach;
use crate::model::header::BodyKind;
use crate::wire::disk;

/// Encodes facts.
pub fn encode(facts: &Facts) -> Vec<u8> {
    disk::Facts {
        publisher: facts.publisher.as_str().to_owned(),
        record: facts.record.as_bytes().to_vec(),
        revision: facts.revision,
        body_kind: facts.body_kind.number(),
        audiences: facts.reach.audiences.iter().map(ToString::to_string).collect(),
        recipients: facts.reach.recipients.iter().map(ToString::to_string).collect(),
        shapes: facts.shapes.iter().map(shape_to_disk).collect(),
        value_digest: facts.value_digest.map(|digest| digest.to_vec()).unwrap_or_default(),
        withdraws: facts.withdraws.map(|id| id.as_bytes().to_vec()).unwrap_or_default(),
    }
    .encode_to_vec()
}

/// Decodes facts; `None` if the bytes are not facts, which is damage.
pub fn decode(bytes: &[u8]) -> Option<Facts> {
    let disk::Facts {
        publisher,
        record,
        revision,
        body_kind,
        audiences,
        recipients,
        shapes,
        value_digest,
        withdraws,
    } = disk::Facts::decode(bytes).ok()?;
    Some(Facts {
        publisher: publisher.parse().ok()?,
        record: Uuid::from_slice(&record).ok()?,
        revision,
        body_kind: BodyKind::from_number(body_kind)?,
        reach: Reach {
            audiences: audiences.iter().map(|text| text.parse().ok()).collect::<Option<_>>()?,
            recipients: recipients.iter().map(|text| text.parse().ok()).collect::<Option<_>>()?,
        },
        shapes: shapes.into_iter().map(shape_from_disk).collect::<Option<_>>()?,
        value_digest: match value_digest.as_slice() {
            [] => None,
            bytes => Some(bytes.try_into().ok()?),
        },
        withdraws: match withdraws.as_slice() {
            [] => None,
            bytes => Some(Uuid::from_slice(bytes).ok()?),
        },
    })
}

fn shape_to_disk(shape: &Shape) -> disk::Shape {
    disk::Shape {
        observable_kind: shape.kind,
        platform: shape.platform.clone(),
        operation: shape.operation.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

fn shape_from_disk(shape: disk::Shape) -> Option<Shape> {
    let disk::Shape { observable_kind, platform, operation } = shape;
    let operation = match operation.as_str() {
        "" => None,
        name => Some(name.parse().ok()?),
    };
    Some(Shape { kind: observable_kind, platform, operation })
}
