//! The first part: each member's operations. Claims stand side by side; nothing is merged or averaged.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::briefing::chart::Bar;
use crate::briefing::chart::Chart;
use crate::briefing::chart::Drawing;
use crate::briefing::chart::Size;
use crate::briefing::compose::shared_techniques;
use crate::briefing::document::Block;
use crate::briefing::document::Fact;
use crate::briefing::document::Line;
use crate::briefing::document::Look;
use crate::briefing::document::Section;
use crate::briefing::document::Table;
use crate::briefing::document::names;
use crate::briefing::document::numbers;
use crate::briefing::document::text;
use crate::briefing::document::words as column;
use crate::briefing::figure::Claimant;
use crate::briefing::figure::Counted;
use crate::briefing::figure::Measure;
use crate::briefing::figure::Provenance;
use crate::briefing::presented::Action;
use crate::briefing::presented::AssetCount;
use crate::briefing::presented::Attribution;
use crate::briefing::presented::Operation;
use crate::briefing::presented::Presentation;
use crate::briefing::presented::ReachFigure;
use crate::briefing::presented::Sighting;
use crate::briefing::presented::Technique;
use crate::briefing::presented::Total;
use crate::briefing::presented::TotalPart;
use crate::briefing::said::Said;
use crate::briefing::words;
use crate::model::names::RecordName;

/// Narratives of one operation that are listed.
const NARRATIVES_MAX: usize = 12;
/// Cards side by side, and operations of a member.
const CARDS_MAX: usize = 60;

pub(super) fn blocks(presentations: &[Presentation]) -> Vec<Block> {
    if presentations.is_empty() {
        return vec![Block::Empty("Nobody presents anything this time.")];
    }
    let chapters = presentations.iter().map(|member| Block::Section(chapter(member)));
    chapters.chain(shared_techniques::chapter(presentations)).collect()
}

fn chapter(presentation: &Presentation) -> Section {
    let mut title = Line::new().text(presentation.member.as_str());
    if !presentation.display_name.is_empty() {
        title = title.muted(" · ").said(&presentation.display_name);
    }
    let mut blocks = Vec::new();
    if presentation.operations.is_empty() {
        blocks.push(Block::Empty("No operation was published or changed in this period."));
    }
    let operations = presentation.operations.iter().take(CARDS_MAX);
    blocks.extend(operations.map(|operation| Block::Section(card(operation))));
    blocks.extend(left_out(presentation.operations.len()));
    if let Some(others) = &presentation.other_assets {
        let section = Section::new(Look::Card, "Assets without an operation").labelled(others.tlp);
        blocks.push(Block::Section(section.with([assets(&others.assets, Names::Left)])));
    }
    Section::new(Look::Chapter, title).with(blocks)
}

/// What is said of cards that found no room.
fn left_out(count: usize) -> Option<Block> {
    let more = count.checked_sub(CARDS_MAX).filter(|more| *more > 0)?;
    Some(Block::Text(format!("{} not shown.", words::counted(more, "more is", "more are")).into()))
}

fn card(operation: &Operation) -> Section {
    let title = Line::new().said_or(&operation.title, "without a title");
    Section::new(Look::Card, title)
        .labelled(operation.tlp)
        .with(story(operation))
        .with(named(&operation.assets))
        .with(totals(&operation.totals))
        .with(attributions(&operation.attributions))
        .with(reach(&operation.reach))
        .with(techniques(&operation.techniques))
        .with(actions(&operation.actions))
        .with(sightings(&operation.sightings))
        .with(silence(operation))
        .with(missing(operation.left_out))
}

fn named(of: &[AssetCount]) -> Option<Block> {
    let section = Section::new(Look::Plain, "Assets named");
    (!of.is_empty()).then(|| Block::Section(section.with([assets(of, Names::Shown)])))
}

/// What nobody has said of an operation, in one line: many operations are young.
fn silence(operation: &Operation) -> Option<Block> {
    let parts = [
        (operation.assets.is_empty(), "assets"),
        (operation.attributions.is_empty(), "who is behind it"),
        (operation.reach.is_empty(), "how far it reached"),
        (operation.techniques.is_empty(), "techniques"),
        (operation.actions.is_empty(), "what was done about it"),
    ];
    let silent: Vec<&str> =
        parts.into_iter().filter_map(|(is_silent, part)| is_silent.then_some(part)).collect();
    let text = format!("Nothing is said yet of: {}.", silent.join(", "));
    (!silent.is_empty()).then(|| Block::Text(Line::new().muted(&text)))
}

