//! Record ids of imports: the same asset of the same operation has the same id in every edition of a file.

use uuid::Uuid;

use crate::interop::meta_csv::Draft;
use crate::model::platform::Platform;

/// The id of a draft's record, in the member's secret namespace.
pub fn record_id(namespace: &Uuid, operation: &str, draft: &Draft) -> Uuid {
    let kind = draft.kind.number().to_string();
    let platform = draft.platform.as_ref().map_or("", Platform::as_str);
    named(namespace, &["indicator", operation, &kind, platform, &draft.normal_form])
}

/// The id of an operation's record, in the member's secret namespace.
pub fn operation_id(namespace: &Uuid, title: &str) -> Uuid {
    named(namespace, &["operation", title])
}

/// Each part goes in with its length before it, so that no two lists of parts read alike.
fn named(namespace: &Uuid, parts: &[&str]) -> Uuid {
    let name =
        parts.iter().fold(String::new(), |name, part| name + &part.len().to_string() + ":" + part);
    Uuid::new_v5(namespace, name.as_bytes())
}
