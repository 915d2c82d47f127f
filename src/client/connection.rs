//! A connection to the pinned exchange.

use std::sync::Arc;
use std::sync::Mutex as StdMutex;
use std::sync::atomic::AtomicU32;

use arc_swap::ArcSwap;
use prost::Message as _;
use tokio::sync::Mutex;
use tonic::transport::Channel;

use crate::client::account::Account;
use crate::client::account::Beginning;
use crate::client::account::Deviation;
use crate::client::account::Follower;
use crate::client::account::Hashes;
use crate::client::erased::Notices;
use crate::client::error::ClientError;
use crate::client::error::Refused;
use crate::client::known::KnownRoster;
use crate::client::pin::Pin;
use crate::client::signer::Signer;
use crate::client::trust::Remembered;
use crate::client::trust::Trust;
use crate::client::verifier::VerificationError;
use crate::client::verifier::Verifier;
use crate::client::verifier::prepare;
use crate::model::filter::Filter;
use crate::model::fingerprint::Fingerprint;
use crate::model::header::BodyKind;
use crate::model::names::MemberId;
use crate::model::reason::Reason;
use crate::model::time::Clock;
use crate::model::time::SystemClock;
use crate::model::time::Timestamp;
use crate::profile::AcceptedEpoch;
use crate::profile::OwnKey;
use crate::profile::Profile;
use crate::tls;
use crate::transparency::Checkpoint;
use crate::transparency::LogKeys;
use crate::wire;
use crate::wire::filter::filter_to_wire;
use crate::wire::pb;
use crate::wire::pb::audience_service_client::AudienceServiceClient;
use crate::wire::pb::exchange_service_client::ExchangeServiceClient;
use crate::wire::pb::export_service_client::ExportServiceClient;
use crate::wire::pb::query_service_client::QueryServiceClient;
use crate::wire::pb::roster_service_client::RosterServiceClient;
use crate::wire::pb::subscription_service_client::SubscriptionServiceClient;
use crate::wire::pb::transparency_service_client::TransparencyServiceClient;

/// What the roster is folded from.
const ROSTER_KINDS: [BodyKind; 4] =
    [BodyKind::Genesis, BodyKind::RosterChange, BodyKind::KeyChange, BodyKind::LogKeyChange];

/// A member's connection. Clones share it.
#[derive(Clone)]
pub struct Client {
    channel: Channel,
    profile: Arc<Profile>,
    pin: Arc<Pin>,
    known: Arc<Mutex<KnownRoster>>,
    /// As far as the roster was folded.
    log_keys: Arc<ArcSwap<LogKeys>>,
    trust: Arc<StdMutex<Trust>>,
    clock: Arc<dyn Clock>,
    welcome: Arc<Welcome>,
    accepted: Arc<StdMutex<Vec<AcceptedEpoch>>>,
    /// Which bodies the hub says in its log to be gone.
    notices: Arc<StdMutex<Notices>>,
    /// Batches that left the outbox since what was sent was last pruned.
    let_go: Arc<AtomicU32>,
}

/// What the hub said when it was asked who it is, as far as that could be checked.
#[derive(Clone, Debug)]
pub struct Welcome {
    /// The log's epoch.
    pub epoch: u32,
    /// The log's size, as its signed checkpoint has it.
    pub checkpoint: Checkpoint,
    /// The hub's time.
    pub time: Option<Timestamp>,
    /// The software's version, as the hub says.
    pub version: String,
    /// The caller, as the hub's roster has it.
    pub caller: pb::Member,
}

impl Client {
    /// Connects; refuses an exchange other than the one that was pinned, and a log that was restored without this member
    /// having accepted that.
    pub async fn connect(profile: Profile) -> Result<Self, ClientError> {
        let (client, note) = Self::reach(profile).await?;
        client.demand_accepted_epoch().await?;
        client.demand_continuation(&note).await?;
        Ok(client)
    }

