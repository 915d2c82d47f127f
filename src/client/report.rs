//! Handing evidence to the exchange: what of it goes, what the hub must sign for it, and what others handed in.
//!
//! A connection to report over asks nothing of the log. A hub whose log does not hold is the one that must hear of it.

use std::path::PathBuf;
use std::time::Duration;

use tonic::transport::Channel;

use crate::client::connection::learn_log_keys;
use crate::client::error::ClientError;
use crate::client::evidence::Evidence;
use crate::client::evidence::Exhibit;
use crate::client::judge::InvalidEvidence;
use crate::client::judge::Verdict;
use crate::client::known::KnownRoster;
use crate::client::pin::Pin;
use crate::client::report_receipt::ReportReceipt;
use crate::client::report_receipt::open_own;
use crate::client::verifier::VerificationError;
use crate::model::limits;
use crate::model::names::Digest;
use crate::model::names::MemberId;
use crate::model::names::sha256;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::time::Clock as _;
use crate::model::time::SystemClock;
use crate::model::time::Timestamp;
use crate::profile::Profile;
use crate::tls;
use crate::wire;
use crate::wire::head::Signed;
use crate::wire::pb;
use crate::wire::pb::exchange_service_client::ExchangeServiceClient;
use crate::wire::pb::transparency_service_client::TransparencyServiceClient;

/// Within this time a call is answered: a megabyte on a slow line, and a sync.
const ANSWERED_WITHIN: Duration = Duration::from_mins(1);
/// Reports of a page.
const PAGE_REPORTS: u32 = 100;

/// Evidence as it is handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reportable {
    /// What goes.
    pub evidence: Evidence,
    /// What it comes to: the same as before anything was left out.
    pub verdict: Verdict,
    /// How many exhibits of what came were left out: they may hold bodies of records.
    pub received_left_out: usize,
    /// How many headers, heads and listings were left out, which the verdict does not need.
    pub others_left_out: usize,
    /// How many of them stay, since the verdict rests on them.
    pub others_kept: usize,
}

/// Exhibits that those who look after the exchange do not see otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Private {
    /// What came, bodies of records included.
    Received,
    /// Headers of records: their names, kinds, and whom they are for.
    Headers,
    /// How much a publisher says in one scope.
    Counts,
}

impl Private {
    fn of(exhibit: &Exhibit) -> Option<Self> {
        match exhibit {
            Exhibit::Received { .. } => Some(Self::Received),
            Exhibit::Header { .. } => Some(Self::Headers),
            Exhibit::PublisherHead { .. } | Exhibit::Listing { .. } => Some(Self::Counts),
            Exhibit::Checkpoint { .. }
            | Exhibit::Mark { .. }
            | Exhibit::Leaf { .. }
            | Exhibit::Roster { .. } => None,
        }
    }

    fn count(self, evidence: &Evidence) -> usize {
        let such = |exhibit: &&Exhibit| Self::of(exhibit) == Some(self);
        evidence.exhibits.iter().filter(such).count()
    }
}

/// What of evidence is handed in: without what is for its readers alone, as far as the verdict stays what it is. Nobody signed
/// what came, so that no verdict rests on it: it goes only `with_received`.
pub fn reportable(evidence: &Evidence, with_received: bool) -> Result<Reportable, InvalidEvidence> {
    let verdict = evidence.judge()?;
    let mut kept = evidence.clone();
    for private in [Private::Received, Private::Headers, Private::Counts] {
        if with_received && private == Private::Received {
            continue;
        }
        let mut without = kept.clone();
        without.exhibits.retain(|exhibit| Private::of(exhibit) != Some(private));
        if without.judge().as_ref() == Ok(&verdict) {
            kept = without;
        }
    }
    let others =
        |evidence: &Evidence| Private::Headers.count(evidence) + Private::Counts.count(evidence);
    Ok(Reportable {
        received_left_out: Private::Received.count(evidence) - Private::Received.count(&kept),
        others_left_out: others(evidence) - others(&kept),
        others_kept: others(&kept),
        evidence: kept,
        verdict,
    })
}

/// Evidence that the hub took in, and signed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandedIn {
    /// SHA-256 of what was sent.
    pub digest: Digest,
    /// When the hub took it in, as it signed.
    pub time: Timestamp,
    /// The file that was sent, byte for byte.
    pub sent: PathBuf,
    /// The file of the hub's receipt.
    pub receipt: PathBuf,
}

/// Evidence that a member handed in, as the hub shows it, and what it comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedEvidence {
    /// Who, as the hub says.
    pub reporter: MemberId,
    /// When, as the hub says.
    pub time: Timestamp,
    /// SHA-256 of the evidence.
    pub digest: Digest,
    /// The evidence, as it came: bytes of a stranger.
    pub bytes: Vec<u8>,
    /// The evidence and the verdict, if it is evidence about this exchange.
    pub judged: Result<(Evidence, Verdict), InvalidEvidence>,
}

/// A connection to report over.
pub struct Reporter {
    channel: Channel,
    profile: Profile,
    pin: Pin,
    known: KnownRoster,
}

