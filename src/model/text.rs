//! The words of a text, under which it is found again: pure, versioned, total, the same for records and queries.
//!
//! A text is refanged, folded (compatibility forms, case, diacritics), and split by the word rules of Unicode
//! (UAX #29). Scripts that put no spaces between words give overlapping pairs of characters. Names that dots or
//! underscores hold together (`some_user.name`, `www.example.com`) and handles behind an `@` are a word as a
//! whole, beside their parts and, for hosts, the hosts above them. A query asks for such names as a whole;
//! hyphens and apostrophes only part its words. So a text holds every word of a query that is cut from it.

use std::collections::BTreeSet;

use icu_casemap::CaseMapper;
use icu_casemap::CaseMapperBorrowed;
use icu_properties::CodePointMapData;
use icu_properties::CodePointSetData;
use icu_properties::props::DefaultIgnorableCodePoint;
use icu_properties::props::GeneralCategory;
use icu_properties::props::LineBreak;
use icu_properties::props::Script;
use thiserror::Error;
use unicode_normalization::UnicodeNormalization as _;
use unicode_segmentation::UnicodeSegmentation as _;

use crate::model::limits::QUERY_WORDS_MAX;
use crate::model::limits::RECORD_WORDS_MAX;
use crate::model::limits::VALUE_BYTES_MAX;
use crate::model::limits::WORD_BYTES_MAX;
use crate::model::refang::refang;

/// The version of the function. Any change of any word is a new version, and indexes of words are built anew.
pub const TEXT_VERSION: u32 = 1;

/// Passes of folding after which a text is taken as it is; ordinary text needs one.
const PASSES_MAX: usize = 4;

/// Why a query cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum QueryError {
    /// Punctuation, blanks, or nothing.
    #[error("the query has no words")]
    Empty,
    /// More bytes than a value may have.
    #[error("the query is longer than {VALUE_BYTES_MAX} bytes")]
    TooLong,
    /// Too many different words; pairs of characters count where a script has no spaces.
    #[error("the query has more than {QUERY_WORDS_MAX} words")]
    TooManyWords,
}

/// Adds the words of a text, in its order, until there are [`RECORD_WORDS_MAX`] different ones.
///
/// The fields of a record go in one after the other, the most telling first. A word of more than
/// [`WORD_BYTES_MAX`] bytes is cut at a character.
pub fn words(text: &str, into: &mut BTreeSet<String>) {
    each_word(text, |word| {
        if into.len() < RECORD_WORDS_MAX {
            into.insert(word.to_owned());
        }
    });
}

/// Calls for each word of a text, in its order, as often as it occurs: the same as [`words`], for those who keep less
/// of them than their letters.
pub fn each_word(text: &str, call: impl FnMut(&str)) {
    if is_simple(text) {
        let lower = text.to_ascii_lowercase();
        call_each(simple_tokens(&lower), call);
    } else {
        let folded = folded(text);
        call_each(tokens(&folded), call);
    }
}

#[expect(single_use_lifetimes, reason = "it cannot be left out here")]
fn call_each<'a>(tokens: impl Iterator<Item = Token<'a>>, mut call: impl FnMut(&str)) {
    let mut add = |word: &str| {
        if !word.is_empty() {
            call(word);
        }
    };
    for token in tokens {
        match token {
            Token::Pair(pair) => add(pair),
            Token::Word(word) => parts(word).for_each(&mut add),
            // The parts first: where the limit cuts, no name is left without them.
            Token::Name(name) => {
                parts(name).chain(above(name)).chain([bounded(name)]).for_each(&mut add);
            }
        }
    }
}

/// The different words of a query, in its order, all of which a text must have to be found.
pub fn query_words(text: &str) -> Result<Vec<String>, QueryError> {
    if text.len() > VALUE_BYTES_MAX {
        return Err(QueryError::TooLong);
    }
    let mut found: Vec<String> = Vec::new();
    let folded = folded(text);
    for token in tokens(&folded) {
        let asked: Vec<&str> = match token {
            Token::Pair(pair) => vec![pair],
            Token::Name(name) => vec![bounded(name)],
            Token::Word(word) => parts(word).collect(),
        };
        for word in asked {
            if !word.is_empty() && !found.iter().any(|known| known == word) {
                found.push(word.to_owned());
            }
        }
        if found.len() > QUERY_WORDS_MAX {
            return Err(QueryError::TooManyWords);
        }
    }
    if found.is_empty() { Err(QueryError::Empty) } else { Ok(found) }
}

