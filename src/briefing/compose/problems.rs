//! The second part: what the meeting has to settle.

use crate::briefing::document::Block;
use crate::briefing::document::Fact;
use crate::briefing::document::Line;
use crate::briefing::document::Look;
use crate::briefing::document::Section;
use crate::briefing::document::Table;
use crate::briefing::document::names;
use crate::briefing::document::text;
use crate::briefing::document::words as column;
use crate::briefing::problems::Dispute;
use crate::briefing::problems::Holder;
use crate::briefing::problems::Inquiry;
use crate::briefing::problems::Opinion;
use crate::briefing::problems::Problems;
use crate::briefing::problems::Recall;
use crate::briefing::problems::Stance;
use crate::briefing::problems::Subject;
use crate::briefing::words;
use crate::model::names::MemberId;
use crate::model::time::Timestamp;

/// Problems of one kind that are shown.
const PROBLEMS_MAX: usize = 100;

pub(super) fn blocks(problems: &Problems, until: Timestamp) -> Vec<Block> {
    let Problems { disputes, inquiries, recalls } = problems;
    let inquiry = |each: &Inquiry| inquiry(each, until);
    let recall = |each: &Recall| recall(each, until);
    vec![
        chapter("Disputes", "No disputes since the last meeting.", disputes, dispute),
        chapter("Open inquiries", "No open inquiries.", inquiries, inquiry),
        chapter("Recalls", "No recalls since the last meeting.", recalls, recall),
    ]
}

fn chapter<T>(
    title: &str,
    empty: &'static str,
    problems: &[T],
    card: impl Fn(&T) -> Section,
) -> Block {
    let mut section = Section::new(Look::Chapter, title);
    if problems.is_empty() {
        section = section.with([Block::Empty(empty)]);
    }
    let cards = problems.iter().take(PROBLEMS_MAX).map(|problem| Block::Section(card(problem)));
    section = section.with(cards);
    let more = problems.len().saturating_sub(PROBLEMS_MAX);
    if more > 0 {
        let text = format!("{} not shown.", words::counted(more, "more is", "more are"));
        section = section.with([Block::Text(text.into())]);
    }
    Block::Section(section)
}

fn subject(subject: &Subject) -> Line {
    Line::new().said_or(&subject.title, "without a title")
}

fn record_facts(subject: &Subject) -> Vec<Fact> {
    vec![
        Fact { name: "Published by", value: subject.record.member.as_str().into() },
        Fact { name: "Record", value: Line::new().id(&subject.record.record.to_string()) },
    ]
}

fn dispute(dispute: &Dispute) -> Section {
    let count = |stances: &[Stance]| {
        dispute.opinions.iter().filter(|opinion| stances.contains(&opinion.stance)).count()
    };
    let against = count(&[Stance::StronglyDisagrees, Stance::Disagrees]);
    let agree = count(&[Stance::Agrees, Stance::StronglyAgrees]);
    let neutral = count(&[Stance::Neutral]);
    let against = words::counted(against, "disagrees", "disagree");
    let agree = words::counted(agree, "agrees", "agree");
    let neutral = if neutral > 0 { format!(" · {neutral} neutral") } else { String::new() };
    let summary = format!("{against} · {agree}{neutral}");
    let mut opinions: Vec<&Opinion> = dispute.opinions.iter().collect();
    opinions.sort_by_key(|opinion| opinion.stance);
    let rows = opinions.into_iter().map(opinion_row).collect();
    let columns = vec![
        names("Member"),
        column("Stance"),
        names("Reason"),
        text("In its words"),
        column("Shared"),
    ];
    Section::new(Look::Card, subject(&dispute.about)).labelled(dispute.tlp).with([
        Block::Text(Line::new().strong(&summary)),
        Block::Facts(record_facts(&dispute.about)),
        Block::Table(Table::new("Opinions".into(), columns, rows)),
    ])
}

fn opinion_row(opinion: &Opinion) -> Vec<Line> {
    vec![
        opinion.member.as_str().into(),
        words::stance(opinion.stance).into(),
        Line::new().said_or(&opinion.reason, "not stated"),
        Line::new().said(&opinion.text),
        words::moment(opinion.shared_at).into(),
    ]
}

/// A date by which something is wanted.
fn due(due: Option<Timestamp>, until: Timestamp) -> Line {
    match due {
        None => Line::new().muted("no date"),
        Some(due) if due < until => Line::from(words::moment(due)).text(" ").alert("overdue"),
        Some(due) => words::moment(due).into(),
    }
}

fn listed(members: &[MemberId]) -> String {
    members.iter().map(MemberId::as_str).collect::<Vec<_>>().join(", ")
}

