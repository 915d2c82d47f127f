//! A briefing with every section filled: the figures of August 2018 under reserved names, and members who are hostile.

use std::time::Duration;

use watchfire::briefing::Action;
use watchfire::briefing::ActionKind;
use watchfire::briefing::AssetCount;
use watchfire::briefing::Attribution;
use watchfire::briefing::Briefing;
use watchfire::briefing::Cadence;
use watchfire::briefing::Claimant;
use watchfire::briefing::Confidence;
use watchfire::briefing::Counted;
use watchfire::briefing::Dispute;
use watchfire::briefing::Echo;
use watchfire::briefing::Figure;
use watchfire::briefing::Given;
use watchfire::briefing::Holder;
use watchfire::briefing::Holders;
use watchfire::briefing::Inquiry;
use watchfire::briefing::LedgerRow;
use watchfire::briefing::Measure;
use watchfire::briefing::Operation;
use watchfire::briefing::OperationStatus;
use watchfire::briefing::Opinion;
use watchfire::briefing::OtherAssets;
use watchfire::briefing::Presentation;
use watchfire::briefing::Problems;
use watchfire::briefing::Provenance;
use watchfire::briefing::ReachFigure;
use watchfire::briefing::Recall;
use watchfire::briefing::RecallAnswer;
use watchfire::briefing::RecallOutcome;
use watchfire::briefing::RecallReason;
use watchfire::briefing::Received;
use watchfire::briefing::Reply;
use watchfire::briefing::Said;
use watchfire::briefing::Shared;
use watchfire::briefing::Sighting;
use watchfire::briefing::Stance;
use watchfire::briefing::Step;
use watchfire::briefing::StepTime;
use watchfire::briefing::Subject;
use watchfire::briefing::Technique;
use watchfire::briefing::TimeOf;
use watchfire::briefing::TimedOperation;
use watchfire::briefing::Total;
use watchfire::briefing::TotalPart;
use watchfire::briefing::Whose;
use watchfire::model::handling::Tlp;
use watchfire::model::header::BodyKind;
use watchfire::model::names::MemberId;
use watchfire::model::names::RecordName;
use watchfire::model::observable::ObservableKind;
use watchfire::model::roster::Role;
use watchfire::model::time::Timestamp;

pub(crate) const ACME: &str = "acme-video";
pub(crate) const BLUEBIRD: &str = "bluebird-social";
pub(crate) const CEDAR: &str = "cedar-network";

/// What a member says that would like to be more than text.
pub(crate) const HOSTILE: &str = "<script>alert(1)</script><img src=x onerror=alert(2)> \
    [click](https://evil.example/a) ![i](http://192.0.2.9/i.png) \"onmouseover=\"x' https://evil.example \
    \u{202e}gpj.exe\u{202c} \u{1b}[31m www.evil.example </bdi></title></desc></svg></style> &lt;b&gt;";

/// The sample; `said` makes each text that a member says out of the one given here.
pub(crate) struct Sample<'a> {
    pub(crate) said: &'a dyn Fn(&str) -> Said,
}

