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
use crate::briefing::problems::Holders;
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
        chapter("Inquiries", "No open inquiries.", inquiries, inquiry),
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
    let mut facts = record_facts(&dispute.about);
    let settled = dispute.taken_back.map(|time| Line::from(words::moment(time)));
    facts.extend(settled.map(|value| Fact { name: "Taken back", value }));
    Section::new(Look::Card, subject(&dispute.about)).labelled(dispute.tlp).with([
        Block::Text(Line::new().strong(&summary)),
        Block::Facts(facts),
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

/// A question that was answered is not overdue.
fn inquiry_due(inquiry: &Inquiry, until: Timestamp) -> Line {
    match inquiry.due {
        Some(by) if !inquiry.is_open => words::moment(by).into(),
        wanted => due(wanted, until),
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
        Fact { name: "Due", value: inquiry_due(inquiry, until) },
    ];
    if !inquiry.about.is_empty() {
        facts.push(Fact { name: "About", value: Line::new().said(&inquiry.about) });
    }
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
    let title = if inquiry.is_open { "Open question" } else { "Answered question" };
    let section = Section::new(Look::Card, title).labelled(inquiry.tlp);
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
    let mut facts = record_facts(&recall.of);
    let erased = recall.erased_at.map_or_else(
        || Line::new().muted("not erased"),
        |time| Line::from(format!("erased, {}", words::moment(time))),
    );
    facts.extend([
        Fact { name: "Taken back", value: words::moment(recall.recalled_at).into() },
        Fact { name: "By", value: recall.member.as_str().into() },
        Fact { name: "Why", value: words::recall_reason(recall.reason).into() },
        Fact {
            name: "Deletion",
            value: if recall.demand_deletion { "asked for" } else { "not asked for" }.into(),
        },
        Fact { name: "The hub's copy", value: erased },
        Fact { name: "Answer by", value: answer_by(recall, until) },
    ]);
    let mut blocks = Vec::new();
    if !recall.explanation.is_empty() {
        blocks.push(Block::Text(Line::new().said(&recall.explanation)));
    }
    match &recall.holders {
        Holders::TheReader => {
            blocks.push(Block::Text(Line::new().strong("You have not answered this recall.")));
            blocks.push(Block::Facts(facts));
        }
        Holders::Everyone(everyone) => {
            blocks.push(Block::Text(still_holding(everyone)));
            blocks.push(Block::Facts(facts));
            blocks.push(holders(everyone));
        }
    }
    Section::new(Look::Card, subject(&recall.of)).labelled(recall.tlp).with(blocks)
}

/// The date is over only for those who have not answered.
fn answer_by(recall: &Recall, until: Timestamp) -> Line {
    let answered = match &recall.holders {
        Holders::Everyone(holders) => holders.iter().all(|holder| holder.answer.is_some()),
        Holders::TheReader => false,
    };
    match recall.acknowledge_by {
        Some(by) if answered => words::moment(by).into(),
        wanted => due(wanted, until),
    }
}

fn still_holding(holders: &[Holder]) -> Line {
    let (holding, done): (Vec<&Holder>, Vec<&Holder>) =
        holders.iter().partition(|holder| holder.still_holds());
    let done = words::counted(done.len(), "holder has let go", "holders have let go");
    if holding.is_empty() {
        return Line::new().strong(&format!("Nobody holds it any more: {done}."));
    }
    let members: Vec<MemberId> = holding.iter().map(|holder| holder.member.clone()).collect();
    Line::new()
        .strong("Still held, as far as is known, by:")
        .text(" ")
        .text(&listed(&members))
        .text(&format!(". {done}."))
}

fn holders(holders: &[Holder]) -> Block {
    if holders.is_empty() {
        return Block::Empty("Nobody else could see it.");
    }
    let rows = holders.iter().map(|holder| {
        let (answer, at) = match &holder.answer {
            None => (Line::new().alert("no answer"), Line::new()),
            Some(answer) => (
                words::recall_outcome(answer.outcome).into(),
                words::moment(answer.shared_at).into(),
            ),
        };
        let told = holder.told.map(|known| Line::new().text("yes").mark(known));
        let told = told.unwrap_or_else(|| Line::new().muted("not known"));
        let holds = if holder.still_holds() { "yes" } else { "no" };
        vec![holder.member.as_str().into(), told, answer, at, holds.into()]
    });
    let columns = vec![
        names("Member"),
        column("Recall reached it"),
        column("Answer"),
        column("Answered"),
        column("Still holds it"),
    ];
    Block::Table(Table::new("Who has answered".into(), columns, rows.collect()))
}
