//! What backs a finding, as flags write it: techniques of a framework, and files by digest.

use watchfire::wire::pb;

/// `disarm/T0013`, or with its label, and its phase in brackets: `disarm/T0013 Create websites [Establish assets]`.
pub(crate) fn technique(text: &str) -> Result<pb::Technique, String> {
    let rule = || {
        "must be FRAMEWORK/ID, and perhaps its label, and its phase in brackets: 'disarm/T0013 Create websites \
         [Establish assets]'"
            .to_owned()
    };
    let (text, phase) = match text.trim().strip_suffix(']') {
        Some(text) => text.rsplit_once('[').ok_or_else(rule)?,
        None => (text.trim(), ""),
    };
    let (framework, rest) = text.split_once('/').ok_or_else(rule)?;
    let (id, name) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    if framework.trim().is_empty() || id.is_empty() {
        return Err(rule());
    }
    Ok(pb::Technique {
        framework: framework.trim().to_owned(),
        external_id: id.to_owned(),
        name: name.trim().to_owned(),
        phase: phase.trim().to_owned(),
        ..pb::Technique::default()
    })
}

/// `SHA256`, and perhaps the media type and where to ask for the file.
pub(crate) fn evidence(text: &str) -> Result<pb::Evidence, String> {
    let rule = || "must be SHA256 [TYPE/SUBTYPE] [ADDRESS], the digest as 64 hex digits".to_owned();
    let mut words = text.split_whitespace().peekable();
    let sha256 = words.next().and_then(|digest| hex::decode(digest).ok());
    let sha256 = sha256.filter(|digest| digest.len() == 32).ok_or_else(rule)?;
    // An address has a scheme, a media type none.
    let media_type = words.next_if(|word| word.contains('/') && !word.contains(':'));
    let media_type = media_type.unwrap_or_default().to_owned();
    let uri = words.next().unwrap_or_default().to_owned();
    if words.next().is_some() {
        return Err(rule());
    }
    Ok(pb::Evidence { sha256, media_type, uri })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_technique_is_named_by_its_framework() {
        let read = technique("disarm/T0013 Create inauthentic websites").unwrap();
        assert_eq!((read.framework.as_str(), read.external_id.as_str()), ("disarm", "T0013"));
        assert_eq!(read.name, "Create inauthentic websites");
        assert_eq!(read.phase, "");
        let read = technique("disarm/T0013 Create websites [Establish assets]").unwrap();
        assert_eq!(
            (read.name.as_str(), read.phase.as_str()),
            ("Create websites", "Establish assets")
        );
        let read = technique("online-operations-kill-chain/0.6.2 [Evading detection]").unwrap();
        assert_eq!((read.external_id.as_str(), read.name.as_str()), ("0.6.2", ""));
        assert_eq!(read.phase, "Evading detection");
        for bad in ["", "T0013", "/T0013", "disarm/", " /x", "disarm/T0013 x]", "[disarm/T0013]"] {
            technique(bad).unwrap_err();
        }
    }

    #[test]
    fn evidence_is_named_by_its_digest() {
        let digest = "ab".repeat(32);
        let read = evidence(&format!("{digest} image/png https://files.example/1")).unwrap();
        assert_eq!(read.sha256, [0xab; 32]);
        assert_eq!(
            (read.media_type.as_str(), read.uri.as_str()),
            ("image/png", "https://files.example/1")
        );
        let read = evidence(&format!("{digest} https://files.example/1")).unwrap();
        assert_eq!((read.media_type.as_str(), read.uri.as_str()), ("", "https://files.example/1"));
        let short = digest.trim_start_matches("ab").to_owned() + "abab";
        let long = format!("{digest} image/png x y");
        for bad in ["", &short, "zz image/png", &long] {
            evidence(bad).unwrap_err();
        }
    }
}