fn inquiry(inquiry: &Inquiry, until: Timestamp) -> Section {
    let asked = if inquiry.addressees.is_empty() {
        Line::new().muted("everyone who may read it")
    } else {
        listed(&inquiry.addressees).into()
    };
    let mut facts = vec![
        Fact { name: "Asked by", value: inquiry.asker.as_str().into() },
        Fact { name: "Addressed to", value: asked },
        Fact { name: "Asked at", value: words::moment(inquiry.asked_at).into() },
        Fact { name: "Due", value: due(inquiry.due, until) },
    ];
    facts.extend(inquiry.about.as_ref().map(|about| Fact { name: "About", value: subject(about) }));
    facts.push(Fact { name: "Record", value: Line::new().id(&inquiry.record.record.to_string()) });
    let silent: Vec<MemberId> = inquiry
        .addressees
        .iter()
        .filter(|member| inquiry.replies.iter().all(|reply| reply.member != **member))
        .cloned()
        .collect();
    if !silent.is_empty() {
        facts.push(Fact { name: "No reply from", value: listed(&silent).into() });
    }
    let section = Section::new(Look::Card, "Question").labelled(inquiry.tlp);
    let question = Line::new().said_or(&inquiry.question, "without a question");
    section.with([Block::Big(question), Block::Facts(facts), replies(inquiry)])
}

fn replies(inquiry: &Inquiry) -> Block {
    if inquiry.replies.is_empty() {
        return Block::Empty("No reply so far.");
    }
    let rows = inquiry.replies.iter().map(|reply| {
        vec![
            reply.member.as_str().into(),
            Line::new().said_or(&reply.result, "not stated"),
            Line::new().said(&reply.text),
            words::moment(reply.shared_at).into(),
        ]
    });
    let columns = vec![names("Member"), names("Result"), text("In its words"), column("Shared")];
    Block::Table(Table::new("Replies so far".into(), columns, rows.collect()))
}

fn recall(recall: &Recall, until: Timestamp) -> Section {
    let (holding, done): (Vec<&Holder>, Vec<&Holder>) =
        recall.holders.iter().partition(|holder| holder.still_holds());
    let mut facts = record_facts(&recall.of);
    facts.extend([
        Fact { name: "Taken back", value: words::moment(recall.recalled_at).into() },
        Fact { name: "Why", value: words::recall_reason(recall.reason).into() },
        Fact {
            name: "Deletion",
            value: if recall.demand_deletion { "asked for" } else { "not asked for" }.into(),
        },
        Fact { name: "Answer by", value: answer_by(recall, until) },
    ]);
    let mut blocks = Vec::new();
    if !recall.explanation.is_empty() {
        blocks.push(Block::Text(Line::new().said(&recall.explanation)));
    }
    blocks.push(Block::Text(still_holding(&holding, done.len())));
    blocks.push(Block::Facts(facts));
    blocks.push(holders(&recall.holders));
    Section::new(Look::Card, subject(&recall.of)).labelled(recall.tlp).with(blocks)
}

/// The date is over only for those who have not answered.
fn answer_by(recall: &Recall, until: Timestamp) -> Line {
    if recall.holders.iter().all(|holder| holder.answer.is_some()) {
        return recall
            .acknowledge_by
            .map_or_else(|| due(None, until), |by| words::moment(by).into());
    }
    due(recall.acknowledge_by, until)
}

fn still_holding(holding: &[&Holder], done: usize) -> Line {
    let done = words::counted(done, "holder has let go", "holders have let go");
    if holding.is_empty() {
        return Line::new().strong(&format!("Nobody holds it any more: {done}."));
    }
    let members: Vec<MemberId> = holding.iter().map(|holder| holder.member.clone()).collect();
    Line::new()
        .strong("Still held, as far as is known, by: ")
        .text(&listed(&members))
        .text(&format!(". {done}."))
}

fn holders(holders: &[Holder]) -> Block {
    if holders.is_empty() {
        return Block::Empty("Nobody had received it.");
    }
    let rows = holders.iter().map(|holder| {
        let (answer, at) = match &holder.answer {
            None => (Line::new().alert("no answer"), Line::new()),
            Some(answer) => (
                words::recall_outcome(answer.outcome).into(),
                words::moment(answer.shared_at).into(),
            ),
        };
        let received = Line::new().text("yes").mark(holder.received);
        let holds = if holder.still_holds() { "yes" } else { "no" };
        vec![holder.member.as_str().into(), received, answer, at, holds.into()]
    });
    let columns = vec![
        names("Member"),
        column("Received it"),
        column("Answer"),
        column("Answered"),
        column("Still holds it"),
    ];
    Block::Table(Table::new("Who has answered".into(), columns, rows.collect()))
}