impl Sample<'_> {
    pub(crate) fn briefing(&self) -> Briefing {
        Briefing {
            exchange: self.said("spring-0123456789abcdef"),
            reader: member(CEDAR),
            prepared_at: at(23, 8, 15),
            since: at(16, 0, 0),
            until: at(23, 0, 0),
            log_size: 18_204,
            tlp_at_least: Tlp::Green,
            presentations: vec![self.acme(), self.bluebird(), self.cedar()],
            problems: self.problems(),
            cadence: cadence(self),
        }
    }

    fn said(&self, text: &str) -> Said {
        (self.said)(text)
    }

    fn acme(&self) -> Presentation {
        Presentation {
            member: member(ACME),
            display_name: self.said("Acme Video"),
            operations: vec![self.broadcaster()],
            other_assets: Some(OtherAssets {
                tlp: Tlp::Green,
                assets: vec![self.asset("", ObservableKind::Domain, 4, Provenance::Proven)],
            }),
        }
    }

    fn broadcaster(&self) -> Operation {
        Operation {
            record: record(ACME, 1),
            tlp: Tlp::Amber,
            own_tlp: Tlp::Green,
            title: self.said("Channels linked to a state broadcaster"),
            aliases: vec![self.said("Loud Relay"), self.said("IO-2018-08")],
            status: Some(OperationStatus::Disrupted),
            origins: vec![self.said("XA")],
            targets: vec![self.said("US"), self.said("GB")],
            languages: vec![self.said("en"), self.said("ar")],
            narratives: vec![
                self.said("Political news in English that hides who pays for it"),
                self.said("The same video under many names"),
            ],
            description: self.said(
                "58 accounts were removed. They shared recovery numbers and upload hours, and posted what \
                 news.example had posted minutes before.",
            ),
            first_activity: Some(at(2, 0, 0)),
            last_activity: Some(at(21, 0, 0)),
            shared_at: at(22, 14, 5),
            assets: vec![
                self.asset("youtube", ObservableKind::Channel, 39, Provenance::Proven),
                self.asset("google-plus", ObservableKind::Account, 13, Provenance::Proven),
                self.asset("blogger", ObservableKind::Blog, 6, Provenance::Proven),
            ],
            totals: vec![self.total(
                ACME,
                "",
                Figure::Exact(58),
                "accounts removed",
                self.removed(),
            )],
            attributions: self.claims(),
            reach: vec![
                self.reach(ACME, "", Measure::Views, Figure::Exact(13_466), "US"),
                self.reach(
                    BLUEBIRD,
                    "a newspaper",
                    Measure::AccountsReached,
                    Figure::AtLeast(20_000_000),
                    "",
                ),
            ],
            techniques: self.techniques(),
            actions: self.actions(),
            sightings: self.sightings(),
            left_out: 0,
        }
    }

    fn claims(&self) -> Vec<Attribution> {
        let overlap = "Overlap in posting times; the billing data are not ours to see";
        vec![
            self.attribution(ACME, "A state broadcaster", Some(85), "Technical data on the owners"),
            self.attribution(BLUEBIRD, "A contractor of the broadcaster", Some(60), overlap),
            self.attribution(CEDAR, "A state broadcaster", None, ""),
        ]
    }

    fn removed(&self) -> Vec<TotalPart> {
        vec![
            self.part("youtube", ObservableKind::Channel, 39),
            self.part("google-plus", ObservableKind::Account, 13),
            self.part("blogger", ObservableKind::Blog, 6),
        ]
    }

    fn actions(&self) -> Vec<Action> {
        vec![
            Action {
                record: record(ACME, 2),
                tlp: Tlp::Amber,
                member: member(ACME),
                kind: ActionKind::Removed,
                counts: self.removed(),
                acted_at: Some(at(22, 9, 0)),
                reported_at: at(22, 14, 20),
                text: self.said("All of them at once"),
            },
            Action {
                record: record(CEDAR, 3),
                tlp: Tlp::Green,
                member: member(CEDAR),
                kind: ActionKind::NoAction,
                counts: Vec::new(),
                acted_at: None,
                reported_at: at(22, 18, 0),
                text: self.said("Looked, found none of them here"),
            },
        ]
    }

    fn sightings(&self) -> Vec<Sighting> {
        let sighting = |by, count, last_seen| Sighting {
            tlp: Tlp::Amber,
            member: member(by),
            of: self.said("Channel @loud-relay"),
            count,
            platform: self.said("x"),
            last_seen,
            shared_at: at(22, 17, 0),
            text: self.said("In replies"),
        };
        vec![sighting(BLUEBIRD, 1_203, Some(at(21, 9, 0))), sighting(CEDAR, 0, None)]
    }

    fn bluebird(&self) -> Presentation {
        let what = "pages, groups and accounts removed";
        let spent = Figure::Between { low: 1_200_000, high: 1_250_050 };
        let operation = Operation {
            record: record(BLUEBIRD, 10),
            tlp: Tlp::Green,
            own_tlp: Tlp::Green,
            title: self.said("Coordinated manipulation, first wave"),
            aliases: Vec::new(),
            status: Some(OperationStatus::Active),
            origins: vec![self.said("XA")],
            targets: vec![self.said("US")],
            languages: vec![self.said("en")],
            narratives: Vec::new(),
            description: self.said("284 accounts were suspended; the work goes on."),
            first_activity: None,
            last_activity: None,
            shared_at: at(21, 20, 44),
            assets: vec![self.asset("x", ObservableKind::Account, 284, Provenance::Proven)],
            totals: vec![
                self.total(BLUEBIRD, "", Figure::Exact(652), what, vec![]),
                self.total(CEDAR, "a second count", Figure::Exact(653), what, vec![]),
                self.total(BLUEBIRD, "", Figure::Exact(284), "accounts suspended", vec![]),
            ],
            attributions: Vec::new(),
            reach: vec![
                ReachFigure {
                    currency: self.said("USD"),
                    note: self.said("ad library, June 2015 to May 2017"),
                    ..self.reach(CEDAR, "", Measure::AdSpend, spent, "")
                },
                self.reach(CEDAR, "", Measure::AdCount, Figure::AtLeast(3000), ""),
            ],
            techniques: Vec::new(),
            actions: Vec::new(),
            sightings: Vec::new(),
            left_out: 12,
        };
        Presentation {
            member: member(BLUEBIRD),
            display_name: self.said("Bluebird Social"),
            operations: vec![operation],
            other_assets: None,
        }
    }

    fn cedar(&self) -> Presentation {
        let hostile = Operation {
            title: self.said(HOSTILE),
            description: self.said(&format!("{HOSTILE} {}", "unbroken".repeat(60))),
            aliases: vec![self.said(HOSTILE)],
            narratives: vec![self.said(HOSTILE)],
            record: record(CEDAR, 20),
            tlp: Tlp::AmberStrict,
            assets: vec![self.asset(HOSTILE, ObservableKind::Page, 1, Provenance::HubClaims)],
            ..self.broadcaster()
        };
        let hostile = Operation {
            attributions: vec![self.attribution(CEDAR, HOSTILE, Some(100), HOSTILE)],
            totals: vec![self.total(
                CEDAR,
                HOSTILE,
                Figure::AtLeast(7),
                HOSTILE,
                vec![self.part(HOSTILE, ObservableKind::Group, 7)],
            )],
            reach: vec![self.reach(CEDAR, HOSTILE, Measure::Followers, Figure::Exact(1), HOSTILE)],
            techniques: vec![Technique {
                framework: self.said(HOSTILE),
                external_id: self.said(HOSTILE),
                name: self.said(HOSTILE),
                phase: self.said(HOSTILE),
                is_named_by_hub: true,
                observed: self.said(HOSTILE),
            }],
            actions: Vec::new(),
            sightings: Vec::new(),
            ..hostile
        };
        Presentation {
            member: member(CEDAR),
            display_name: self.said(HOSTILE),
            operations: vec![hostile],
            other_assets: None,
        }
    }

    fn asset(
        &self,
        platform: &str,
        kind: ObservableKind,
        count: u64,
        known: Provenance,
    ) -> AssetCount {
        AssetCount {
            member: member(ACME),
            platform: self.said(platform),
            kind,
            counted: Counted { count, provenance: known },
        }
    }

    fn part(&self, platform: &str, kind: ObservableKind, count: u64) -> TotalPart {
        TotalPart { platform: self.said(platform), kind, figure: Figure::Exact(count) }
    }

    fn total(
        &self,
        by: &str,
        word_of: &str,
        figure: Figure,
        what: &str,
        parts: Vec<TotalPart>,
    ) -> Total {
        Total {
            record: record(by, 30),
            tlp: Tlp::Green,
            claimant: Claimant {
                member: member(by),
                on_word_of: self.said(word_of),
                is_unconfirmed: false,
            },
            figure,
            what: self.said(what),
            platform: self.said(""),
            parts,
            as_of: Some(at(22, 0, 0)),
            note: self.said("As its newsroom told"),
        }
    }

    fn attribution(
        &self,
        by: &str,
        actor: &str,
        percent: Option<u8>,
        rationale: &str,
    ) -> Attribution {
        Attribution {
            record: record(by, 40),
            tlp: Tlp::Amber,
            claimant: Claimant {
                member: member(by),
                on_word_of: self.said(""),
                is_unconfirmed: true,
            },
            actor: self.said(actor),
            actor_type: self.said("state media"),
            confidence: percent.map(|percent| Confidence::new(percent).unwrap()),
            rests_on: self.said("technical indicators"),
            rationale: self.said(rationale),
            shared_at: at(22, 15, 30),
        }
    }

    fn reach(
        &self,
        by: &str,
        word_of: &str,
        measure: Measure,
        figure: Figure,
        region: &str,
    ) -> ReachFigure {
        ReachFigure {
            tlp: Tlp::Green,
            claimant: Claimant {
                member: member(by),
                on_word_of: self.said(word_of),
                is_unconfirmed: false,
            },
            measure,
            figure,
            currency: self.said(""),
            platform: self.said("youtube"),
            region: self.said(region),
            as_of: Some(at(21, 0, 0)),
            note: self.said("own count"),
        }
    }

    fn techniques(&self) -> Vec<Technique> {
        [
            ("7.2", "Posting the same video many times", "Indiscriminate engagement"),
            ("0.1.1", "Acquiring accounts", "Acquiring assets"),
            ("0.4.2", "Renting phone numbers", "Acquiring assets"),
            ("1.3.1", "Posing as news media", "Disguising assets"),
            ("0.10.1", "Acquiring domains", "Acquiring assets"),
            ("5.4.0", "Moving behind a proxy", "Evading detection"),
        ]
        .into_iter()
        .map(|(code, name, phase)| Technique {
            framework: self.said("online-operations-kill-chain"),
            external_id: self.said(code),
            name: self.said(name),
            phase: self.said(phase),
            is_named_by_hub: false,
            observed: self.said("as described above"),
        })
        .collect()
    }

    fn problems(&self) -> Problems {
        Problems {
            disputes: vec![Dispute {
                about: self.subject(ACME, 50, "Account @weather-fan on youtube"),
                tlp: Tlp::Amber,
                opinions: vec![
                    self.opinion(
                        ACME,
                        Stance::StronglyAgrees,
                        "",
                        "Same recovery number as 12 others",
                    ),
                    self.opinion(
                        BLUEBIRD,
                        Stance::StronglyDisagrees,
                        "false positive",
                        "A real hobbyist: see weather.example",
                    ),
                    self.opinion(CEDAR, Stance::Neutral, "other", HOSTILE),
                ],
                taken_back: None,
            }],
            inquiries: vec![
                Inquiry {
                    record: record(BLUEBIRD, 60),
                    tlp: Tlp::Amber,
                    asker: member(BLUEBIRD),
                    question: self
                        .said("Who else has seen payments to pay.example from these accounts?"),
                    about: self.said("Channels linked to a state broadcaster"),
                    addressees: vec![member(ACME), member(CEDAR)],
                    asked_at: at(17, 10, 0),
                    due: Some(at(21, 12, 0)),
                    replies: vec![Reply {
                        member: member(ACME),
                        result: self.said("found"),
                        text: self.said("Two, both since July"),
                        shared_at: at(18, 11, 30),
                    }],
                    is_open: true,
                },
                Inquiry {
                    record: record(CEDAR, 61),
                    tlp: Tlp::Green,
                    asker: member(CEDAR),
                    question: self.said(HOSTILE),
                    about: self.said(""),
                    addressees: Vec::new(),
                    asked_at: at(22, 10, 0),
                    due: Some(at(30, 12, 0)),
                    replies: Vec::new(),
                    is_open: true,
                },
            ],
            recalls: vec![self.recall()],
        }
    }

    fn recall(&self) -> Recall {
        let answered = |outcome| Some(RecallAnswer { outcome, shared_at: at(20, 16, 0) });
        Recall {
            of: self.subject(BLUEBIRD, 70, "Account of a journalist, named in error"),
            tlp: Tlp::Amber,
            member: member(BLUEBIRD),
            reason: RecallReason::Privacy,
            explanation: self.said("Please delete every copy"),
            demand_deletion: true,
            recalled_at: at(19, 9, 0),
            acknowledge_by: Some(at(22, 9, 0)),
            erased_at: Some(at(20, 17, 0)),
            holders: Holders::Everyone(vec![
                Holder {
                    member: member(ACME),
                    told: Some(Provenance::Proven),
                    answer: answered(RecallOutcome::Deleted),
                },
                Holder { member: member(CEDAR), told: Some(Provenance::HubClaims), answer: None },
                Holder {
                    member: member("dogwood-forum"),
                    told: Some(Provenance::HubClaims),
                    answer: answered(RecallOutcome::Refused),
                },
            ]),
        }
    }

    fn subject(&self, by: &str, number: u128, title: &str) -> Subject {
        Subject { record: record(by, number), title: self.said(title) }
    }

    fn opinion(&self, by: &str, stance: Stance, reason: &str, text: &str) -> Opinion {
        Opinion {
            member: member(by),
            stance,
            reason: self.said(reason),
            text: self.said(text),
            shared_at: at(20, 13, 0),
        }
    }
}

