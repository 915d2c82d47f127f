//! Attack patterns as techniques of the framework that they are really of.

use serde_json::Map;
use serde_json::Value;

use crate::interop::stix::import::text::label;
use crate::interop::stix::import::text::text;
use crate::wire::pb;

/// The technique that an attack pattern stands for; `creator` is the name of who made it.
///
/// DISARM is published under the source name and the kill chain of ATT&CK: its addresses, its tactics and its maker tell.
pub(super) fn technique(
    object: &Map<String, Value>,
    creator: Option<&str>,
) -> Result<pb::Technique, String> {
    let references = object.get("external_references").and_then(Value::as_array);
    let of = |reference: &Value, property: &str| {
        reference.get(property).and_then(Value::as_str).map(ToOwned::to_owned)
    };
    let mut coded = references.into_iter().flatten().filter(|reference| {
        of(reference, "external_id").is_some_and(|code| !code.trim().is_empty())
    });
    let reference = coded.next();
    let code = reference
        .and_then(|reference| of(reference, "external_id"))
        .or_else(|| text(object, "x_mitre_id").map(ToOwned::to_owned))
        .ok_or("it has no code in any framework")?;
    let source = reference.and_then(|reference| of(reference, "source_name"));
    let source = source.unwrap_or_default().to_ascii_lowercase();
    let address = reference.and_then(|reference| of(reference, "url")).unwrap_or_default();
    let phase = object
        .get("kill_chain_phases")
        .and_then(Value::as_array)
        .and_then(|phases| phases.first())
        .cloned()
        .unwrap_or_default();
    let chain = of(&phase, "kill_chain_name").unwrap_or_default().to_ascii_lowercase();
    let is_disarm = [source.as_str(), chain.as_str(), &address.to_ascii_lowercase()]
        .iter()
        .chain(&[creator.unwrap_or_default().to_ascii_lowercase().as_str()])
        .any(|word| word.contains("disarm"));
    let framework = match source.as_str() {
        _ if is_disarm => "disarm",
        "mitre-attack" | "mitre-mobile-attack" | "mitre-ics-attack" | "" => "attack",
        other => other,
    };
    Ok(pb::Technique {
        framework: label(framework),
        version: String::new(),
        external_id: label(&code),
        name: label(text(object, "name").unwrap_or_default()),
        phase: label(&of(&phase, "phase_name").unwrap_or_default()),
        observed: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn disarm_is_known_under_the_name_of_another_framework() {
        let of = |value: Value, creator: Option<&str>| {
            technique(value.as_object().unwrap(), creator)
                .map(|technique| format!("{} {}", technique.framework, technique.external_id))
        };
        let reference = |source: &str, url: &str| {
            json!({ "name": "x", "kill_chain_phases": [{ "kill_chain_name": "mitre-attack", "phase_name": "p" }],
                "external_references": [{ "source_name": source, "url": url, "external_id": "T0002" }] })
        };
        let page = "https://github.com/DISARMFoundation/DISARMframeworks/blob/main/T0002.md";
        assert_eq!(of(reference("mitre-attack", page), None).unwrap(), "disarm T0002");
        assert_eq!(
            of(reference("mitre-attack", ""), Some("DISARM Foundation")).unwrap(),
            "disarm T0002"
        );
        assert_eq!(of(reference("DISARM", ""), None).unwrap(), "disarm T0002");
        let attack = "https://attack.mitre.org/techniques/T0002";
        assert_eq!(of(reference("mitre-attack", attack), None).unwrap(), "attack T0002");
        assert_eq!(of(reference("capec", ""), None).unwrap(), "capec T0002");
        assert_eq!(of(json!({ "x_mitre_id": "T1" }), None).unwrap(), "attack T1");
        assert!(of(json!({ "name": "x" }), None).is_err());
    }
}