impl Reporter {
    /// Connects to the hub that has the certificate of the pinned exchange. Its log is not looked at.
    pub async fn connect(profile: Profile) -> Result<Self, ClientError> {
        let pin = Pin::open(&profile.genesis()?)?;
        if *pin.exchange() != profile.settings().exchange {
            let why = "the pinned founding record is of another exchange";
            return Err(VerificationError::answer(why).into());
        }
        let known = KnownRoster::load(&profile, &pin)?;
        let channel = tls::connect(&profile.settings().address, &profile.tls()?).await?;
        Ok(Self { channel, profile, pin, known })
    }

    /// Hands evidence in. Its bytes, and what the hub signed for them, are kept in the profile.
    pub async fn report(&mut self, evidence: &Evidence) -> Result<HandedIn, ClientError> {
        let bytes = self.to_send(evidence).map_err(ClientError::Invalid)?;
        let request = pb::ReportMisbehaviorRequest { evidence: bytes.clone() };
        let mut service = TransparencyServiceClient::new(self.channel.clone());
        let answer = in_time(service.report_misbehavior(request)).await?;
        let signed = Signed::from_wire(answer.statement.unwrap_or_default());
        let statement = match self.open(&signed, &bytes) {
            Ok(statement) => statement,
            Err(unknown) => {
                // Another key may sign for the log by now: its own entries say so.
                let service = ExchangeServiceClient::new(self.channel.clone());
                let learnt = Box::pin(learn_log_keys(service, self.known.clone())).await;
                self.known = learnt.map_err(|_not_shown| unknown)?;
                self.open(&signed, &bytes)?
            }
        };
        let (statement, digest) = statement;
        let latest = SystemClock::default().now().saturating_add(limits::CREATE_TIME_AHEAD_MAX);
        if statement.time > latest {
            return Err(VerificationError::receipt("its time is still to come").into());
        }
        let receipt = ReportReceipt::new(&self.pin, &self.known, &signed);
        let (time, receipt) = (statement.time, receipt.to_json());
        let [sent, receipt] = self.profile.save_report(&digest, &bytes, (time, &receipt))?;
        Ok(HandedIn { digest, time, sent, receipt })
    }

    fn open(
        &self,
        signed: &Signed,
        bytes: &[u8],
    ) -> Result<(wire::report::ReportStatement, Digest), VerificationError> {
        let log_keys = self.known.log_keys().load_full();
        let log_key = log_keys.current().verifying();
        let member = &self.profile.settings().member;
        open_own(signed, (&self.pin, log_key), (member, bytes))
    }

    /// The bytes of evidence, if the hub would take them.
    fn to_send(&self, evidence: &Evidence) -> Result<Vec<u8>, Refusal> {
        let bytes = serde_json::to_vec(evidence)
            .map_err(|error| Refusal::field(Reason::FieldInvalid, "evidence", error.to_string()))?;
        wire::report::demand_evidence(&bytes, self.pin.exchange())?;
        Ok(bytes)
    }

    /// A page of what was handed in, as far as this member may read it, from the page before on; and the token of the
    /// next. Each was judged here.
    pub async fn reports(
        &self,
        page_token: &str,
    ) -> Result<(Vec<ReportedEvidence>, Option<String>), ClientError> {
        let request = pb::ListMisbehaviorReportsRequest {
            page_size: PAGE_REPORTS,
            page_token: page_token.to_owned(),
        };
        let mut service = TransparencyServiceClient::new(self.channel.clone());
        let page = in_time(service.list_misbehavior_reports(request)).await?;
        let next = Some(page.next_page_token).filter(|token| !token.is_empty());
        if page.reports.is_empty() && next.is_some() || next.as_deref() == Some(page_token) {
            return Err(VerificationError::answer("its reports have no end").into());
        }
        let reports = page.reports.into_iter().map(|report| self.judged(report));
        Ok((reports.collect::<Result<_, _>>()?, next))
    }

    fn judged(&self, report: pb::MisbehaviorReport) -> Result<ReportedEvidence, VerificationError> {
        let pb::MisbehaviorReport { reporter, time, evidence_digest, evidence: bytes } = report;
        let wrong = |what: &str| VerificationError::answer(format!("a report has no {what}"));
        let digest = sha256(&bytes);
        if evidence_digest != digest {
            let why = "evidence in its list is not what its digest says";
            return Err(VerificationError::answer(why));
        }
        let time = time.ok_or_else(|| wrong("time"))?;
        Ok(ReportedEvidence {
            reporter: MemberId::from_name(&reporter).map_err(|_invalid| wrong("reporter"))?,
            time: wire::time::timestamp(&time, "time").map_err(|_invalid| wrong("time"))?,
            judged: judge(&bytes, &self.pin),
            digest,
            bytes,
        })
    }
}