/// What is said of statements that the hub's answer did not hold.
fn missing(count: u64) -> Option<Block> {
    let text = format!("Statements about it that are not shown: {}", words::number(count));
    (count > 0).then(|| Block::Text(Line::from(text).mark(Provenance::HubClaims)))
}

fn story(operation: &Operation) -> Vec<Block> {
    let mut blocks = Vec::new();
    if !operation.description.is_empty() {
        blocks.push(Block::Text(Line::new().said(&operation.description)));
    }
    blocks.push(Block::Facts(story_facts(operation)));
    if !operation.narratives.is_empty() {
        let shown = operation.narratives.iter().take(NARRATIVES_MAX);
        let mut items: Vec<Line> = shown.map(|narrative| Line::new().said(narrative)).collect();
        let more = operation.narratives.len().saturating_sub(NARRATIVES_MAX);
        if more > 0 {
            items.push(Line::new().muted(&format!("and {more} more, not shown")));
        }
        let section = Section::new(Look::Plain, "What it told");
        blocks.push(Block::Section(section.with([Block::Items(items)])));
    }
    blocks
}

fn story_facts(operation: &Operation) -> Vec<Fact> {
    let claimed = |time| Line::from(words::date(time)).mark(Provenance::MemberClaims);
    let mut facts = vec![Fact {
        name: "Status",
        value: operation.status.map_or_else(|| "not stated".into(), |it| words::status(it).into()),
    }];
    for (name, said) in [
        ("Also called", &operation.aliases),
        ("From", &operation.origins),
        ("Aimed at", &operation.targets),
        ("Languages", &operation.languages),
    ] {
        if !said.is_empty() {
            facts.push(Fact { name, value: Line::new().all(said) });
        }
    }
    for (name, time) in
        [("First seen", operation.first_activity), ("Last seen", operation.last_activity)]
    {
        facts.extend(time.map(|time| Fact { name, value: claimed(time) }));
    }
    facts.push(Fact { name: "Shared", value: words::moment(operation.shared_at).into() });
    facts.push(Fact { name: "Record", value: record(&operation.record) });
    facts.push(Fact { name: "Its own label", value: own_label(operation) });
    facts
}

/// The card bears the strictest label of what it shows: the record itself may be told further.
fn own_label(operation: &Operation) -> Line {
    let own = Line::new().label(operation.own_tlp);
    if operation.own_tlp == operation.tlp {
        return own;
    }
    own.text(" the operation alone; what is shown of it here is up to ").label(operation.tlp)
}

fn record(name: &RecordName) -> Line {
    Line::new().id(&name.record.to_string())
}

fn place(platform: &Said) -> Line {
    Line::new().said_or(platform, "no platform")
}

/// Whether a table of assets says who names them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    Shown,
    Left,
}

fn assets(assets: &[AssetCount], who: Names) -> Block {
    let rows = assets.iter().map(|asset| {
        let named_by = (who == Names::Shown).then(|| Line::from(asset.member.as_str()));
        let what = [place(&asset.platform), asset.kind.as_str().into(), counted(asset.counted)];
        named_by.into_iter().chain(what).collect()
    });
    let named_by = (who == Names::Shown).then(|| names("Named by"));
    let columns = [names("Platform"), column("Kind"), numbers("Named")];
    let columns = named_by.into_iter().chain(columns).collect();
    let table = Table::new("Assets by platform and kind".into(), columns, rows.collect());
    Block::Figure(vec![assets_chart(assets)], table)
}

fn assets_chart(assets: &[AssetCount]) -> Chart {
    let full = assets.iter().map(|asset| asset.counted.count).max().unwrap_or(0);
    let bars = assets.iter().map(|asset| Bar {
        label: asset_label(asset, assets),
        value: asset.counted.count,
        mark: words::mark(asset.counted.provenance),
    });
    Chart {
        title: "Assets by platform and kind".to_owned(),
        description: "One bar for each platform and kind, as long as the number of assets named."
            .to_owned(),
        size: Size::Wide,
        drawing: Drawing::Bars { rows: bars.collect(), full },
    }
}

/// Platform and kind; also who names them, if several members name such assets.
fn asset_label(asset: &AssetCount, among: &[AssetCount]) -> String {
    let is_alike = |other: &&AssetCount| {
        other.platform.shown() == asset.platform.shown() && other.kind == asset.kind
    };
    let (kind, platform) = (asset.kind.as_str(), asset.platform.cut(12));
    let what = if platform.is_empty() { kind.to_owned() } else { format!("{platform} {kind}") };
    if among.iter().filter(is_alike).count() > 1 {
        format!("{what} {}", asset.member)
    } else {
        what
    }
}

