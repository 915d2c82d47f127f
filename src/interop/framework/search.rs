//! Techniques by words, codes and tactics.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Bound;

use crate::interop::framework::Framework;
use crate::interop::framework::Frameworks;
use crate::interop::framework::Technique;
use crate::interop::framework::build;
use crate::model::text;

/// From how many characters on a word also finds longer ones that begin with it.
const PREFIX_CHARACTERS_MIN: usize = 3;

/// Which techniques. Fields are joined by AND, the values of a field by OR, words by AND.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TechniqueQuery {
    /// Words as [`text::query_words`] gives them, all of which a technique must have.
    pub words: Vec<String>,
    /// The framework; empty for any.
    pub framework: String,
    /// Its version; empty for any.
    pub version: String,
    /// Codes, each perhaps with its framework before it: `T0013`, `disarm/T0013`. None for any.
    pub external_ids: Vec<String>,
    /// Code or name of a tactic; empty for any.
    pub tactic: String,
}

/// A technique by the places of its framework and of itself in that.
type Place = (usize, usize);

/// From words to the techniques that have them.
#[derive(Debug, Default)]
pub(super) struct Index {
    words: BTreeMap<Box<str>, Vec<Place>>,
}

impl Index {
    /// Adds the words of a framework that has this place.
    pub(super) fn add(&mut self, place: usize, framework: &Framework) {
        for (at, technique) in framework.techniques.iter().enumerate() {
            let mut words = BTreeSet::new();
            // The most telling first: a very long description has no place for all of its words.
            text::words(&technique.external_id, &mut words);
            text::words(&technique.name, &mut words);
            for tactic in &technique.tactics {
                text::words(&tactic.external_id, &mut words);
                text::words(&tactic.name, &mut words);
            }
            text::words(&technique.description, &mut words);
            for word in words {
                self.words.entry(word.into()).or_default().push((place, at));
            }
        }
    }

    fn with_word(&self, word: &str) -> BTreeSet<Place> {
        let from = self.words.range::<str, _>((Bound::Included(word), Bound::Unbounded));
        let found = from.take_while(|(listed, _)| is_hit(word, listed));
        found.flat_map(|(_, places)| places.iter().copied()).collect()
    }
}

impl Frameworks {
    /// What a query finds: those whose name has the most of the words first, then in the order of frameworks and
    /// codes.
    pub fn search(&self, query: &TechniqueQuery) -> Vec<(&Framework, &Technique)> {
        let mut words = query.words.iter();
        let first = words.next().map(|word| self.index.with_word(word));
        let places: Option<BTreeSet<Place>> = first.map(|first| {
            words.fold(first, |left, word| {
                let with = self.index.with_word(word);
                left.intersection(&with).copied().collect()
            })
        });
        let codes: BTreeSet<(String, String)> =
            query.external_ids.iter().map(|text| asked(text)).collect();
        let mut found = Vec::new();
        for (place, framework) in self.all().iter().enumerate() {
            let is_other = |asked: &str, own: &str| !asked.is_empty() && !is(asked, own);
            if is_other(&query.framework, &framework.name)
                || is_other(&query.version, &framework.version)
            {
                continue;
            }
            let fits = |(at, technique): &(usize, &Technique)| {
                places.as_ref().is_none_or(|places| places.contains(&(place, *at)))
                    && (codes.is_empty() || is_asked(&codes, framework, technique))
                    && is_of_tactic(technique, &query.tactic)
            };
            let fitting = framework.techniques.iter().enumerate().filter(fits);
            found.extend(
                fitting
                    .map(|(_, technique)| (named(technique, &query.words), framework, technique)),
            );
        }
        // Stable: the order of codes stays.
        found.sort_by_key(|(named, ..)| std::cmp::Reverse(*named));
        found.into_iter().map(|(_, framework, technique)| (framework, technique)).collect()
    }
}

/// Whether a word that is asked for finds a word that is there.
fn is_hit(asked: &str, listed: &str) -> bool {
    let is_prefix = asked.chars().count() >= PREFIX_CHARACTERS_MIN;
    if is_prefix { listed.starts_with(asked) } else { listed == asked }
}

fn is(asked: &str, own: &str) -> bool {
    asked.eq_ignore_ascii_case(own)
}

/// Framework, if one is named, and code, as they are compared.
fn asked(text: &str) -> (String, String) {
    let (framework, code) = text.split_once('/').unwrap_or(("", text));
    (framework.to_ascii_lowercase(), build::key(code))
}

fn is_asked(
    codes: &BTreeSet<(String, String)>,
    framework: &Framework,
    technique: &Technique,
) -> bool {
    let code = build::key(&technique.external_id);
    codes.contains(&(framework.name.clone(), code.clone()))
        || codes.contains(&(String::new(), code))
}

fn is_of_tactic(technique: &Technique, asked: &str) -> bool {
    let is_it = |own: &str| !own.is_empty() && own.to_lowercase() == asked.trim().to_lowercase();
    asked.is_empty()
        || technique.tactics.iter().any(|tactic| is_it(&tactic.external_id) || is_it(&tactic.name))
}

/// How many of the words the name has, or begins a word with.
fn named(technique: &Technique, words: &[String]) -> usize {
    let mut own = BTreeSet::new();
    text::words(&technique.name, &mut own);
    words.iter().filter(|word| own.iter().any(|one| is_hit(word, one))).count()
}