/// What stands between spaces, in the three ways in which it is found.
enum Token<'a> {
    /// Two neighbours of a script without spaces, or a single character of it that stands alone.
    Pair(&'a str),
    /// A word, perhaps of several that hyphens or apostrophes join.
    Word(&'a str),
    /// A name whose marks matter.
    Name(&'a str),
}

/// Whether a text is of characters for which the rules come to very little: most descriptions and handles are, and
/// every record is taken apart while somebody waits. That it makes no difference is tested.
fn is_simple(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" .-'@/!?".contains(&byte))
}

/// The tokens of a simple text in lower case: runs of letters and digits, with what single joiners hold on to them.
fn simple_tokens(text: &str) -> impl Iterator<Item = Token<'_>> {
    let bytes = text.as_bytes();
    let is_own = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphanumeric);
    let is_joiner = |at: usize| bytes.get(at).is_some_and(|byte| b".-'".contains(byte));
    let mut next = 0;
    std::iter::from_fn(move || {
        let start = (next..bytes.len()).find(|at| is_own(*at))?;
        let mut end = start;
        while is_own(end) || (is_joiner(end) && is_own(end + 1)) {
            end += 1;
        }
        next = end;
        let whole = text.get(start..end)?;
        let behind_at = start.checked_sub(1).is_some_and(|before| bytes.get(before) == Some(&b'@'));
        Some(if behind_at || whole.contains('.') { Token::Name(whole) } else { Token::Word(whole) })
    })
}

/// The text with what does not matter taken away, repeated until nothing changes.
fn folded(text: &str) -> String {
    let mut text = pass(text);
    for _ in 1..PASSES_MAX {
        let next = pass(&text);
        if next == text {
            break;
        }
        text = next;
    }
    text
}

fn pass(text: &str) -> String {
    static CASES: CaseMapperBorrowed<'static> = CaseMapper::new();
    let plain = refang(text);
    if plain.is_ascii() {
        return plain.to_ascii_lowercase();
    }
    let apart: String = plain.nfkd().collect();
    let mut bare = String::with_capacity(apart.len());
    for character in CASES.fold_string(&apart).nfkd().filter(|character| !is_idle(*character)) {
        match plain_letters(character) {
            Some(letters) => bare.push_str(letters),
            None => bare.push(character),
        }
    }
    bare.nfc().collect()
}

/// Accents, points and other marks without which a word is the same word to those who type it in haste, and
/// characters that nobody sees.
///
/// The marks of scripts that write vowels with them (of India and South-East Asia) and the voicing marks of
/// Japanese stay: they make other words.
fn is_idle(character: char) -> bool {
    if character.is_ascii() || matches!(character, '\u{3099}' | '\u{309a}') {
        return false;
    }
    let is_mark = matches!(
        CodePointMapData::<GeneralCategory>::new().get(character),
        GeneralCategory::NonspacingMark | GeneralCategory::EnclosingMark
    );
    let is_accent = is_mark
        && [
            Script::Inherited,
            Script::Latin,
            Script::Greek,
            Script::Cyrillic,
            Script::Hebrew,
            Script::Arabic,
            Script::Syriac,
        ]
        .contains(&script(character));
    // U+0640 stretches Arabic words and says nothing.
    is_accent
        || character == '\u{640}'
        || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character)
}

/// Latin letters that no normal form takes apart, and marks that keyboards replace.
fn plain_letters(character: char) -> Option<&'static str> {
    Some(match character {
        'æ' => "ae",
        'đ' | 'ð' => "d",
        'ħ' => "h",
        'ı' => "i",
        'ł' => "l",
        'ø' => "o",
        'œ' => "oe",
        'ŧ' => "t",
        'þ' => "th",
        '\u{2018}' | '\u{2019}' => "'",
        '\u{2010}' => "-",
        _ => return None,
    })
}

fn tokens(folded: &str) -> impl Iterator<Item = Token<'_>> {
    runs(folded).flat_map(|(run, before)| match run {
        Run::Spaceless(run) => pairs(run).map(Token::Pair).collect::<Vec<_>>(),
        Run::Spaced(run) => compounds(run, before),
    })
}

enum Run<'a> {
    Spaceless(&'a str),
    Spaced(&'a str),
}

/// The text cut where scripts without spaces begin and end, each with the character before it.
fn runs(text: &str) -> impl Iterator<Item = (Run<'_>, Option<char>)> {
    let mut rest = text;
    let mut before = None;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let spaceless = is_spaceless(first);
        let end = rest.find(|character| is_spaceless(character) != spaceless);
        let (run, behind) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
        rest = behind;
        let found = (if spaceless { Run::Spaceless(run) } else { Run::Spaced(run) }, before);
        before = run.chars().next_back();
        Some(found)
    })
}