    /// Connects without a look at the log; the note of its checkpoint with it.
    pub(super) async fn reach(profile: Profile) -> Result<(Self, String), ClientError> {
        let pin = Pin::open(&profile.genesis()?)?;
        if *pin.exchange() != profile.settings().exchange {
            return Err(VerificationError::answer(
                "the pinned founding record is of another exchange",
            )
            .into());
        }
        let mut known = KnownRoster::load(&profile, &pin)?;
        let profile = Arc::new(profile);
        let remembered = Remembered::read(&profile)?;
        let channel = tls::connect(&profile.settings().address, &profile.tls()?).await?;
        let response = RosterServiceClient::new(channel.clone())
            .get_exchange(pb::GetExchangeRequest {})
            .await?
            .into_inner();
        let note = response.checkpoint.clone();
        // A restored log may have had other keys: what was signed before was signed by those of then.
        let log_keys_before = known.log_keys().load_full();
        known.forget_other_epochs(&pin, response.epoch);
        let log_keys = known.log_keys();
        let are_known = |keys: &LogKeys| {
            let is_remembered =
                |it: &String| keys.open(it).is_ok() || log_keys_before.open(it).is_ok();
            keys.open(&note).is_ok() && remembered.newest.as_ref().is_none_or(is_remembered)
        };
        if !are_known(&log_keys.load()) {
            // The log may have another key by now: its own entries say so.
            let service = ExchangeServiceClient::new(channel.clone());
            Box::pin(learn_log_keys(service, known.clone())).await?;
        }
        let keys = [&*log_keys.load_full(), &*log_keys_before];
        let trust = Trust::open(Arc::clone(&profile), remembered, keys, response.epoch)?;
        let welcome = welcome(&pin, &log_keys.load(), response)?;
        let accepted = profile.accepted_epochs()?;
        let client = Self {
            channel,
            profile,
            accepted: Arc::new(StdMutex::new(accepted)),
            notices: Arc::default(),
            let_go: Arc::default(),
            pin: Arc::new(pin),
            known: Arc::new(Mutex::new(known)),
            log_keys,
            trust: Arc::new(StdMutex::new(trust)),
            clock: Arc::new(SystemClock::default()),
            welcome: Arc::new(welcome),
        };
        Ok((client, note))
    }

    /// Where the member's folder is.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The exchange that was joined.
    pub fn pin(&self) -> &Pin {
        &self.pin
    }

    /// What the hub said when the connection was made.
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Signs with the profile's signing key.
    pub fn signer(&self) -> Result<Signer, ClientError> {
        Signer::of(&self.profile, OwnKey::Signing)
    }

    /// The raw service, for tools that check for themselves.
    pub fn exchange_service(&self) -> ExchangeServiceClient<Channel> {
        ExchangeServiceClient::new(self.channel.clone())
    }

    /// The raw service, for tools that check for themselves.
    pub fn roster_service(&self) -> RosterServiceClient<Channel> {
        RosterServiceClient::new(self.channel.clone())
    }

    /// The raw service, for tools that check for themselves.
    pub fn audience_service(&self) -> AudienceServiceClient<Channel> {
        AudienceServiceClient::new(self.channel.clone())
    }

    /// The raw service, for tools that check for themselves.
    pub fn export_service(&self) -> ExportServiceClient<Channel> {
        ExportServiceClient::new(self.channel.clone())
    }

    /// The raw service, for tools that check for themselves.
    pub fn query_service(&self) -> QueryServiceClient<Channel> {
        QueryServiceClient::new(self.channel.clone())
    }

    /// The raw service, for tools that check for themselves.
    pub fn subscription_service(&self) -> SubscriptionServiceClient<Channel> {
        SubscriptionServiceClient::new(self.channel.clone())
    }

    /// The raw service, for tools that check for themselves.
    pub fn transparency_service(&self) -> TransparencyServiceClient<Channel> {
        TransparencyServiceClient::new(self.channel.clone())
    }

    /// The keys of the log, as far as the roster was folded.
    pub(super) const fn log_keys(&self) -> &Arc<ArcSwap<LogKeys>> {
        &self.log_keys
    }

    /// Learns which keys the log has had, where a checkpoint is signed by one that is not known yet.
    pub(super) async fn learn_log_keys(&self) -> Result<(), ClientError> {
        let scratch = self.known.lock().await.clone();
        // Apart: it is seldom needed, and would make every future that may need it large.
        Box::pin(learn_log_keys(self.exchange_service(), scratch)).await.map(drop)
    }

    pub(super) fn trust(&self) -> &StdMutex<Trust> {
        &self.trust
    }

    pub(super) fn accepted(&self) -> &StdMutex<Vec<AcceptedEpoch>> {
        &self.accepted
    }

    pub(super) fn notices(&self) -> &StdMutex<Notices> {
        &self.notices
    }

    pub(super) fn batches_let_go(&self) -> &AtomicU32 {
        &self.let_go
    }

    /// Who takes part, folded up to the log's head.
    pub async fn roster(&self) -> Result<Arc<Verifier>, ClientError> {
        let mut known = self.known.lock().await;
        known.read_confirmed(&self.profile)?;
        Box::pin(self.catch_up(&mut known)).await?;
        Ok(known.verifier())
    }

    /// Saves in the profile who takes part, so that saved entries can be checked offline up to here.
    pub async fn remember_roster(&self) -> Result<(), ClientError> {
        let mut known = self.known.lock().await;
        known.touch();
        known.save(&self.profile)
    }

