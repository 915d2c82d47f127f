//! The third part: what was shared, the ledger, and the time that sharing takes.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::briefing::Briefing;
use crate::briefing::cadence::Cadence;
use crate::briefing::cadence::Echo;
use crate::briefing::cadence::Given;
use crate::briefing::cadence::LedgerRow;
use crate::briefing::cadence::Received;
use crate::briefing::cadence::Shared;
use crate::briefing::cadence::Step;
use crate::briefing::cadence::StepTime;
use crate::briefing::cadence::TimeOf;
use crate::briefing::cadence::TimedOperation;
use crate::briefing::cadence::Whose;
use crate::briefing::chart::Bar;
use crate::briefing::chart::Chart;
use crate::briefing::chart::Drawing;
use crate::briefing::chart::Opposed;
use crate::briefing::chart::Range;
use crate::briefing::chart::Size;
use crate::briefing::document::Block;
use crate::briefing::document::Column;
use crate::briefing::document::Line;
use crate::briefing::document::Look;
use crate::briefing::document::Section;
use crate::briefing::document::Table;
use crate::briefing::document::names;
use crate::briefing::document::numbers;
use crate::briefing::document::words as column;
use crate::briefing::figure::Counted;
use crate::briefing::figure::Provenance;
use crate::briefing::words;
use crate::model::header::BodyKind;
use crate::model::names::MemberId;
use crate::model::roster::Role;
use crate::model::time::Timestamp;

/// Small charts beside each other; the table has the rest.
const MULTIPLES_MAX: usize = 12;
/// Columns of the chart by day; longer periods are drawn in weeks or longer steps.
const COLUMNS_MAX: u64 = 62;
const DAY_MICROS: u64 = 86_400_000_000;
/// What the numbers of a time are.
const PERCENTILES: &str = "Half took at most p50, nine of ten at most p90";

pub(super) fn blocks(briefing: &Briefing) -> Vec<Block> {
    let cadence = &briefing.cadence;
    vec![
        chapter("What was shared", shared(briefing)),
        chapter("Given and received", ledger(&cadence.ledger)),
        chapter("Time to share", time_to_share(cadence)),
    ]
}

/// Records shared in the period, with the mark of the weakest number among them.
pub(super) fn total(cadence: &Cadence) -> (u64, &'static str) {
    let sum = sum(cadence.shared.iter().map(|shared| shared.counted));
    (sum.count, words::mark(sum.provenance))
}

fn chapter(title: &str, blocks: Vec<Block>) -> Block {
    Block::Section(Section::new(Look::Chapter, title).with(blocks))
}

fn plain(title: &str, block: Block) -> Block {
    Block::Section(Section::new(Look::Plain, title).with([block]))
}

/// Added up; known as well as the least known of them.
fn sum(counts: impl Iterator<Item = Counted>) -> Counted {
    let none = Counted { count: 0, provenance: Provenance::Proven };
    counts.fold(none, |sum, next| Counted {
        count: sum.count.saturating_add(next.count),
        provenance: sum.provenance.max(next.provenance),
    })
}

fn cell(counted: Counted) -> Line {
    Line::from(words::number(counted.count)).mark(counted.provenance)
}

fn bar(label: String, counted: Counted) -> Bar {
    Bar { label, value: counted.count, mark: words::mark(counted.provenance) }
}

fn shared(briefing: &Briefing) -> Vec<Block> {
    let shared = &briefing.cadence.shared;
    if shared.is_empty() {
        return vec![Block::Empty("Nothing was shared since the last meeting.")];
    }
    vec![plain("By member and kind", by_member(shared)), plain("By day", by_day(briefing))]
}