fn cadence(sample: &Sample<'_>) -> Cadence {
    let operation = |by, number, title, tlp| {
        let title = sample.said(title);
        TimeOf::Operation(TimedOperation { record: record(by, number), title, tlp })
    };
    Cadence {
        shared: shared(),
        ledger: vec![
            ledger(ACME, 512, 1180),
            ledger(BLUEBIRD, 1044, 1310),
            ledger(CEDAR, 38, 1790),
        ],
        time_to_share: vec![
            step(Step::ObservedToPublished, None, (93_600, 864_000), Provenance::MemberClaims),
            step(Step::ObservedToPublished, Some(ACME), (7_200, 90_000), Provenance::MemberClaims),
            step(
                Step::ObservedToPublished,
                Some(BLUEBIRD),
                (172_800, 1_209_600),
                Provenance::MemberClaims,
            ),
            step(Step::PublishedToDelivered, None, (0, 4), Provenance::HubClaims),
            step(Step::PublishedToDelivered, Some(CEDAR), (1, 5_400), Provenance::HubClaims),
            step(Step::PublishedToAcknowledged, None, (600, 21_600), Provenance::Proven),
            step(Step::PublishedToAcknowledged, Some(ACME), (300, 3_600), Provenance::Proven),
            step(Step::PublishedToAcknowledged, Some(BLUEBIRD), (900, 43_200), Provenance::Proven),
            step(Step::PublishedToActed, None, (14_400, 259_200), Provenance::MemberClaims),
            time(
                Step::PublishedToActed,
                operation(ACME, 1, "Channels linked to a state broadcaster", Some(Tlp::Amber)),
                (11_100, 200_000),
                Provenance::Proven,
            ),
            time(
                Step::PublishedToActed,
                operation(CEDAR, 2, HOSTILE, Some(Tlp::Green)),
                (11_160, 200_000),
                Provenance::MemberClaims,
            ),
            time(
                Step::PublishedToActed,
                operation(BLUEBIRD, 3, "", None),
                (11_220, 200_000),
                Provenance::MemberClaims,
            ),
        ],
        operations_left_out: 4,
    }
}