fn counted(counted: Counted) -> Line {
    Line::from(words::number(counted.count)).mark(counted.provenance)
}

fn claimant(claimant: &Claimant) -> Line {
    let line = Line::new().text(claimant.member.as_str());
    let line = if claimant.is_unconfirmed { line.muted(UNCONFIRMED) } else { line };
    if claimant.on_word_of.is_empty() {
        return line;
    }
    line.muted(" on the word of ").said(&claimant.on_word_of)
}

fn totals(totals: &[Total]) -> Option<Block> {
    if totals.is_empty() {
        return None;
    }
    let (competing, others): (Vec<&Total>, Vec<&Total>) =
        totals.iter().partition(|one| totals.iter().any(|other| compete(one, other)));
    let mut contests: BTreeMap<(String, String), Vec<&Total>> = BTreeMap::new();
    for total in competing {
        let of = (total.what.shown(), total.platform.shown());
        contests.entry(of).or_default().push(total);
    }
    let mut blocks = Vec::new();
    let mut room = CARDS_MAX;
    let is_contested = !contests.is_empty();
    for contest in contests.values() {
        let text = "These totals compete. Each stands as its claimant gave it.";
        blocks.extend(cards(Line::new().strong(text), contest, &mut room));
    }
    let text = if is_contested { "Nobody gives a different total of these." } else { "" };
    blocks.extend(cards(Line::new().muted(text), &others, &mut room));
    blocks.extend(left_out(totals.len()));
    Some(Block::Section(Section::new(Look::Plain, "Totals as claimed").with(blocks)))
}

/// Cards of totals under what is said of them, as far as there is room.
fn cards(said: Line, totals: &[&Total], room: &mut usize) -> Vec<Block> {
    let cards: Vec<Section> = totals.iter().take(*room).map(|each| total(each)).collect();
    *room = room.saturating_sub(cards.len());
    if cards.is_empty() {
        return Vec::new();
    }
    let said = (!said.is_blank()).then_some(Block::Text(said));
    said.into_iter().chain([Block::Cards(cards)]).collect()
}

/// Said of a member whose key goes back to a reset by the operator that the reader has not confirmed.
const UNCONFIRMED: &str = " (key unconfirmed)";

/// Whether two claimants give different totals of the same thing.
fn compete(one: &Total, other: &Total) -> bool {
    one.claimant != other.claimant
        && one.figure != other.figure
        && one.what.shown() == other.what.shown()
        && one.platform.shown() == other.platform.shown()
}

fn total(total: &Total) -> Section {
    let mut what = Line::new().said_or(&total.what, "assets");
    if !total.platform.is_empty() {
        what = what.text(" on ").said(&total.platform);
    }
    let figure = Line::from(words::figure(total.figure)).mark(Provenance::MemberClaims);
    let mut blocks = vec![Block::Big(figure), Block::Text(what)];
    if !total.parts.is_empty() {
        blocks.push(Block::Items(parts(&total.parts)));
    }
    if !total.note.is_empty() {
        blocks.push(Block::Text(Line::new().said(&total.note)));
    }
    let mut facts = Vec::new();
    facts.extend(total.as_of.map(|time| Fact {
        name: "As of",
        value: Line::from(words::date(time)).mark(Provenance::MemberClaims),
    }));
    facts.push(Fact { name: "Record", value: record(&total.record) });
    blocks.push(Block::Facts(facts));
    Section::new(Look::Card, claimant(&total.claimant)).labelled(total.tlp).with(blocks)
}

fn parts(parts: &[TotalPart]) -> Vec<Line> {
    let part = |part: &TotalPart| {
        let line = Line::from(words::figure(part.figure)).mark(Provenance::MemberClaims);
        let line = if part.platform.is_empty() {
            line.text(" ")
        } else {
            line.text(" ").said(&part.platform).text(" ")
        };
        line.text(part.kind.as_str())
    };
    parts.iter().map(part).collect()
}