fn by_member(shared: &[Shared]) -> Block {
    let mut sums: BTreeMap<&MemberId, BTreeMap<i32, Counted>> = BTreeMap::new();
    let mut kinds: BTreeMap<i32, BodyKind> = BTreeMap::new();
    for each in shared {
        kinds.insert(each.kind.number(), each.kind);
        let sums = sums.entry(&each.member).or_default();
        let sum_before = sums.get(&each.kind.number()).copied();
        let both = sum(sum_before.into_iter().chain([each.counted]));
        sums.insert(each.kind.number(), both);
    }
    let full = sums.values().flat_map(BTreeMap::values).map(|counted| counted.count).max();
    let mut rows = Vec::new();
    let mut charts = Vec::new();
    for (member, counts) in &sums {
        let named = |(number, kind): (&i32, &BodyKind)| {
            (
                kind.as_str().to_owned(),
                counts.get(number).copied().unwrap_or_else(|| sum([].into_iter())),
            )
        };
        let bars: Vec<(String, Counted)> = kinds.iter().map(named).collect();
        for (kind, counted) in bars.iter().filter(|(_, counted)| counted.count > 0) {
            rows.push(vec![member.as_str().into(), kind.as_str().into(), cell(*counted)]);
        }
        let all = sum(bars.iter().map(|(_, counted)| *counted));
        let total = Line::new().strong(&words::number(all.count)).mark(all.provenance);
        rows.push(vec![member.as_str().into(), Line::new().strong("all kinds"), total]);
        charts.push(kinds_chart(member, bars, full.unwrap_or(0)));
    }
    charts.truncate(MULTIPLES_MAX);
    let columns = vec![names("Member"), column("Kind"), numbers("Records")];
    Block::Figure(charts, Table::new("Records shared, by member and kind".into(), columns, rows))
}

fn kinds_chart(member: &MemberId, bars: Vec<(String, Counted)>, full: u64) -> Chart {
    Chart {
        title: member.to_string(),
        description: format!("Records that {member} shared, one bar for each kind."),
        size: Size::Small,
        drawing: Drawing::Bars {
            rows: bars.into_iter().map(|(kind, counted)| bar(kind, counted)).collect(),
            full,
        },
    }
}

fn by_day(briefing: &Briefing) -> Block {
    let mut days: BTreeMap<u64, Vec<Counted>> = BTreeMap::new();
    for each in &briefing.cadence.shared {
        days.entry(each.day.as_micros() / DAY_MICROS).or_default().push(each.counted);
    }
    let days: BTreeMap<u64, Counted> =
        days.into_iter().map(|(day, counts)| (day, sum(counts.into_iter()))).collect();
    let rows =
        days.iter().map(|(day, counted)| vec![words::date(start(*day)).into(), cell(*counted)]);
    let columns = vec![column("Day (UTC)"), numbers("Records")];
    let table = Table::new("Records shared, by day".into(), columns, rows.collect());
    Block::Figure(vec![days_chart(briefing, &days)], table)
}

/// The start of the day with this number.
fn start(day: u64) -> Timestamp {
    Timestamp::from_micros(day.saturating_mul(DAY_MICROS)).unwrap_or(Timestamp::MAX)
}

fn days_chart(briefing: &Briefing, days: &BTreeMap<u64, Counted>) -> Chart {
    let first = briefing.since.as_micros() / DAY_MICROS;
    // The period's end does not belong to it: a period up to midnight has no column for the day that begins then.
    let last = briefing.until.as_micros().saturating_sub(1) / DAY_MICROS;
    let count = last.max(first).saturating_sub(first).saturating_add(1);
    let step = [1, 7, 30, 365].into_iter().find(|step| count.div_ceil(*step) <= COLUMNS_MAX);
    let step = step.unwrap_or_else(|| count.div_ceil(COLUMNS_MAX));
    let columns = (0..count.div_ceil(step)).map(|index| {
        let from = first.saturating_add(index.saturating_mul(step));
        let within = days.range(from..from.saturating_add(step)).map(|(_, counted)| *counted);
        bar(words::day(start(from)), sum(within))
    });
    let each = if step == 1 { "each day".to_owned() } else { format!("every {step} days") };
    Chart {
        title: format!("Records shared, {each}"),
        description: format!(
            "One column for {each} of the period, as high as the number of records."
        ),
        size: Size::Wide,
        drawing: Drawing::Columns(columns.collect()),
    }
}

fn ledger(ledger: &[LedgerRow]) -> Vec<Block> {
    if ledger.is_empty() {
        return vec![Block::Empty("The ledger is empty.")];
    }
    let mut sorted: Vec<&LedgerRow> = ledger.iter().collect();
    sorted.sort_by(|one, other| {
        other.given().count.cmp(&one.given().count).then_with(|| one.whose.cmp(&other.whose))
    });
    let charts = vec![ledger_chart(&sorted)];
    vec![
        plain("Given, and what others made of it", Block::Figure(charts, given(&sorted))),
        plain("Received, and what became of it", Block::Table(received(&sorted))),
    ]
}

