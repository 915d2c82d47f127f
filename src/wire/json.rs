//! Messages as JSON, with the field names of the proto, as docs/JSONL.md promises and `jq` lines rely on.

use std::sync::OnceLock;

use prost_reflect::DescriptorPool;
use prost_reflect::DynamicMessage;
use prost_reflect::MessageDescriptor;
use prost_reflect::SerializeOptions;
use serde_json::Value;

/// A message, by its full name and its bytes, which were decoded as this very message before; unknown fields do not
/// show. `null` if they are not of it.
pub fn message_to_json(name: &str, bytes: &[u8]) -> Value {
    descriptor(name)
        .and_then(|descriptor| DynamicMessage::decode(descriptor, bytes).ok())
        .and_then(|message| {
            let spelling = SerializeOptions::new().use_proto_field_name(true);
            message.serialize_with_options(serde_json::value::Serializer, &spelling).ok()
        })
        .unwrap_or_default()
}

/// What describes a message.
pub fn descriptor(name: &str) -> Option<MessageDescriptor> {
    static POOL: OnceLock<Option<DescriptorPool>> = OnceLock::new();
    let pool = POOL.get_or_init(|| DescriptorPool::decode(super::DESCRIPTORS).ok());
    pool.as_ref()?.get_message_by_name(name)
}