fn attributions(attributions: &[Attribution]) -> Option<Block> {
    if attributions.is_empty() {
        return None;
    }
    let section = Section::new(Look::Plain, "Who is behind it");
    let actors: BTreeSet<String> =
        attributions.iter().map(|each| each.actor.shown().to_lowercase()).collect();
    let mut blocks = Vec::new();
    if actors.len() > 1 {
        let text = format!("{} actors are named. Each claim stands as it was made.", actors.len());
        blocks.push(Block::Text(Line::new().strong(&text)));
    }
    blocks.push(Block::Cards(attributions.iter().take(CARDS_MAX).map(attribution).collect()));
    blocks.extend(left_out(attributions.len()));
    Some(Block::Section(section.with(blocks)))
}

fn attribution(attribution: &Attribution) -> Section {
    let confidence = attribution.confidence.map_or_else(
        || Line::new().muted("confidence not stated"),
        |sure| {
            let percent = sure.percent();
            Line::from(format!("Confidence {percent} of 100")).meter(percent)
        },
    );
    let mut blocks = vec![
        Block::Big(Line::new().said_or(&attribution.actor, "no actor named")),
        Block::Text(confidence),
    ];
    if !attribution.rationale.is_empty() {
        blocks.push(Block::Text(Line::new().said(&attribution.rationale)));
    }
    let mut facts = Vec::new();
    for (name, said) in
        [("Actor type", &attribution.actor_type), ("Rests on", &attribution.rests_on)]
    {
        if !said.is_empty() {
            facts.push(Fact { name, value: Line::new().said(said) });
        }
    }
    facts.push(Fact { name: "Shared", value: words::moment(attribution.shared_at).into() });
    facts.push(Fact { name: "Record", value: record(&attribution.record) });
    blocks.push(Block::Facts(facts));
    let Claimant { member, on_word_of, is_unconfirmed } = &attribution.claimant;
    let title = Line::new().text(member.as_str());
    let title = if *is_unconfirmed { title.muted(UNCONFIRMED) } else { title };
    let title = title.text(" says");
    let title = if on_word_of.is_empty() {
        title
    } else {
        title.muted(", on the word of ").said(on_word_of)
    };
    Section::new(Look::Card, title).labelled(attribution.tlp).with(blocks)
}

fn reach(figures: &[ReachFigure]) -> Option<Block> {
    if figures.is_empty() {
        return None;
    }
    let section = Section::new(Look::Plain, "Reach");
    let columns = vec![
        names("Claimant"),
        numbers("Figure"),
        column("Measure"),
        names("Where"),
        column("As of"),
        text("Note"),
        column("Label"),
    ];
    let rows = figures.iter().map(reach_row).collect();
    let caption = "Reach as claimed; figures of different claimants are not added".into();
    Some(Block::Section(section.with([Block::Table(Table::new(caption, columns, rows))])))
}

fn reach_row(reach: &ReachFigure) -> Vec<Line> {
    let figure = match reach.measure {
        Measure::AdSpend => {
            Line::from(words::money(reach.figure)).text(" ").said_or(&reach.currency, "no currency")
        }
        Measure::Views
        | Measure::Followers
        | Measure::Members
        | Measure::AccountsReached
        | Measure::Impressions
        | Measure::Engagements
        | Measure::AdCount
        | Measure::Posts => words::figure(reach.figure).into(),
    };
    let mut place = Line::new().said_or(&reach.platform, "all platforms");
    if !reach.region.is_empty() {
        place = place.text(", ").said(&reach.region);
    }
    let as_of =
        reach.as_of.map(|time| Line::from(words::date(time)).mark(Provenance::MemberClaims));
    vec![
        claimant(&reach.claimant),
        figure.mark(Provenance::MemberClaims),
        words::measure(reach.measure).into(),
        place,
        as_of.unwrap_or_default(),
        Line::new().said(&reach.note),
        Line::new().label(reach.tlp),
    ]
}

fn techniques(techniques: &[Technique]) -> Option<Block> {
    if techniques.is_empty() {
        return None;
    }
    let section = Section::new(Look::Plain, "Techniques by phase");
    let mut sorted: Vec<&Technique> = techniques.iter().collect();
    sorted.sort_by_cached_key(|technique| order(technique));
    let frameworks: BTreeSet<&Said> =
        techniques.iter().map(|technique| &technique.framework).collect();
    let rows = sorted.iter().map(|technique| {
        vec![
            Line::new().said_or(&technique.phase, "no phase"),
            Line::new().said(&technique.external_id),
            technique_name(technique),
            Line::new().said(&technique.observed),
            if frameworks.len() > 1 { Line::new().said(&technique.framework) } else { Line::new() },
        ]
    });
    let columns = vec![
        names("Phase"),
        names("Code"),
        names("Technique"),
        text("What it did"),
        names("Framework"),
    ];
    let caption = match techniques.first() {
        Some(technique) if frameworks.len() == 1 => {
            Line::from("Techniques in the order of ").said_or(&technique.framework, "the framework")
        }
        Some(_) | None => "Techniques in the order of each framework".into(),
    };
    let table = Table::new(caption, columns, rows.collect());
    Some(Block::Section(section.with([Block::Figure(vec![phases(&sorted)], table)])))
}