/// Whether words of this character's script follow each other without a space.
fn is_spaceless(character: char) -> bool {
    // Every character below is of a script with spaces, or of none.
    if character < '\u{e00}' {
        return false;
    }
    let is_letter = character.is_alphanumeric() || is_combining(character);
    let is_complex =
        || CodePointMapData::<LineBreak>::new().get(character) == LineBreak::ComplexContext;
    let is_east_asian = || {
        let scripts = [Script::Han, Script::Hiragana, Script::Katakana, Script::Bopomofo];
        // The mark of long vowels belongs to two scripts.
        scripts.contains(&script(character)) || matches!(character, 'ー' | '\u{3099}' | '\u{309a}')
    };
    is_letter && (is_complex() || is_east_asian())
}

fn script(character: char) -> Script {
    CodePointMapData::<Script>::new().get(character)
}

/// Overlapping pairs of characters, or the only one.
fn pairs(run: &str) -> impl Iterator<Item = &str> {
    let mut bounds: Vec<usize> = run.char_indices().map(|(start, _)| start).collect();
    bounds.push(run.len());
    let step = if bounds.len() > 2 { 2 } else { 1 };
    (0..bounds.len()).filter_map(move |index| {
        let (start, end) = (bounds.get(index)?, bounds.get(index + step)?);
        run.get(*start..*end)
    })
}

/// Words with what single joiners hold on to them: `well-known`, `some_user.name`, `don't`.
fn compounds(run: &str, before: Option<char>) -> Vec<Token<'_>> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    // Where a word ended that the next one may join: behind it, or behind one joiner.
    let mut joint = None;
    for (start, segment) in run.split_word_bound_indices() {
        let end = start + segment.len();
        if segment.contains(is_letter) {
            match found.last_mut().filter(|_word| joint == Some(start)) {
                Some(word) => word.1 = end,
                None => found.push((start, end)),
            }
            joint = None;
        } else {
            let follows = found.last().is_some_and(|word| word.1 == start);
            joint = (follows && matches!(segment, "-" | "." | "'" | "_")).then_some(end);
        }
    }
    let token = |(start, end): (usize, usize)| {
        let (behind, whole) = (run.get(..start)?, run.get(start..end)?);
        let before = if start == 0 { before } else { behind.chars().next_back() };
        Some(if before == Some('@') || is_name(whole) {
            Token::Name(whole)
        } else {
            Token::Word(whole)
        })
    };
    found.into_iter().filter_map(token).collect()
}

fn is_name(compound: &str) -> bool {
    compound.contains(|character| is_separator(character) && !matches!(character, '-' | '\''))
}

fn parts(compound: &str) -> impl Iterator<Item = &str> {
    compound.split(is_separator).map(bounded).filter(|part| !part.is_empty())
}

/// The hosts above a host: `example.com` of `www.example.com`.
fn above(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('.')
        .filter_map(|(dot, _)| name.get(dot + 1..))
        .filter(|rest| rest.contains('.'))
        .map(bounded)
}

/// A letter or digit; a vowel sign without its letter is none, though Unicode counts it as alphabetic.
fn is_letter(character: char) -> bool {
    character.is_alphanumeric() && !is_combining(character)
}

fn is_separator(character: char) -> bool {
    !character.is_alphanumeric() && !is_combining(character)
}

fn is_combining(character: char) -> bool {
    !character.is_ascii()
        && matches!(
            CodePointMapData::<GeneralCategory>::new().get(character),
            GeneralCategory::NonspacingMark
                | GeneralCategory::SpacingMark
                | GeneralCategory::EnclosingMark
        )
}

