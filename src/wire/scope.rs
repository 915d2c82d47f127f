//! The scope of entries as it lies on disk, once for each block.

use prost::Message as _;

use crate::model::facts::Scope;
use crate::model::facts::Shape;
use crate::model::handling::Reach;
use crate::model::header::BodyKind;
use crate::wire::disk;

/// Encodes a scope.
pub fn encode(scope: &Scope) -> Vec<u8> {
    disk::Scope {
        publisher: scope.publisher.as_str().to_owned(),
        body_kind: scope.body_kind.number(),
        audiences: scope.reach.audiences.iter().map(ToString::to_string).collect(),
        recipients: scope.reach.recipients.iter().map(ToString::to_string).collect(),
        shapes: scope.shapes.iter().map(shape_to_disk).collect(),
        publisher_is_reached: scope.publisher_is_reached,
    }
    .encode_to_vec()
}

/// Decodes a scope; `None` if the bytes are not one, which is damage.
pub fn decode(bytes: &[u8]) -> Option<Scope> {
    let disk::Scope { publisher, body_kind, audiences, recipients, shapes, publisher_is_reached } =
        disk::Scope::decode(bytes).ok()?;
    Some(Scope {
        publisher: publisher.parse().ok()?,
        body_kind: BodyKind::from_number(body_kind)?,
        reach: Reach {
            audiences: audiences.iter().map(|text| text.parse().ok()).collect::<Option<_>>()?,
            recipients: recipients.iter().map(|text| text.parse().ok()).collect::<Option<_>>()?,
        },
        publisher_is_reached,
        shapes: shapes.into_iter().map(shape_from_disk).collect::<Option<_>>()?,
    })
}

fn shape_to_disk(shape: &Shape) -> disk::Shape {
    disk::Shape {
        observable_kind: shape.kind,
        platform: shape.platform.clone(),
        operation: shape.operation.as_ref().map(ToString::to_string).unwrap_or_default(),
        revision: shape.revision,
    }
}

fn shape_from_disk(shape: disk::Shape) -> Option<Shape> {
    let disk::Shape { observable_kind, platform, operation, revision } = shape;
    let operation = match operation.as_str() {
        "" => None,
        name => Some(name.parse().ok()?),
    };
    Some(Shape { kind: observable_kind, platform, operation, revision })
}
