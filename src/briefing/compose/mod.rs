//! From a briefing to what the pack says: the front page here, one file a part.

mod cadence;
mod presented;
mod problems;
mod shared_techniques;

use crate::briefing::Briefing;
use crate::briefing::document::Document;
use crate::briefing::document::Fact;
use crate::briefing::document::Line;
use crate::briefing::document::Look;
use crate::briefing::document::Section;
use crate::briefing::document::Tile;
use crate::briefing::figure::Provenance;
use crate::briefing::words;

/// The pack for the meeting.
pub(super) fn document(briefing: &Briefing) -> Document {
    Document {
        tlp: briefing.tlp(),
        title: "Briefing for the meeting of member companies",
        period: period(briefing),
        facts: facts(briefing),
        tiles: tiles(briefing),
        legend: legend(),
        parts: vec![
            part("presented", "1. What each member presents")
                .with(presented::blocks(&briefing.presentations)),
            part("problems", "2. Problems to settle")
                .with(problems::blocks(&briefing.problems, briefing.until)),
            part("cadence", "3. How sharing goes").with(cadence::blocks(briefing)),
        ],
    }
}

fn part(id: &'static str, title: &str) -> Section {
    Section::new(Look::Part(id), title)
}

fn period(briefing: &Briefing) -> Line {
    let (since, until) = (words::moment(briefing.since), words::moment(briefing.until));
    Line::new().text(&format!("{since} to {until}"))
}

fn facts(briefing: &Briefing) -> Vec<Fact> {
    let size = words::number(briefing.log_size);
    vec![
        Fact { name: "Exchange", value: Line::new().said(&briefing.exchange) },
        Fact { name: "Prepared for", value: briefing.reader.as_str().into() },
        Fact { name: "Prepared at", value: words::moment(briefing.prepared_at).into() },
        Fact { name: "Rests on", value: format!("the first {size} entries of the log").into() },
        Fact {
            name: "Label",
            value: Line::new().label(briefing.tlp()).text(" the strictest of all that it holds"),
        },
    ]
}

fn legend() -> Vec<Line> {
    let mark =
        |provenance, text: &str| Line::new().text(words::mark(provenance)).text(" ").text(text);
    vec![
        mark(Provenance::HubClaims, "The hub says so; that was not checked."),
        mark(Provenance::MemberClaims, "A member says so; the log proves only when it said it."),
        "Without a mark: proven by signed entries of the log, which were checked.".into(),
        "It shows what this reader may see. Other members may see more, or less.".into(),
    ]
}

fn tiles(briefing: &Briefing) -> Vec<Tile> {
    let problems = &briefing.problems;
    let operations: usize =
        briefing.presentations.iter().map(|member| member.operations.len()).sum();
    let members = briefing.presentations.len();
    let open = || problems.inquiries.iter().filter(|inquiry| inquiry.is_open);
    let is_over = |due| due < briefing.until;
    let overdue = open().filter(|inquiry| inquiry.due.is_some_and(is_over)).count();
    let held = problems.recalls.iter().map(|recall| recall.holders.still_holding()).sum();
    let (records, mark) = cadence::total(&briefing.cadence);
    let disputed = problems.disputes.iter().filter(|it| it.taken_back.is_none()).count();
    let shared = usize::try_from(records).unwrap_or(usize::MAX);
    vec![
        tile(
            operations,
            ("operation presented", "operations presented"),
            words::counted(members, "member", "members"),
        ),
        tile(problems.disputes.len(), ("dispute", "disputes"), format!("{disputed} open")),
        tile(open().count(), ("open inquiry", "open inquiries"), format!("{overdue} overdue")),
        tile(
            problems.recalls.len(),
            ("recall", "recalls"),
            words::counted(held, "copy still held", "copies still held"),
        ),
        Tile {
            value: format!("{}{mark}", words::number(records)),
            ..tile(shared, ("record shared", "records shared"), String::new())
        },
    ]
}

fn tile(value: usize, (one, many): (&'static str, &'static str), note: String) -> Tile {
    let label = if value == 1 { one } else { many };
    Tile { value: words::number(u64::try_from(value).unwrap_or(u64::MAX)), label, note }
}
