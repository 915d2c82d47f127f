//! The briefing as its readers get it: what it says, and that what members say stays text.
//!
//! `tests/briefing/run` opens the pages that the last test writes in a real browser.

#![expect(
    clippy::unwrap_used,
    clippy::as_conversions,
    reason = "a test may panic, and counts are small"
)]

mod sample;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use html5gum::Token;
use html5gum::Tokenizer;
use proptest::prelude::*;
use pulldown_cmark::Event;
use pulldown_cmark::Options;
use pulldown_cmark::Parser;
use watchfire::briefing;
use watchfire::briefing::AssetCount;
use watchfire::briefing::Briefing;
use watchfire::briefing::Cadence;
use watchfire::briefing::Echo;
use watchfire::briefing::Holders;
use watchfire::briefing::LedgerRow;
use watchfire::briefing::Problems;
use watchfire::briefing::Provenance;
use watchfire::briefing::Said;
use watchfire::briefing::StepTime;
use watchfire::briefing::TimeOf;
use watchfire::briefing::TimedOperation;
use watchfire::briefing::Whose;
use watchfire::model::handling::Tlp;
use watchfire::model::visible;

use crate::sample::HOSTILE;
use crate::sample::Sample;

fn sample() -> Briefing {
    Sample { said: &|text| Said::from(text) }.briefing()
}

fn empty() -> Briefing {
    Briefing {
        presentations: Vec::new(),
        problems: Problems::default(),
        cadence: Cadence::default(),
        ..sample()
    }
}