/// The name; marked where it, or the phase, is the framework's as the hub has it.
pub(super) fn technique_name(technique: &Technique) -> Line {
    let name = Line::new().said(&technique.name);
    if technique.is_named_by_hub { name.mark(Provenance::HubClaims) } else { name }
}

/// Frameworks apart; codes by their numbers, so that 10 comes behind 9; then phases and codes as text.
pub(super) fn order(technique: &Technique) -> (String, Vec<u64>, String, String) {
    let code = technique.external_id.shown();
    let parts = code.split(|character: char| !character.is_ascii_digit());
    let parts = parts.filter_map(|part| part.parse().ok()).collect();
    (technique.framework.shown(), parts, technique.phase.shown(), code)
}

fn phases(sorted: &[&Technique]) -> Chart {
    let mut rows: Vec<Bar> = Vec::new();
    for technique in sorted {
        let label = technique.phase.cut(24);
        let label = if label.is_empty() { "no phase".to_owned() } else { label };
        match rows.iter_mut().find(|bar| bar.label == label) {
            Some(bar) => bar.value = bar.value.saturating_add(1),
            None => rows.push(Bar { label, value: 1, mark: "" }),
        }
    }
    let full = rows.iter().map(|bar| bar.value).max().unwrap_or(0);
    Chart {
        title: "Techniques named in each phase".to_owned(),
        description: "One bar for each phase, as long as the number of techniques named."
            .to_owned(),
        size: Size::Wide,
        drawing: Drawing::Bars { rows, full },
    }
}

fn actions(actions: &[Action]) -> Option<Block> {
    if actions.is_empty() {
        return None;
    }
    let section = Section::new(Look::Plain, "What members did about it");
    let rows = actions.iter().map(action_row).collect();
    let columns = vec![
        names("Member"),
        column("Action"),
        text("To what"),
        column("Acted"),
        column("Reported"),
        text("In its words"),
        column("Label"),
    ];
    let caption = "Actions as reported".into();
    Some(Block::Section(section.with([Block::Table(Table::new(caption, columns, rows))])))
}

fn action_row(action: &Action) -> Vec<Line> {
    let counts = parts(&action.counts).into_iter().enumerate();
    let counts =
        counts.fold(
            Line::new(),
            |line, (index, part)| {
                if index == 0 { part } else { line.text(", ").then(part) }
            },
        );
    let acted =
        action.acted_at.map(|time| Line::from(words::moment(time)).mark(Provenance::MemberClaims));
    vec![
        action.member.as_str().into(),
        words::action(action.kind).into(),
        counts,
        acted.unwrap_or_else(|| Line::new().muted("not stated")),
        words::moment(action.reported_at).into(),
        Line::new().said(&action.text),
        Line::new().label(action.tlp),
    ]
}

fn sightings(sightings: &[Sighting]) -> Option<Block> {
    if sightings.is_empty() {
        return None;
    }
    let rows = sightings.iter().map(|sighting| {
        let last_seen = sighting
            .last_seen
            .map(|time| Line::from(words::moment(time)).mark(Provenance::MemberClaims));
        vec![
            sighting.member.as_str().into(),
            Line::new().said_or(&sighting.of, "without a title"),
            Line::from(words::number(sighting.count)).mark(Provenance::MemberClaims),
            Line::new().said_or(&sighting.platform, "not stated"),
            last_seen.unwrap_or_else(|| Line::new().muted("not stated")),
            Line::new().said(&sighting.text),
            Line::new().label(sighting.tlp),
        ]
    });
    let columns = vec![
        names("Member"),
        text("Of what"),
        numbers("Times"),
        names("Where"),
        column("Last seen"),
        text("In its words"),
        column("Label"),
    ];
    let table = Table::new("Sightings as reported".into(), columns, rows.collect());
    Some(Block::Section(Section::new(Look::Plain, "Seen elsewhere").with([Block::Table(table)])))
}