/// What bytes come to as evidence about an exchange.
fn judge(bytes: &[u8], pin: &Pin) -> Result<(Evidence, Verdict), InvalidEvidence> {
    let format = |why: String| InvalidEvidence::Format(why);
    wire::report::demand_evidence(bytes, pin.exchange())
        .map_err(|refusal| format(refusal.message))?;
    let text = std::str::from_utf8(bytes).map_err(|error| format(error.to_string()))?;
    let none = || Err(format("it does not begin as one".to_owned()));
    let evidence = Evidence::parse(text).unwrap_or_else(none)?;
    let verdict = evidence.judge()?;
    Ok((evidence, verdict))
}

async fn in_time<T>(
    call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>> + Send,
) -> Result<T, ClientError> {
    let silent = || ClientError::Unreachable("it does not answer for reports".to_owned());
    let answer = tokio::time::timeout(ANSWERED_WITHIN, call).await.map_err(|_silence| silent())?;
    Ok(answer?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Draft;
    use crate::client::Signer;
    use crate::client::judge::Condition;
    use crate::client::judge::Contradiction;
    use crate::client::tests::World;
    use crate::model::handling::Handling;
    use crate::model::names::RecordName;
    use crate::transparency::Checkpoint;

    fn evidence(world: &World, exhibits: &[Exhibit]) -> Evidence {
        use base64::Engine as _;
        use prost::Message as _;
        let genesis = base64::engine::general_purpose::STANDARD
            .encode(world.founding.genesis.encode_to_vec());
        let text = serde_json::json!({
            "watchfire_evidence": 1,
            "exchange": world.founding.exchange.name(),
            "genesis": genesis,
            "finder": "members/acme-video",
            "time": world.now.to_string(),
            "deviation": "because",
            "exhibits": exhibits,
        });
        Evidence::parse(&text.to_string()).unwrap().unwrap()
    }

    fn checkpoint(world: &World, root: u8) -> Exhibit {
        let checkpoint = Checkpoint { epoch: 1, size: 8, root: [root; 32], roster: [0; 32] };
        Exhibit::checkpoint(&world.pin().log_key().sign(&checkpoint, &world.log_secret))
    }

    /// A header of a record, as its publisher signed it: the same name each time.
    fn header(signer: &Signer, world: &World, value: &str) -> Exhibit {
        let record = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let draft = Draft {
            name: RecordName { member: signer.member().clone(), record },
            previous: None,
            handling: Handling::clone(&crate::client::unaddressed()),
            content: pb::body::Content::Note(pb::Note {
                about: format!("members/bravo-net/records/{record}"),
                text: value.to_owned(),
            }),
        };
        let envelope = signer.sign(draft, world.now).unwrap();
        let signature = &envelope.signatures[0];
        Exhibit::header(&envelope.payload, &signature.keyid, &signature.sig)
    }

    fn kinds(evidence: &Evidence) -> Vec<Option<Private>> {
        evidence.exhibits.iter().map(Private::of).collect()
    }

    #[test]
    fn what_the_verdict_does_not_need_stays_behind() {
        let world = World::new();
        let roster = Exhibit::roster(&world.entries.iter().collect::<Vec<_>>());
        let received = || Exhibit::received("a frame", b"with bodies");
        let all = vec![
            checkpoint(&world, 1),
            roster.clone(),
            header(&world.acme, &world, "one"),
            received(),
            checkpoint(&world, 2),
        ];
        let two_histories = reportable(&evidence(&world, &all), false).unwrap();
        assert_eq!(kinds(&two_histories.evidence), [None; 3]);
        assert!(matches!(
            two_histories.verdict,
            Verdict::Proven(Contradiction::TwoHistories { .. })
        ));
        assert_eq!((two_histories.received_left_out, two_histories.others_left_out), (1, 1));
        let with = reportable(&evidence(&world, &all), true).unwrap();
        assert_eq!(kinds(&with.evidence), [None, None, Some(Private::Received), None]);
        assert_eq!((with.received_left_out, with.others_left_out, with.others_kept), (0, 1, 0));

        let (one, other) =
            (header(&world.acme, &world, "one"), header(&world.acme, &world, "other"));
        let both = vec![roster.clone(), one.clone(), received(), other];
        let two_headers = reportable(&evidence(&world, &both), false).unwrap();
        // No checkpoint signs the roster as a whole; that is as it was before, too.
        assert!(matches!(
            two_headers.verdict,
            Verdict::Conditional(Contradiction::TwoHeaders { .. }, Condition::RosterIsWhole)
        ));
        let headers = Some(Private::Headers);
        assert_eq!(kinds(&two_headers.evidence), [None, headers, headers], "they prove it");
        assert_eq!((two_headers.received_left_out, two_headers.others_kept), (1, 2));
        assert_eq!(two_headers.evidence.judge(), Ok(two_headers.verdict));

        let alone = reportable(&evidence(&world, &[roster, one, received()]), false).unwrap();
        assert_eq!((kinds(&alone.evidence), alone.verdict), (vec![None], Verdict::Unproven));
    }

    #[test]
    fn what_does_not_hold_is_not_handed_in() {
        let (world, stranger) = (World::new(), World::new());
        let forged = evidence(&world, &[checkpoint(&stranger, 1)]);
        assert_eq!(reportable(&forged, false), Err(InvalidEvidence::Exhibit(1)));
    }
}