fn shared() -> Vec<Shared> {
    let mut shared = Vec::new();
    for (index, count) in [40, 0, 61, 12, 55, 102, 242].into_iter().enumerate() {
        let day = at(16 + index as u64, 11, 0);
        for (by, kind, count) in [
            (ACME, BodyKind::Indicator, count),
            (ACME, BodyKind::Operation, u64::from(index == 6)),
            (BLUEBIRD, BodyKind::Indicator, count * 2 + 3),
            (BLUEBIRD, BodyKind::Withdrawal, u64::from(index == 3)),
            (CEDAR, BodyKind::Indicator, u64::from(index > 4) * 19),
        ] {
            let counted = Counted { count, provenance: Provenance::Proven };
            if count > 0 {
                shared.push(Shared { member: member(by), kind, day, counted });
            }
        }
    }
    shared
}

/// Some of what was given is of another kind, and others made something of some of it.
fn ledger(by: &str, given: u64, received: u64) -> LedgerRow {
    let echo = |records, members| Echo { records, members };
    LedgerRow {
        whose: Whose::Member(member(by)),
        role: Some(Role::Company),
        given: Given {
            kinds: [(BodyKind::Indicator, given - 7), (BodyKind::Sighting, 7)].into(),
            confirmed: echo(given / 2, 2),
            disputed: echo(given / 38, 1),
            acted_on: echo(given / 3, 2),
            withdrawn: given / 100,
        },
        received: Received {
            records: received,
            delivered: Some(received - 3),
            acknowledged: (by != CEDAR).then_some(received - 6),
            acted_on: received / 9,
        },
        provenance: Provenance::Proven,
    }
}

fn step(step: Step, by: Option<&str>, spans: (u64, u64), provenance: Provenance) -> StepTime {
    time(step, by.map_or(TimeOf::All, |by| TimeOf::Member(member(by))), spans, provenance)
}

fn time(step: Step, of: TimeOf, (p50, p90): (u64, u64), provenance: Provenance) -> StepTime {
    // Whole seconds are no measurement: each has a little more.
    let time = |seconds| Duration::from_secs(seconds) + Duration::from_millis(340);
    StepTime { step, of, p50: time(p50), p90: time(p90), samples: 214, provenance }
}

pub(crate) fn member(id: &str) -> MemberId {
    id.parse().unwrap()
}

fn record(by: &str, number: u128) -> RecordName {
    RecordName {
        member: member(by),
        record: uuid::Uuid::from_u128(0x0165_5c2a_7000_7000_8000_0000_0000_0000 + number),
    }
}

/// A moment of August 2018; the 32nd is 1 September.
pub(crate) fn at(day: u64, hour: u64, minute: u64) -> Timestamp {
    const AUGUST: u64 = 1_533_081_600;
    Timestamp::from_micros((AUGUST + ((day - 1) * 24 + hour) * 3600 + minute * 60) * 1_000_000)
        .unwrap()
}