fn given(rows: &[&LedgerRow]) -> Table {
    let cells = rows.iter().map(|row| {
        let Given { kinds, confirmed, disputed, acted_on, withdrawn } = &row.given;
        let known = row.provenance;
        vec![
            whose(&row.whose).into(),
            row.role.map_or("several", Role::as_str).into(),
            cell(row.given()),
            by_kind(kinds, known),
            echo(*confirmed, known),
            echo(*disputed, known),
            echo(*acted_on, known),
            cell(Counted { count: *withdrawn, provenance: known }),
        ]
    });
    let columns = vec![
        names("Member"),
        column("Role"),
        numbers("Given"),
        column("By kind"),
        numbers("Confirmed"),
        numbers("Disputed"),
        numbers("Acted on"),
        numbers("Withdrawn"),
    ];
    let caption = "Records given, and how many of them others confirmed, disputed or acted on";
    Table::new(caption.into(), columns, cells.collect())
}

fn by_kind(kinds: &BTreeMap<BodyKind, u64>, known: Provenance) -> Line {
    let given = kinds.iter().filter(|(_, count)| **count > 0);
    given.enumerate().fold(Line::new(), |line, (index, (kind, count))| {
        let comma = if index == 0 { "" } else { ", " };
        line.text(&format!("{comma}{}", words::number(*count)))
            .mark(known)
            .text(&format!(" {}", kind.as_str()))
    })
}

/// How many records, and by how many members.
fn echo(echo: Echo, known: Provenance) -> Line {
    let line = cell(Counted { count: echo.records, provenance: known });
    if echo.records == 0 {
        return line;
    }
    line.muted(&format!(" by {}", words::number(echo.members)))
}

fn received(rows: &[&LedgerRow]) -> Table {
    let cells = rows.iter().map(|row| {
        let Received { records: _in_sum, delivered, acknowledged, acted_on } = row.received;
        vec![
            whose(&row.whose).into(),
            cell(row.given()),
            cell(row.received()),
            claim(delivered),
            claim(acknowledged),
            cell(Counted { count: acted_on, provenance: row.provenance }),
        ]
    });
    let columns = vec![
        names("Member"),
        numbers("Given"),
        numbers("Received"),
        numbers("Delivered"),
        numbers("Acknowledged"),
        numbers("Acted on"),
    ];
    let caption = "Records of others that could be read, and how many of them were sent, \
        acknowledged and acted on";
    Table::new(caption.into(), columns, cells.collect())
}

/// What only the hub can know.
fn claim(count: Option<u64>) -> Line {
    count.map_or_else(
        || Line::new().muted("not said"),
        |count| cell(Counted { count, provenance: Provenance::HubClaims }),
    )
}

fn whose(whose: &Whose) -> String {
    match whose {
        Whose::Member(member) => member.to_string(),
        Whose::Several(1) => "1 other".to_owned(),
        Whose::Several(members) => format!("{members} others"),
    }
}

fn ledger_chart(rows: &[&LedgerRow]) -> Chart {
    let rows = rows.iter().map(|row| Opposed {
        label: whose(&row.whose),
        left: row.given().count,
        left_mark: words::mark(row.provenance),
        right: row.received.records,
        right_mark: words::mark(row.provenance),
    });
    Chart {
        title: "Given and received".to_owned(),
        description:
            "A row for each member: to the left what it gave, to the right what it received."
                .to_owned(),
        size: Size::Wide,
        drawing: Drawing::Diverging { left: "given", right: "received", rows: rows.collect() },
    }
}

fn time_to_share(cadence: &Cadence) -> Vec<Block> {
    let measured = || cadence.time_to_share.iter().filter(|time| time.samples > 0);
    if measured().next().is_none() {
        return vec![Block::Empty("No step was measured in this period.")];
    }
    let (proven, claimed): (Vec<&StepTime>, Vec<&StepTime>) =
        measured().partition(|time| time.provenance == Provenance::Proven);
    let (proven, proven_operations) = apart(proven);
    let (claimed, claimed_operations) = apart(claimed);
    let mut blocks = vec![
        plain("Proven by the log", steps(proven, "No step can be proven by the log alone.")),
        plain("Claimed", steps(claimed, "No claimed time is among them.")),
    ];
    blocks.extend(operations("By operation, proven by the log", proven_operations));
    blocks.extend(operations("By operation, claimed", claimed_operations));
    if cadence.operations_left_out > 0 {
        let count = usize::try_from(cadence.operations_left_out).unwrap_or(usize::MAX);
        let more = words::counted(count, "smaller operation has", "smaller operations have");
        blocks.push(Block::Text(format!("{more} no times here.").into()));
    }
    blocks
}

