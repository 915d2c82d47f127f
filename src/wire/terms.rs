//! What a body is found by in the indexes, besides what its scope says.

use std::collections::BTreeSet;

use crate::model::handling::Reach;
use crate::model::index_keys::Term;
use crate::model::limits;
use crate::model::perceptual;
use crate::model::text;
use crate::wire::body::Content;
use crate::wire::body::End;
use crate::wire::pb;

/// The terms of a record for a reach: what it is about (the operation that it belongs to apart, which its scope says),
/// its words, techniques, regions and languages. The same for the same bytes, so that a rebuild gives the same indexes.
pub fn terms(content: &Content, body: &pb::Body, reach: &Reach) -> Vec<Term> {
    let mut terms = about(content);
    if let Some(content) = &body.content {
        terms.extend(words_of(content, words_max(reach)));
        described(content, &mut terms);
    }
    terms.sort_unstable();
    terms.dedup();
    terms
}

fn about(content: &Content) -> Vec<Term> {
    let mut terms: Vec<Term> =
        content.targets().into_iter().map(|(_field, name)| Term::about(name)).collect();
    let ends: Vec<&End> = match content {
        Content::Link { source, target } => vec![source, target],
        Content::Inquiry { about, .. } => vec![about],
        Content::Indicator { .. }
        | Content::Operation
        | Content::About { .. }
        | Content::Withdrawal { .. }
        | Content::Acknowledgement { .. }
        | Content::Takedown { .. }
        | Content::AudienceChange { .. }
        | Content::Erasure { .. }
        | Content::Retention { .. }
        | Content::Epoch(_)
        | Content::Conflict(_)
        | Content::LogKeyChange(_)
        | Content::RosterChange { .. }
        | Content::KeyChange(_)
        | Content::Genesis(_)
        | Content::Gone => Vec::new(),
    };
    terms.extend(ends.into_iter().filter_map(|end| match end {
        End::Value(digest) => Some(Term::end(digest)),
        End::Record(_) => None,
    }));
    terms
}

/// How many words a record for a reach is found by. Each is posted once for each audience, each recipient and the
/// publisher; only words give way, since everything else is what the record says and not how it is put.
fn words_max(reach: &Reach) -> usize {
    let groups = reach.audiences.len() + reach.recipients.len() + 1;
    limits::RECORD_WORDS_MAX.min(limits::RECORD_WORD_POSTINGS_MAX / groups)
}

/// The terms of the first words that [`text_of`] has, without keeping their letters.
fn words_of(content: &pb::body::Content, words_max: usize) -> Vec<Term> {
    let mut terms = Vec::new();
    for text in texts(content) {
        text::each_word(text, |word| {
            let term = Term::word(word);
            if terms.len() < words_max && !terms.contains(&term) {
                terms.push(term);
            }
        });
    }
    terms
}

/// The words of everything that people wrote in a body.
pub fn text_of(content: &pb::body::Content) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for text in texts(content) {
        text::words(text, &mut words);
    }
    words
}

/// Titles, descriptions, narratives, handles and statements.
fn texts(content: &pb::body::Content) -> Vec<&str> {
    use pb::body::Content;

    let mut texts: Vec<&String> = Vec::new();
    match content {
        Content::Indicator(said) => {
            if let Some(observable) = &said.observable {
                texts.extend([&observable.value, &observable.display_name]);
            }
            texts.push(&said.description);
            texts.extend(&said.labels);
        }
        Content::Operation(said) => {
            texts.push(&said.title);
            texts.extend(said.aliases.iter().chain(&said.labels).chain(&said.narratives));
            texts.push(&said.description);
        }
        Content::Attribution(said) => {
            texts.extend([&said.actor, &said.claimant, &said.rationale]);
        }
        Content::Link(said) => texts.push(&said.description),
        Content::Sighting(said) => texts.push(&said.description),
        Content::Opinion(said) => texts.push(&said.text),
        Content::ActionReport(said) => texts.push(&said.text),
        Content::Inquiry(said) => texts.push(&said.question),
        Content::Reply(said) => texts.push(&said.text),
        Content::Note(said) => texts.push(&said.text),
        Content::Withdrawal(_)
        | Content::Acknowledgement(_)
        | Content::RosterChange(_)
        | Content::KeyChange(_)
        | Content::AudienceChange(_)
        | Content::Takedown(_)
        | Content::Erasure(_)
        | Content::Retention(_)
        | Content::Epoch(_)
        | Content::Conflict(_)
        | Content::LogKeyChange(_)
        | Content::Genesis(_) => {}
    }
    texts.into_iter().map(String::as_str).filter(|text| !text.is_empty()).collect()
}