    /// Confirms the operator's reset of a member's keys, which the user has compared with the member; whether it was
    /// not confirmed before.
    pub async fn confirm_reset(
        &self,
        member: &MemberId,
        fingerprint: Fingerprint,
    ) -> Result<bool, ClientError> {
        let mut known = self.known.lock().await;
        let mut confirmed = self.profile.confirmed_keys()?;
        let is_new = confirmed.confirm(member, fingerprint, self.now())?;
        known.confirm(Arc::new(confirmed.resets()));
        Ok(is_new)
    }

    /// Judges entries up to this sequence: whoever changed keys before it is known.
    pub(super) async fn verifier_past(&self, sequence: u64) -> Result<Arc<Verifier>, ClientError> {
        let mut known = self.known.lock().await;
        known.read_confirmed(&self.profile)?;
        if known.position() <= sequence {
            Box::pin(self.catch_up(&mut known)).await?;
        }
        if known.position() <= sequence {
            let why = format!("it does not show its roster up to sequence {sequence}");
            return Err(VerificationError::answer(why).into());
        }
        Ok(known.verifier())
    }

    /// The roster as it is folded, for a stream that shows every roster entry itself.
    pub(super) fn known(&self) -> &Mutex<KnownRoster> {
        &self.known
    }

    /// Folds the roster entries between the known position and the head.
    async fn catch_up(&self, known: &mut KnownRoster) -> Result<(), ClientError> {
        self.fold_roster(known, self.newest_checkpoint()).await?;
        known.save(&self.profile)
    }

    /// The same without keeping it, of a log that is a continuation of what is known, if anything is.
    pub(super) async fn fold_roster(
        &self,
        known: &mut KnownRoster,
        newest: Option<Checkpoint>,
    ) -> Result<(), ClientError> {
        let filter = Filter { body_kinds: ROSTER_KINDS.to_vec(), ..Filter::default() };
        let start = Beginning { is_first: false, latest: Some(known.position()) };
        let follower = Follower { log_keys: known.log_keys(), ..self.follower() };
        let mut account = Account::new(follower, filter.digest(), start, newest);
        let mut last = None;
        let request = pb::SubscribeRequest {
            start: Some(pb::subscribe_request::Start::Sequence(known.position())),
            filter: Some(filter_to_wire(&filter)),
            known_size: newest.map_or(0, |checkpoint| checkpoint.size),
            until_head: true,
            ..pb::SubscribeRequest::default()
        };
        let mut stream = match self.exchange_service().subscribe(request).await {
            Ok(response) => response.into_inner(),
            Err(status) => return Err(rolled_back(status.into())),
        };
        while let Some(frame) = stream.message().await? {
            if let Some(mark) = &frame.mark
                && known.log_keys().load().open(&mark.checkpoint).is_err()
            {
                // What it is signed by may be put in place behind this frame.
                Box::pin(learn_log_keys(self.exchange_service(), known.clone())).await?;
            }
            let taken = take_roster(known, &mut account, &frame);
            // Of a log that was restored nothing is evidence.
            let restored = newest.is_some_and(|newest| is_of_a_later_epoch(&frame, &newest));
            if let Err(ClientError::Unverified(error)) = taken {
                return Err(self.keep_frame_of(error, &frame, restored).await.into());
            }
            if let Some((checkpoint, note)) = taken? {
                last = Some((checkpoint, note.to_owned()));
            }
        }
        // Each of its marks continues the one before: the last one stands for all.
        if let Some((checkpoint, note)) = last.filter(|_last| newest.is_some()) {
            self.remember(&checkpoint, &note, newest).await?;
        }
        Ok(())
    }

    async fn keep_frame_of(
        &self,
        error: VerificationError,
        frame: &pb::SubscribeResponse,
        is_restored: bool,
    ) -> VerificationError {
        if is_restored { error } else { self.keep_frame(error, Some(frame)).await }
    }
}

fn take_roster<'a>(
    known: &mut KnownRoster,
    account: &mut Account,
    frame: &'a pb::SubscribeResponse,
) -> Result<Option<(Checkpoint, &'a str)>, ClientError> {
    let entries = frame.entries.iter().filter(|entry| concerns_roster(entry));
    for entry in entries {
        known.fold(entry.clone())?;
    }
    let marked = follow(account, frame).map_err(VerificationError::deviation);
    if let Some(checkpoint) = marked?
        && let Some(mark) = &frame.mark
    {
        known.reach(mark.position);
        if !known.fits(&checkpoint) {
            return Err(VerificationError::deviation(Deviation::Roster).into());
        }
        return Ok(Some((checkpoint, mark.checkpoint.as_str())));
    }
    Ok(None)
}

