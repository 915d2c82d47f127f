//! Answers to questions as one JSON object each: verified entries as everywhere, and apart from them what only the hub
//! says.

use prost::Message;
use serde_json::Value;
use serde_json::json;

use crate::client::json::Reading;
use crate::client::json::entry_to_json_for;
use crate::client::json::to_json;
use crate::client::queries::LinkEdge;
use crate::client::queries::LinkNode;
use crate::client::queries::LinksView;
use crate::client::queries::MetricClaim;
use crate::client::queries::OperationView;
use crate::client::queries::TotalClaim;
use crate::client::queries::Voucher;
use crate::client::verifier::VerifiedEntry;
use crate::model::names::MemberId;
use crate::model::time::Timestamp;

/// An operation whole, without the line break.
pub fn operation_to_json(view: &OperationView, now: Timestamp) -> String {
    let lines = |entries: &[VerifiedEntry]| -> Vec<Value> {
        entries.iter().map(|entry| line(entry, now)).collect()
    };
    json!({
        "operation": line(&view.operation, now),
        "attributions": lines(&view.attributions),
        "actions": lines(&view.actions),
        "opinions": lines(&view.opinions),
        "sightings": lines(&view.sightings),
        "inquiries": lines(&view.inquiries),
        "replies": lines(&view.replies),
        "notes": lines(&view.notes),
        "links": lines(&view.links),
        "totals": view.totals.iter().map(|claim| total(claim, now)).collect::<Vec<_>>(),
        "metrics": view.metrics.iter().map(metric).collect::<Vec<_>>(),
        "hub": hub_says(view),
    })
    .to_string()
}

/// What nobody signed.
fn hub_says(view: &OperationView) -> Value {
    let assets = view.assets.iter().map(|count| {
        json!({
            "publisher": count.publisher.name(),
            "platform": count.platform,
            "kind": count.kind.as_str(),
            "count": count.count,
            "expired": count.expired,
        })
    });
    let techniques = view.techniques.iter().map(|use_of| {
        let publishers: Vec<String> = use_of.publishers.iter().map(MemberId::name).collect();
        json!({
            "technique": message("Technique", &use_of.technique),
            "publishers": publishers,
            "records": use_of.records,
        })
    });
    json!({
        "withdrawn_sequence": view.withdrawn_sequence,
        "assets": assets.collect::<Vec<_>>(),
        "techniques": techniques.collect::<Vec<_>>(),
        "more": view.more,
    })
}

/// What is linked, without the line break.
pub fn links_to_json(view: &LinksView, now: Timestamp) -> String {
    let node = |node: &LinkNode| {
        json!({
            "record": node.record.as_ref().map(ToString::to_string),
            "value": node.value.as_ref().map(|value| message("NormalForm", value)),
            "step": node.step,
            "entry": node.entry.as_ref().map(|entry| line(entry, now)),
        })
    };
    let edge = |edge: &LinkEdge| {
        json!({
            "source": edge.source,
            "target": edge.target,
            "kind": edge.kind.as_str_name(),
            "type": edge.link_type.as_str_name(),
            "confidence": edge.confidence,
            "record": edge.record.to_string(),
            "verified": edge.voucher == Voucher::Publisher,
        })
    };
    json!({
        "nodes": view.nodes.iter().map(node).collect::<Vec<_>>(),
        "edges": view.edges.iter().map(edge).collect::<Vec<_>>(),
        "hub": {
            "beyond": view.nodes.iter().map(|node| node.beyond).collect::<Vec<_>>(),
            "more": view.more,
        },
    })
    .to_string()
}

fn total(claim: &TotalClaim, now: Timestamp) -> Value {
    json!({
        "publisher": claim.publisher.name(),
        "record": claim.record.to_string(),
        "platform": claim.platform,
        "aggregate": message("Aggregate", &claim.aggregate),
        "verified": claim.voucher() == Voucher::Publisher,
        "entry": claim.entry.as_ref().map(|entry| line(entry, now)),
    })
}

fn metric(claim: &MetricClaim) -> Value {
    json!({
        "publisher": claim.publisher.name(),
        "record": claim.record.to_string(),
        "metric": message("Metric", &claim.metric),
        "verified": claim.voucher == Voucher::Publisher,
    })
}

fn line(entry: &VerifiedEntry, now: Timestamp) -> Value {
    // It was written as JSON a moment ago.
    let reading = Reading { now, overlay: None, distance: 0 };
    serde_json::from_str(&entry_to_json_for(entry, reading)).unwrap_or_default()
}

fn message(name: &str, message: &impl Message) -> Value {
    to_json(&format!("watchfire.v1.{name}"), &message.encode_to_vec())
}