/// Without marks that lost their letter, and cut to [`WORD_BYTES_MAX`] bytes that end in a letter or digit.
fn bounded(word: &str) -> &str {
    let word = word.trim_start_matches(is_combining);
    match word.get(..word.floor_char_boundary(WORD_BYTES_MAX)) {
        Some(start) if start.len() < word.len() => start.trim_end_matches(|last| !is_letter(last)),
        _ => word,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_short_way_comes_to_the_same(text in "([a-zA-Z0-9 .\\-'@/!?]|hxxp|www|xx){0,40}") {
            let (mut short, mut long) = (Vec::new(), Vec::new());
            each_word(&text, |word| short.push(word.to_owned()));
            call_each(tokens(&folded(&text)), |word| long.push(word.to_owned()));
            prop_assert_eq!(short, long);
        }
    }

    fn words_of(text: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        words(text, &mut found);
        found
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found: Vec<String> = words_of(text).into_iter().collect();
        assert_eq!(found.join(" | "), expected, "{text:?}");
    }

    #[track_caller]
    fn check_query(text: &str, expected: Result<&str, QueryError>) {
        let found = query_words(text).map(|words| words.join(" | "));
        assert_eq!(found, expected.map(str::to_owned), "{text:?}");
    }

    #[track_caller]
    fn check_found(text: &str, query: &str, expected: bool) {
        let words = words_of(text);
        let asked = query_words(query).unwrap();
        assert_eq!(
            asked.iter().all(|word| words.contains(word)),
            expected,
            "{query:?} in {text:?}"
        );
    }

    #[test]
    fn words_are_folded_and_parted() {
        for (text, expected) in [
            ("", ""),
            (" \t—…!🔥 ", ""),
            ("Two words, TWO", "two | words"),
            ("Élysée ÉLYSÉE E\u{301}lyse\u{301}e", "elysee"),
            ("Straße STRASSE", "strasse"),
            ("İstanbul ISTANBUL ıstanbul", "istanbul"),
            ("ΟΔΟΣ οδός", "οδοσ"),
            ("Łódź Ærø", "aero | lodz"),
            ("ﬁne ｆｕｌｌ ①", "1 | fine | full"),
            ("Ёлка йод", "елка | иод"),
            ("well-known", "known | well"),
            ("Biden’s don't", "biden | don | s | t"),
            ("@some_user.name", "name | some | some_user.name | user"),
            ("@user-name", "name | user | user-name"),
            ("user-name", "name | user"),
            ("@_x_", "_x_ | x"),
            (
                "see hxxps[://]www[.]example[.]com/a",
                "a | com | example | example.com | https | see | www | www.example.com",
            ),
            ("a[at]example.com", "a | com | example | example.com"),
            ("end.", "end"),
            ("a--b a- -b", "a | b"),
            ("3.14 1,000", "000 | 1 | 1,000 | 14 | 3 | 3.14"),
            ("exam\u{200b}ple so\u{ad}ft", "example | soft"),
            ("#Hashtag", "hashtag"),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn scripts_without_spaces_give_pairs() {
        for (text, expected) in [
            ("日本語", "日本 | 本語"),
            ("日", "日"),
            ("日本 語", "日本 | 語"),
            ("俄罗斯TikTok账号2024", "2024 | tiktok | 俄罗 | 罗斯 | 账号"),
            ("データ", "デー | ータ"),
            ("ﾃﾞｰﾀ", "デー | ータ"),
            ("カ か\u{3099}", "が | カ"),
            ("ไทย", "ทย | ไท"),
            ("ကမ္ဘာ", "က\u{1019} | ဘာ | မ\u{1039} | \u{1039}ဘ"),
            ("@日本_name", "_name | name | 日本"),
            ("한국어 뉴스", "뉴스 | 한국어"),
            ("हिन्दी में", "में | हिन्दी"),
            ("أَخْبَار ـأخبارـ", "اخبار"),
            ("שָׁלוֹם", "שלום"),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn a_query_asks_for_names_as_a_whole() {
        for (text, expected) in [
            ("Élysée palace elysee", Ok("elysee | palace")),
            ("anti-Vaccine", Ok("anti | vaccine")),
            ("@some_user.name", Ok("some_user.name")),
            ("@user-name", Ok("user-name")),
            ("example[.]com", Ok("example.com")),
            ("日本語", Ok("日本 | 本語")),
            ("", Err(QueryError::Empty)),
            (" -_. ! 🔥", Err(QueryError::Empty)),
        ] {
            check_query(text, expected);
        }
    }

    #[test]
    fn a_query_finds_what_people_mean() {
        for (text, query, expected) in [
            ("le palais de l'Élysée", "ELYSEE", true),
            ("le palais de l'Elysee", "l’Élysée", true),
            ("posts of @some_user.name there", "some_user.name", true),
            ("posts of @some_user.name there", "user", true),
            ("posts of some user called name", "some_user.name", false),
            ("at www.example.com", "example[.]com", true),
            ("at hxxp://a.b.example[.]com/x", "b.example.com", true),
            ("at example.com", "www.example.com", false),
            ("anti vaccine", "anti-vaccine", true),
            ("anti-vaccine", "anti vaccine", true),
            ("关于日本语的新闻", "日本语", true),
            ("关于日本语的新闻", "本日", false),
        ] {
            check_found(text, query, expected);
        }
    }

    #[test]
    fn limits_hold_at_them_and_one_past_them() {
        let many = |count: usize| (0..count).map(|n| format!("w{n}")).collect::<Vec<_>>().join(" ");
        assert_eq!(words_of(&many(RECORD_WORDS_MAX)).len(), RECORD_WORDS_MAX);
        assert_eq!(words_of(&many(RECORD_WORDS_MAX + 1)), words_of(&many(RECORD_WORDS_MAX)));
        let mut fields = words_of(&many(RECORD_WORDS_MAX - 1));
        words("first second", &mut fields);
        assert!(fields.contains("first") && !fields.contains("second"));

        assert_eq!(
            query_words(&many(QUERY_WORDS_MAX)).map(|words| words.len()),
            Ok(QUERY_WORDS_MAX)
        );
        check_query(&many(QUERY_WORDS_MAX + 1), Err(QueryError::TooManyWords));
        assert!(query_words(&"w ".repeat(VALUE_BYTES_MAX / 2)).is_ok());
        check_query(&"w".repeat(VALUE_BYTES_MAX + 1), Err(QueryError::TooLong));

        check(&"a".repeat(WORD_BYTES_MAX), &"a".repeat(WORD_BYTES_MAX));
        check(&"a".repeat(WORD_BYTES_MAX + 1), &"a".repeat(WORD_BYTES_MAX));
        // 63 letters and one of two bytes: it does not fit.
        check(&format!("{}я", "a".repeat(63)), &"a".repeat(63));
    }

    /// Texts of all sorts, with what is special to the function more often than chance would have it.
    fn text_strategy() -> impl Strategy<Value = String> {
        let pieces = prop_oneof![
            8 => r"\PC{1,8}",
            4 => "[a-zA-ZéÉßłŁøIİıςΣ]{1,9}",
            4 => r"[@#._'’:,-]",
            2 => Just(" ".to_owned()),
            2 => "[日本語中国ァ-ヶー゙]{1,6}",
            2 => "[ก-๙]{1,6}",
            1 => "[क-ह्ािी]{1,6}",
            1 => "[\u{300}-\u{36f}\u{64b}-\u{65f}\u{591}-\u{5c7}]{1,3}",
            1 => r"(\[\.\]|hxxps?|\[at\]|://|\x{200b}|\x{fdfa})",
            1 => "[a-z_.-]{60,70}",
        ];
        prop::collection::vec(pieces, 0..24).prop_map(|pieces| pieces.concat())
    }

    #[test]
    fn a_long_name_that_ends_in_another_script_holds_the_words_of_its_query() {
        let text = "_a____a_-a-_aaaa-aa_-__aaaaa___-aa-aa-_aaa__-a_aaa_aa-a_aaa.\u{93e}\u{915}";
        let words = words_of(text);
        let asked = query_words(text).unwrap();
        assert!(!asked.is_empty());
        assert!(asked.iter().all(|word| words.contains(word)), "{asked:?} {words:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn every_word_is_found_by_itself_in_any_spelling(text in text_strategy()) {
            let words = words_of(&text);
            prop_assert!(words.len() <= RECORD_WORDS_MAX);
            for word in &words {
                prop_assert!(!word.is_empty() && word.len() <= WORD_BYTES_MAX);
                let accented: String = word.nfd().flat_map(|letter| {
                    let accent = letter.is_ascii_alphabetic().then_some('\u{301}');
                    [Some(letter), accent].into_iter().flatten()
                }).collect();
                for spelling in [word.clone(), word.to_uppercase(), accented, format!(" {word}. ")] {
                    let asked = query_words(&spelling);
                    let asked = asked.map_err(|error| TestCaseError::fail(format!("{spelling:?}: {error}")))?;
                    let missed: Vec<&String> = asked.iter().filter(|asked| !words.contains(*asked)).collect();
                    prop_assert!(missed.is_empty(), "{:?} of {:?}: {:?} is not in {:?}", spelling, word, missed, words);
                }
            }
        }

        #[test]
        fn the_words_of_a_text_hold_those_of_the_query_made_of_it(text in text_strategy()) {
            let words = words_of(&text);
            if let Ok(asked) = query_words(&text)
                && words.len() < RECORD_WORDS_MAX
            {
                prop_assert!(asked.iter().all(|word| words.contains(word)), "{:?} {:?}", asked, words);
            }
        }

        #[test]
        fn folding_is_idempotent(text in text_strategy()) {
            let once = folded(&text);
            prop_assert_eq!(folded(&once), once);
        }

        #[test]
        fn words_do_not_depend_on_what_was_there(text in text_strategy()) {
            let mut twice = words_of(&text);
            words(&text, &mut twice);
            prop_assert_eq!(twice, words_of(&text));
        }
    }
}