/// The times of all records and of members, and the times of operations.
fn apart(times: Vec<&StepTime>) -> (Vec<&StepTime>, Vec<(&TimedOperation, &StepTime)>) {
    let (mut others, mut operations) = (Vec::new(), Vec::new());
    for time in times {
        match &time.of {
            TimeOf::Operation(operation) => operations.push((operation, time)),
            TimeOf::All | TimeOf::Member(_) => others.push(time),
        }
    }
    (others, operations)
}

fn operations(title: &str, mut times: Vec<(&TimedOperation, &StepTime)>) -> Option<Block> {
    if times.is_empty() {
        return None;
    }
    times.sort_by(|(one, at), (other, then)| {
        (&one.record, at.step).cmp(&(&other.record, then.step))
    });
    let row = |(operation, time): &(&TimedOperation, &StepTime)| {
        let label = operation.tlp.map_or_else(Line::new, |tlp| Line::new().label(tlp));
        let named = if operation.title.is_empty() {
            Line::new().id(&operation.record.to_string())
        } else {
            Line::new().said(&operation.title)
        };
        let mut cells = vec![named, operation.record.member.as_str().into()];
        cells.extend(measure(time));
        cells.push(label);
        cells
    };
    let rows = times.iter().map(row).collect();
    let mut columns = vec![names("Operation"), names("Publisher")];
    columns.extend(measures());
    columns.push(column("Label"));
    Some(plain(title, Block::Table(Table::new(PERCENTILES.into(), columns, rows))))
}

fn steps(mut times: Vec<&StepTime>, empty: &'static str) -> Block {
    if times.is_empty() {
        return Block::Empty(empty);
    }
    times.sort_by(|one, other| (one.step, member(one)).cmp(&(other.step, member(other))));
    let rows = times.iter().map(|time| {
        let all = || Line::new().strong("all members");
        let mut cells = vec![member(time).map_or_else(all, |member| member.as_str().into())];
        cells.extend(measure(time));
        cells
    });
    let mut columns = vec![names("Member")];
    columns.extend(measures());
    let table = Table::new(PERCENTILES.into(), columns, rows.collect());
    Block::Figure(steps_charts(&times), table)
}

fn measures() -> [Column; 4] {
    [column("Step"), numbers("p50"), numbers("p90"), numbers("Measured")]
}

fn measure(time: &StepTime) -> [Line; 4] {
    [
        words::step(time.step).into(),
        Line::from(words::duration(time.p50)).mark(time.provenance),
        Line::from(words::duration(time.p90)).mark(time.provenance),
        words::number(time.samples).into(),
    ]
}

const fn member(time: &StepTime) -> Option<&MemberId> {
    match &time.of {
        TimeOf::Member(member) => Some(member),
        TimeOf::All | TimeOf::Operation(_) => None,
    }
}

/// One chart for each step that was measured, all on one axis.
fn steps_charts(times: &[&StepTime]) -> Vec<Chart> {
    let ends = || times.iter().flat_map(|time| [time.p50, time.p90]);
    let axis = (ends().min().unwrap_or(Duration::ZERO), ends().max().unwrap_or(Duration::ZERO));
    let chart = |step: Step| {
        let rows: Vec<Range> =
            times.iter().filter(|time| time.step == step).map(|time| range(time)).collect();
        (!rows.is_empty()).then(|| Chart {
            title: words::step(step).to_owned(),
            description: format!(
                "From p50 to p90 of {}, on a logarithmic axis; bars of claimed times are hollow.",
                words::step(step)
            ),
            size: Size::Wide,
            drawing: Drawing::Ranges { rows, axis },
        })
    };
    Step::ALL.into_iter().filter_map(chart).collect()
}

fn range(time: &StepTime) -> Range {
    let name = member(time).map_or_else(|| "all members".to_owned(), MemberId::to_string);
    Range {
        label: format!("{name}{}", words::mark(time.provenance)),
        p50: time.p50,
        p90: time.p90,
        is_proven: time.provenance == Provenance::Proven,
    }
}