/// Techniques, regions, languages and parts of perceptual hashes.
fn described(content: &pb::body::Content, terms: &mut Vec<Term>) {
    if let pb::body::Content::Indicator(said) = content {
        terms.extend(techniques(&said.techniques));
        terms.extend(said.observable.as_ref().map(parts).unwrap_or_default());
    }
    if let pb::body::Content::Operation(said) = content {
        terms.extend(techniques(&said.techniques));
        let regions = said.origin_regions.iter().chain(&said.target_regions);
        terms.extend(regions.map(|code| Term::region(code)));
        terms.extend(said.languages.iter().map(|tag| Term::language(tag)));
    }
}

fn techniques(techniques: &[pb::Technique]) -> impl Iterator<Item = Term> {
    techniques.iter().map(|technique| Term::technique(&technique.external_id))
}

/// The parts of a PDQ hash, under which hashes that differ in a few bits are found.
fn parts(observable: &pb::Observable) -> Vec<Term> {
    let Some(hash) = crate::wire::observable::pdq(observable) else {
        return Vec::new();
    };
    perceptual::stored_keys(&hash).into_iter().map(|key| Term::part(key.to_bytes())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::names::Audience;

    fn reach(audiences: usize, recipients: usize) -> Reach {
        let member = |number| format!("member-{number:02}").parse().unwrap();
        Reach {
            audiences: vec![Audience::companies(); audiences],
            recipients: (0..recipients).map(member).collect(),
        }
    }

    #[test]
    fn words_give_way_to_readers_and_nothing_else_does() {
        let words: Vec<String> = (0..300).map(|number| format!("word{number}")).collect();
        let techniques = (0..200).map(|number| pb::Technique {
            external_id: format!("T{number:04}"),
            ..pb::Technique::default()
        });
        let said = pb::body::Content::Operation(pb::Operation {
            description: words.join(" "),
            techniques: techniques.collect(),
            target_regions: vec!["CA".to_owned()],
            languages: vec!["fr".to_owned()],
            ..pb::Operation::default()
        });
        let body = pb::Body { content: Some(said), ..pb::Body::default() };
        let of = |audiences, recipients| {
            let reach = reach(audiences, recipients);
            let found = terms(&Content::Operation, &body, &reach);
            let count = words.iter().filter(|word| found.contains(&Term::word(word))).count();
            let first = words.iter().take(count);
            assert!(first.into_iter().all(|word| found.contains(&Term::word(word))), "the first");
            assert!(
                found.contains(&Term::technique("T0199")) && found.contains(&Term::region("CA"))
            );
            assert_eq!(found.len(), count + 200 + 2);
            assert!(count * (audiences + recipients + 1) <= limits::RECORD_WORD_POSTINGS_MAX);
            count
        };
        // With the publisher: sixteen groups, seventeen, and as many as there may be.
        for (audiences, recipients, words) in
            [(0, 0, 256), (1, 14, 256), (1, 15, 240), (32, 64, 42)]
        {
            assert_eq!(of(audiences, recipients), words, "{audiences} and {recipients}");
        }
    }

    #[test]
    fn what_a_record_is_about_is_found_whomever_it_is_for() {
        let of = "members/acme-video/records/01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let text = (0..300).map(|number| format!("word{number}")).collect::<Vec<_>>().join(" ");
        let note = pb::body::Content::Note(pb::Note { text, ..pb::Note::default() });
        let body = pb::Body { content: Some(note), ..pb::Body::default() };
        let about = Term::about(&of);
        let found = terms(&Content::About { of }, &body, &reach(32, 64));
        assert!(found.contains(&about));
        assert_eq!(found.len(), 43);
    }
}