/// Whether a frame says that the log is in a later epoch than the one that is known.
fn is_of_a_later_epoch(frame: &pb::SubscribeResponse, newest: &Checkpoint) -> bool {
    frame.mark.as_ref().is_some_and(|mark| mark.epoch > newest.epoch)
}

/// Folds, on the side, what the log says of who takes part, up to its head: the roster's copy is thrown away, and its log
/// keys, which it shares with the roster that it was copied from, stay. Each was put in place by the one before it or by
/// members; that the entry is in the log is seen when the roster itself is folded up to it.
pub(super) async fn learn_log_keys(
    mut service: ExchangeServiceClient<Channel>,
    mut scratch: KnownRoster,
) -> Result<KnownRoster, ClientError> {
    let filter = Filter { body_kinds: ROSTER_KINDS.to_vec(), ..Filter::default() };
    let request = pb::SubscribeRequest {
        start: Some(pb::subscribe_request::Start::Sequence(scratch.position())),
        filter: Some(filter_to_wire(&filter)),
        until_head: true,
        ..pb::SubscribeRequest::default()
    };
    let stream = service.subscribe(request).await;
    let mut stream = stream.map_err(|status| rolled_back(status.into()))?.into_inner();
    while let Some(frame) = stream.message().await? {
        for entry in frame.entries.into_iter().filter(concerns_roster) {
            scratch.fold(entry)?;
        }
    }
    Ok(scratch)
}

/// Follows a frame of a stream; the checkpoint of its mark, if it has one.
fn follow(
    account: &mut Account,
    frame: &pb::SubscribeResponse,
) -> Result<Option<Checkpoint>, Deviation> {
    if frame.access_changed.as_ref().is_some_and(|change| change.backfill) {
        account.begin_backfill();
    }
    let mut hidden = Hashes::of(&frame.hidden)?;
    let leaf = |entry: &pb::Entry| Some((entry.sequence, prepare(entry.clone()).ok()?.leaf_hash()));
    let leaves = frame.entries.iter().map(leaf).collect::<Option<Vec<_>>>();
    let leaves = leaves.ok_or(Deviation::Root)?;
    if !leaves.is_empty() {
        account.take(&leaves, frame.backfill, &mut hidden)?;
    }
    let marked = frame.mark.as_ref().map(|mark| account.mark(mark, hidden));
    Ok(marked.transpose()?.map(|marked| marked.checkpoint))
}

/// A hub may send withdrawals with every filter; they are not for the roster. What cannot be read is judged, not passed
/// over.
fn concerns_roster(entry: &pb::Entry) -> bool {
    let payload =
        entry.envelope.as_ref().map(|envelope| envelope.payload.as_ref()).unwrap_or_default();
    wire::header::header(payload).map_or(true, |header| header.body_kind.is_roster())
}

/// A log that ends before what it showed earlier is not the log that it was.
fn rolled_back(error: ClientError) -> ClientError {
    if let ClientError::Refused(refused) = &error
        && refused.is(Reason::CursorAhead)
    {
        return VerificationError::answer(
            "its log ends before what it showed earlier, in the same epoch",
        )
        .into();
    }
    error
}

fn welcome(
    pin: &Pin,
    log_keys: &LogKeys,
    response: pb::GetExchangeResponse,
) -> Result<Welcome, ClientError> {
    let pb::GetExchangeResponse {
        name,
        genesis,
        epoch,
        head,
        checkpoint,
        time,
        version,
        caller,
        ..
    } = response;
    let envelope = genesis.and_then(|entry| entry.envelope).unwrap_or_default();
    let same = envelope.encode_to_vec() == pin.envelope().encode_to_vec();
    if name != pin.exchange().name() || !same {
        return Err(
            VerificationError::answer("it is not the exchange that this profile joined").into()
        );
    }
    let checkpoint =
        log_keys.open(&checkpoint).map_err(|error| VerificationError::answer(error.to_string()))?;
    if (checkpoint.size, checkpoint.epoch) != (head, epoch) || epoch == 0 {
        return Err(VerificationError::answer("its head is not that of its checkpoint").into());
    }
    let caller = caller.ok_or_else(|| Refused {
        code: 7,
        reason: Reason::NotAMember.as_str().to_owned(),
        message: "the hub does not know this member".to_owned(),
        field: String::new(),
        metadata: std::collections::BTreeMap::new(),
        retry_after: None,
    })?;
    let time = time.and_then(|time| wire::time::timestamp(&time, "time").ok());
    Ok(Welcome { epoch, checkpoint, time, version, caller })
}