/// The text that a reader of the page sees, with one blank for each run of blanks.
fn seen(html: &str) -> String {
    let mut out = String::new();
    let mut hidden = false;
    for token in Tokenizer::new(html) {
        match token.unwrap() {
            Token::StartTag(tag) => hidden = tag.name.as_slice() == b"style",
            Token::EndTag(_) => hidden = false,
            Token::String(text) if !hidden => out.push_str(std::str::from_utf8(&text).unwrap()),
            Token::String(_) | Token::Comment(_) | Token::Doctype(_) | Token::Error(_) => {}
        }
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Every tag with its attributes: all of a page but its text. Sizes of a chart's bars are no structure.
fn structure(html: &str) -> Vec<String> {
    let mut tags = Vec::new();
    for token in Tokenizer::new(html) {
        match token.unwrap() {
            Token::StartTag(tag) => {
                let attributes = tag.attributes.iter().map(|(name, value)| {
                    format!("{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
                });
                let attributes: Vec<String> = attributes.collect();
                tags.push(format!(
                    "<{} {}>",
                    String::from_utf8_lossy(&tag.name),
                    attributes.join(" ")
                ));
            }
            Token::EndTag(tag) => tags.push(format!("</{}>", String::from_utf8_lossy(&tag.name))),
            Token::Comment(_) => tags.push("comment".to_owned()),
            Token::Error(error) => tags.push(format!("error {error:?}")),
            Token::String(_) | Token::Doctype(_) => {}
        }
    }
    tags
}

/// Everything in a Markdown text but its words, as the most permissive dialect reads it.
fn outline(markdown: &str) -> Vec<String> {
    let words = |event: &Event<'_>| matches!(event, Event::Text(_) | Event::SoftBreak);
    let events = Parser::new_ext(markdown, Options::all()).filter(|event| !words(event));
    events.map(|event| format!("{event:?}")).collect()
}

/// Whether the outline has something else than headings, paragraphs, lists, tables and strong words.
fn is_plain(outline: &[String]) -> bool {
    let known = ["Heading", "Paragraph", "List", "Item", "Table", "Strong"];
    let plain = |event: &String| {
        let inner = event.trim_start_matches("Start(").trim_start_matches("End(");
        known.iter().any(|known| inner.starts_with(known))
    };
    outline.iter().all(plain)
}

#[track_caller]
fn check_says(texts: &[&str]) {
    let html = seen(&briefing::to_html(&sample()));
    let markdown = briefing::to_markdown(&sample());
    let mut words = String::new();
    for event in Parser::new_ext(&markdown, Options::ENABLE_TABLES) {
        if let Event::Text(text) = event {
            words.push_str(&text);
        }
    }
    for text in texts {
        assert!(html.contains(text), "the page does not say {text:?}:\n{html}");
        assert!(words.contains(text), "the Markdown does not say {text:?}:\n{markdown}");
    }
}

#[test]
fn every_figure_that_was_given_is_there() {
    check_says(&["39", "13", "6", "58", "652", "653", "284", "13,466", "at least 20,000,000"]);
    check_says(&["12,000.00 to 12,500.50", "USD", "at least 3,000", "18,204", "1,180", "1,044"]);
}

#[test]
fn claims_stand_beside_each_other() {
    check_says(&[
        "These totals compete. Each stands as its claimant gave it.",
        "2 actors are named. Each claim stands as it was made.",
        "A state broadcaster",
        "A contractor of the broadcaster",
        "Confidence 85 of 100",
        "Confidence 60 of 100",
        "confidence not stated",
        " on the word of ",
        "a second count",
    ]);
    let html = seen(&briefing::to_html(&sample()));
    assert!(!html.contains("1,305"), "652 and 653 were added");
}

#[test]
fn problems_say_who_has_to_act() {
    check_says(&[
        "1 disagrees · 1 agrees · 1 neutral",
        "false positive",
        "overdue",
        "No reply from",
        "Two, both since July",
        "No reply so far.",
        "cedar-network, dogwood-forum",
        "1 holder has let go",
        "no answer",
        "refused",
        "Open question",
    ]);
}

#[test]
fn what_is_settled_is_told_apart() {
    let mut settled = sample();
    settled.problems.inquiries[0].is_open = false;
    settled.problems.recalls.clear();
    settled.problems.disputes[0].taken_back = Some(sample::at(21, 12, 30));
    let html = seen(&briefing::to_html(&settled));
    assert!(html.contains("Answered question") && !html.contains("UTC overdue"), "{html}");
    assert!(html.contains("Taken back21 Aug 2018, 12:30 UTC"), "{html}");
    assert!(html.contains("1open inquiry0 overdue"), "{html}");
}

#[test]
fn a_recall_to_answer_says_nothing_of_others() {
    let mut owed = sample();
    owed.problems.recalls[0].holders = Holders::TheReader;
    owed.problems.recalls[0].erased_at = None;
    let html = seen(&briefing::to_html(&owed));
    assert!(html.contains("You have not answered this recall.") && html.contains("not erased"));
    assert!(!html.contains("Who has answered") && !html.contains("dogwood-forum"), "{html}");
    assert!(html.contains("1 copy still held"), "{html}");
}

#[test]
fn columns_without_content_are_left_out() {
    let mut briefing = sample();
    let operation = &mut briefing.presentations[0].operations[0];
    for reach in &mut operation.reach {
        (reach.as_of, reach.note) = (None, Said::from("\u{200b}"));
    }
    operation.techniques[0].framework = Said::from("disarm");
    let html = seen(&briefing::to_html(&briefing));
    assert!(html.contains("ClaimantFigureMeasureWhereLabelacme-video"), "{html}");
    assert!(html.contains("Techniques in the order of each framework"), "{html}");
    let html = seen(&briefing::to_html(&sample()));
    assert!(html.contains("Techniques in the order of online-operations-kill-chain"), "{html}");
    assert!(html.contains("PhaseCodeTechniqueWhat it didAcquiring assets"), "{html}");
}

#[test]
fn totals_of_one_claimant_do_not_compete() {
    let mut briefing = sample();
    let totals = &mut briefing.presentations[1].operations[0].totals;
    totals[1].claimant = totals[0].claimant.clone();
    assert!(!seen(&briefing::to_html(&briefing)).contains("These totals compete"));
}

#[test]
fn only_totals_that_differ_are_said_to_compete() {
    let html = seen(&briefing::to_html(&sample()));
    let section = html.split("Totals as claimed").nth(2).unwrap();
    let (competing, others) = section.split_once("Nobody gives a different total").unwrap();
    let place = |text: &str| competing.find(text).unwrap_or_else(|| panic!("{text}: {section}"));
    assert!(place("These totals compete") < place("652") && place("652") < place("653"));
    assert!(!competing.contains("accounts suspended"), "{competing}");
    assert!(others.contains("284‡accounts suspended"), "{others}");
    let acme = html.split("Totals as claimed").nth(1).unwrap();
    let acme = acme.split("bluebird-social").next().unwrap();
    assert!(!acme.contains("compete") && !acme.contains("different total"), "{acme}");
    let markdown = briefing::to_markdown(&sample());
    let place = |text: &str| markdown.find(text).unwrap();
    assert!(place("These totals compete") < place("653"));
    assert!(place("Nobody gives a different total of these.") < place("accounts suspended"));
}

#[test]
fn contests_about_different_things_are_told_apart() {
    let mut briefing = sample();
    let totals = &mut briefing.presentations[1].operations[0].totals;
    let mut other = totals[2].clone();
    other.figure = briefing::Figure::Exact(285);
    other.claimant.member = sample::member(sample::CEDAR);
    totals.push(other);
    let html = seen(&briefing::to_html(&briefing));
    assert_eq!(html.matches("These totals compete").count(), 2, "{html}");
    assert!(!html.contains("Nobody gives a different total"), "{html}");
}

#[test]
fn a_card_says_the_operations_own_label_beside_the_strictest_of_what_it_shows() {
    check_says(&["Its own label", "the operation alone; what is shown of it here is up to"]);
    let markdown = briefing::to_markdown(&sample());
    let told = "- Its own label: (TLP:GREEN) the operation alone; what is shown of it here is up \
        to (TLP:AMBER)";
    assert!(markdown.contains(told), "{markdown}");
    assert!(markdown.contains("- Its own label: (TLP:GREEN)\n"), "{markdown}");
}

#[test]
fn the_ledger_says_what_others_made_of_what_was_given() {
    let html = seen(&briefing::to_html(&sample()));
    let markdown = briefing::to_markdown(&sample());
    for header in [
        "MemberRoleGivenBy kindConfirmedDisputedActed onWithdrawn",
        "MemberGivenReceivedDeliveredAcknowledgedActed on",
    ] {
        assert!(html.contains(header), "{header} in {html}");
    }
    for row in [
        "bluebird-socialcompany1,0441,037 indicator, 7 sighting522 by 227 by 1348 by 210",
        "cedar-networkcompany3831 indicator, 7 sighting19 by 21 by 112 by 20",
        "bluebird-social1,0441,3101,307†1,304†145",
        "cedar-network381,7901,787†not said198",
    ] {
        assert!(html.contains(row), "{row} in {html}");
    }
    for row in [
        "| bluebird-social | company | 1,044 | 1,037 indicator, 7 sighting | 522 by 2 | 27 by 1 \
         | 348 by 2 | 10 |",
        "| cedar-network | 38 | 1,790 | 1,787† | not said | 198 |",
    ] {
        assert!(markdown.contains(row), "{row} in {markdown}");
    }
}

#[test]
fn numbers_of_a_ledger_that_was_not_checked_are_marked_each() {
    let mut briefing = sample();
    for row in &mut briefing.cadence.ledger {
        row.provenance = Provenance::HubClaims;
        row.given.disputed = Echo::default();
    }
    let html = seen(&briefing::to_html(&briefing));
    let row = "cedar-networkcompany38†31† indicator, 7† sighting19† by 20†12† by 20†";
    assert!(html.contains(row), "{html}");
    assert!(html.contains("cedar-network38†1,790†1,787†not said198†"), "{html}");
}

#[test]
fn each_operation_has_its_times_with_claimed_ones_apart() {
    let html = seen(&briefing::to_html(&sample()));
    let times = html.rsplit_once("Time to share").unwrap().1;
    let (before, claimed) = times.split_once("By operation, claimed").unwrap();
    let proven = before.split_once("By operation, proven by the log").unwrap().1;
    let row = "Channels linked to a state broadcasteracme-videopublished → acted3 h 5 min\
        2 d 7 h214TLP:AMBER";
    assert!(proven.contains(row) && !proven.contains('‡'), "{proven}");
    assert!(claimed.contains("cedar-networkpublished → acted3 h 6 min‡"), "{claimed}");
    // What the reader cannot see has its name alone.
    assert!(claimed.contains("members/bluebird-social/records/"), "{claimed}");
    check_says(&["4 smaller operations have no times here.", "By operation, proven by the log"]);
}

#[test]
fn an_operation_that_is_named_by_its_times_alone_counts_towards_the_pages_label() {
    let mut briefing = empty();
    let operation = TimedOperation {
        record: sample().presentations[0].operations[0].record.clone(),
        title: Said::from("Spring storm"),
        tlp: Some(Tlp::Red),
    };
    let time = sample().cadence.time_to_share[0].clone();
    briefing.cadence.time_to_share = vec![StepTime { of: TimeOf::Operation(operation), ..time }];
    assert_eq!(briefing.tlp(), Tlp::Red);
}

#[test]
fn members_who_are_not_told_apart_have_one_row() {
    let mut briefing = sample();
    let row =
        LedgerRow { whose: Whose::Several(2), role: None, ..briefing.cadence.ledger[0].clone() };
    briefing.cadence.ledger.push(row);
    assert!(seen(&briefing::to_html(&briefing)).contains("2 othersseveral512"));
}

#[test]
fn assets_that_several_members_name_are_told_apart() {
    let mut briefing = sample();
    let operation = &mut briefing.presentations[0].operations[0];
    let other = AssetCount { member: sample::member(sample::CEDAR), ..operation.assets[1].clone() };
    operation.assets.push(other);
    let html = seen(&briefing::to_html(&briefing));
    assert!(
        html.contains("google-plus account acm…") || html.contains("google-plus account ac…"),
        "{html}"
    );
    assert!(html.contains("cedar-networkgoogle-plusaccount13"), "{html}");
}

#[test]
fn the_cadence_is_there_by_member_kind_and_day() {
    // 40 + 61 + 12 + 55 + 102 + 242 and an operation; twice that and 3 on each of 7 days; 2 * 19.
    check_says(&["512", "513", "1,045", "1,046", "38", "16 Aug 2018", "22 Aug 2018", "1,597"]);
    check_says(&["observed → published", "1 d 2 h", "10 d", "340 ms", "1 h 30 min", "12 h"]);
}

#[test]
fn techniques_come_in_the_order_of_the_framework() {
    let html = seen(&briefing::to_html(&sample()));
    let places: Vec<usize> = ["0.1.1 ", "0.4.2 ", "0.10.1 ", "1.3.1 ", "5.4.0 ", "7.2 "]
        .iter()
        .map(|code| html.find(code.trim_end()).unwrap_or_else(|| panic!("{code} in {html}")))
        .collect();
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn what_is_only_claimed_is_marked() {
    let html = seen(&briefing::to_html(&sample()));
    for marked in ["not shown: 12†", "1,177†", "13,466‡", "2 Aug 2018‡", "340 ms†", "1 d 2 h‡"]
    {
        assert!(html.contains(marked), "{marked} in {html}");
    }
    assert!(html.contains("† The hub says so") && html.contains("‡ A member says so"));
    assert!(!html.contains("512†") && !html.contains("10 min†") && !html.contains("10 min‡"));
    let proven = html.find("Proven by the log").unwrap();
    let claimed = html.rfind("Claimed").unwrap();
    let acknowledged = html.rfind("published → acknowledged").unwrap();
    assert!(proven < acknowledged && acknowledged < claimed, "claimed times are not apart");
}

#[test]
fn a_section_without_content_says_so() {
    let html = seen(&briefing::to_html(&empty()));
    let markdown = briefing::to_markdown(&empty());
    for text in [
        "Nobody presents anything this time.",
        "No disputes since the last meeting.",
        "No open inquiries.",
        "No recalls since the last meeting.",
        "Nothing was shared since the last meeting.",
        "The ledger is empty.",
        "No step was measured in this period.",
    ] {
        assert!(html.contains(text) && markdown.contains(text), "{text}");
    }
}

#[test]
fn the_page_bears_the_strictest_label_that_it_holds() {
    assert_eq!(sample().tlp(), Tlp::AmberStrict);
    assert_eq!(empty().tlp(), Tlp::Green);
    let mut red = empty();
    red.problems.recalls = sample().problems.recalls;
    red.problems.recalls[0].tlp = Tlp::Red;
    assert_eq!(red.tlp(), Tlp::Red);
    let html = briefing::to_html(&red);
    for band in ["top", "bottom"] {
        let band =
            format!("<div class=\"band {band}\"><span class=\"tlp tlp-red\">TLP:RED</span></div>");
        assert!(html.contains(&band), "{band}");
    }
    let text = seen(&html);
    assert!(
        text.starts_with("TLP:RED Briefing for the meeting of member companiesTLP:RED"),
        "{text}"
    );
    assert!(text.ends_with("TLP:RED"), "{text}");
    let markdown = briefing::to_markdown(&red);
    assert!(markdown.starts_with("**TLP:RED**") && markdown.ends_with("**TLP:RED**\n"));
}

#[test]
fn each_label_counts_towards_the_pages() {
    let strict = |change: &dyn Fn(&mut Briefing)| {
        let mut briefing = sample();
        change(&mut briefing);
        assert_eq!(briefing.tlp(), Tlp::Red);
    };
    strict(&|it| it.tlp_at_least = Tlp::Red);
    strict(&|it| it.presentations[0].operations[0].tlp = Tlp::Red);
    strict(&|it| it.presentations[0].operations[0].totals[0].tlp = Tlp::Red);
    strict(&|it| it.presentations[0].operations[0].attributions[2].tlp = Tlp::Red);
    strict(&|it| it.presentations[0].operations[0].reach[1].tlp = Tlp::Red);
    strict(&|it| it.presentations[0].operations[0].actions[1].tlp = Tlp::Red);
    strict(&|it| it.presentations[0].operations[0].sightings[1].tlp = Tlp::Red);
    strict(&|it| it.presentations[0].other_assets.as_mut().unwrap().tlp = Tlp::Red);
    strict(&|it| it.problems.disputes[0].tlp = Tlp::Red);
    strict(&|it| it.problems.inquiries[1].tlp = Tlp::Red);
    strict(&|it| it.problems.recalls[0].tlp = Tlp::Red);
}

/// The tags that the page may have.
const TAGS: &str = "a bdi body caption circle code dd desc div dl dt figcaption figure h1 h2 h3 h4 h5 h6 head header \
    html li line link main meta nav ol p polyline rect section span strong style sup svg table tbody td text th \
    thead title tr ul";

#[test]
fn the_page_asks_for_nothing() {
    let html = briefing::to_html(&sample());
    let policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";
    assert!(html.contains(&format!("http-equiv=\"Content-Security-Policy\" content=\"{policy}")));
    for tag in structure(&html) {
        let name = tag.trim_start_matches(['<', '/']).split([' ', '>']).next().unwrap();
        assert!(TAGS.split_whitespace().any(|tag| tag == name), "{tag}");
        for attribute in ["href=", "src=", "action=", "data=", "srcset="] {
            let value = tag.split_once(&format!(" {attribute}")).map(|(_, value)| value);
            assert!(
                value.is_none_or(|it| it.starts_with('#') || it.starts_with("data:,")),
                "{tag}"
            );
        }
        assert!(!tag.contains(" on"), "{tag}");
    }
    let style = html.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    assert!(!style.contains("url(") && !style.contains("@import") && !style.contains("//"));
}

/// The sample with this said in every place where something is said.
fn everywhere(text: &str) -> Briefing {
    Sample { said: &|plain| Said::from(if plain.is_empty() { "" } else { text }) }.briefing()
}

/// Text that is said everywhere changes nothing but text.
#[track_caller]
fn check_stays_text(hostile: &str) {
    let (tame, wild) = (everywhere("tame"), everywhere(hostile));
    let html = briefing::to_html(&wild);
    // A description could come before others in the order of techniques, never have another structure.
    assert_eq!(structure(&html), structure(&briefing::to_html(&tame)), "{hostile:?}");
    let markdown = briefing::to_markdown(&wild);
    let outline = outline(&markdown);
    assert_eq!(outline, self::outline(&briefing::to_markdown(&tame)), "{hostile:?}\n{markdown}");
    assert!(is_plain(&outline), "{outline:?}");
    for shown in [seen(&html), markdown.replace('\\', "")] {
        // Labels of charts are cut, also behind the bracket that breaks an address.
        let plain = shown.replace("[://", "").replace("[@", "");
        assert!(!plain.contains("://") && !plain.contains('@'), "{hostile:?}: {shown}");
        assert!(!shown.contains(|it| visible::is_unseen(it) && it != '\n'), "{hostile:?}");
    }
    assert!(!markdown.contains('<') && !markdown.contains('>'), "{hostile:?}");
}

#[test]
fn what_members_say_stays_text() {
    for hostile in [
        HOSTILE,
        "<a href=https://evil.example>x</a>",
        "\"><svg onload=alert(1)>",
        "</style><script>alert(1)</script>",
        "]]><!-- --> <![CDATA[",
        "[a]: https://evil.example",
        "[a](javascript:alert(1))",
        "![](//evil.example/x.png)",
        "<https://evil.example> <a@evil.example>",
        "`code` ``` ~~~ $x$ $$y$$ ^a^ ~b~ ==c== [^1] [[w]] {#id .c}",
        "# heading",
        "- item",
        "+ item",
        "1. item",
        "1) item",
        "> quote",
        ": definition",
        "---",
        "===",
        "| a | b |",
        "a\\",
        "a|b\\|c",
        "- [ ] task",
        "line one\n\n# line two\n---\n    code\n<div>\n",
        "&#60;script&#62; &lt;b&gt; &amp;",
        "**bold** __bold__ *i* _i_ ~~s~~",
        "javascript:alert(1) data:text/html,x",
        "\u{202e}\u{2066}\u{200b}\u{feff}x\u{1b}]8;;https://evil.example\u{7}",
        "z\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}",
        "עברית \u{202b} ١٢٣ 中文。例え",
    ] {
        check_stays_text(hostile);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn nothing_that_can_be_said_is_more_than_text(
        parts in proptest::collection::vec(
            prop_oneof![
                r"\PC{1,8}",
                r#"[<>"'&=/\\`*_{}\[\]()#+.!|~$^:@ \n\t-]{1,8}"#,
                proptest::sample::select(vec![
                    "<script>", "</svg>", "<a href=", "](", "![", "https://", "www.", "a.example", "&lt;",
                    "javascript:", "\u{202e}", "\u{0}", "\u{85}", "\n\n", "    ", "1. ", "- ", "<!--", "-->", "```",
                ]).prop_map(str::to_owned),
            ],
            1..8,
        ),
    ) {
        // Something visible must be there: nothing said is shown as nothing said.
        check_stays_text(&format!("x{}", parts.concat()));
    }
}

#[test]
fn hostile_text_is_shown_as_it_was_said() {
    let html = seen(&briefing::to_html(&sample()));
    assert!(html.contains(
        "<script>alert(1)</script><img src=x onerror=alert(2)> [click](hxxps[://]evil[.]example/a)"
    ));
    assert!(html.contains("posted what news[.]example had posted"));
    assert!(html.contains("see weather[.]example") && html.contains("Account [@]weather-fan"));
    let html: BTreeSet<String> = structure(&briefing::to_html(&sample())).into_iter().collect();
    assert!(!html.iter().any(|tag| tag.starts_with("<img") || tag.starts_with("<script")));
}

#[test]
fn long_lists_are_cut_and_say_so() {
    let mut long = sample();
    let row = long.problems.disputes[0].opinions[0].clone();
    long.problems.disputes[0].opinions = vec![row; 250];
    long.problems.inquiries = vec![long.problems.inquiries[0].clone(); 103];
    long.presentations[0].operations = vec![long.presentations[0].operations[0].clone(); 61];
    let html = seen(&briefing::to_html(&long));
    assert!(html.contains("50 more rows are not shown."));
    assert!(html.contains("3 more are not shown.") && html.contains("1 more is not shown."));
}

#[test]
fn long_periods_have_columns_that_can_be_seen() {
    for (since, expected) in [(sample::at(16, 0, 0), "each day"), (sample::at(1, 0, 0), "each day")]
    {
        let briefing = Briefing { since, ..sample() };
        assert!(
            seen(&briefing::to_html(&briefing)).contains(&format!("Records shared, {expected}"))
        );
    }
    let since = watchfire::model::time::Timestamp::from_micros(0).unwrap();
    let html = seen(&briefing::to_html(&Briefing { since, ..sample() }));
    assert!(html.contains("Records shared, every 365 days"), "{html}");
    let backwards = Briefing { since: sample::at(30, 0, 0), ..sample() };
    assert!(seen(&briefing::to_html(&backwards)).contains("Records shared, each day"));
}

#[test]
fn the_pages_are_written_for_the_browser() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/briefing");
    fs::create_dir_all(&folder).unwrap();
    for (name, briefing) in [("sample", sample()), ("empty", empty())] {
        let html = briefing::to_html(&briefing);
        assert!(html.starts_with("<!DOCTYPE html>") && html.ends_with("</html>"));
        fs::write(folder.join(format!("{name}.html")), html).unwrap();
        fs::write(folder.join(format!("{name}.md")), briefing::to_markdown(&briefing)).unwrap();
    }
}
