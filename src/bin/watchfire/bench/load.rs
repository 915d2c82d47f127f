//! The setting of a measurement: a hub, a publisher, and signed records.

use std::path::Path;

use tonic::transport::Channel;
use watchfire::client::Client;
use watchfire::client::Draft;
use watchfire::client::Signer;
use watchfire::model::handling::Handling;
use watchfire::model::handling::Reach;
use watchfire::model::handling::Tlp;
use watchfire::model::names::Audience;
use watchfire::model::names::RecordName;
use watchfire::model::time::Timestamp;
use watchfire::profile::OwnKey;
use watchfire::profile::Profile;
use watchfire::tls;
use watchfire::wire::pb;

use super::Args;
use super::process;
use super::process::Usage;
use crate::own_hub::Hub;

/// Platforms that the records of a spread load are on, the same number on each.
pub(crate) const PLATFORMS: u64 = 100;
const PUBLISHER: &str = "alder-video";
const SUBSCRIBER: &str = "birch-social";
/// What a record weighs without its description.
const BARE_BYTES: usize = 445;

/// A hub with two members.
pub(crate) struct Setting {
    hub: Hub,
    pub(crate) publisher: Client,
    pub(crate) subscriber: Client,
    signer: Signer,
    padding: String,
    made: u64,
    admitted: u32,
    /// The operation that questions are asked about.
    operation: Option<RecordName>,
}

impl Setting {
    pub(crate) async fn new(data: &Path, args: &Args) -> anyhow::Result<Self> {
        let mut hub = Hub::found(data, "bench")?;
        // All of the load comes from one address.
        let settings = "[connections]\nper_address = 1000\nper_member = 1000\n";
        std::fs::write(data.join("watchfired.toml"), settings)?;
        hub.start().await?;
        hub.admit(PUBLISHER, "company").await?;
        hub.admit(SUBSCRIBER, "company").await?;
        let client = async |member: &str| {
            let profile = Profile::open(&hub.profile(member))?;
            Ok::<_, anyhow::Error>(
                Client::connect(profile.at_address(Some(hub.address().to_owned()))).await?,
            )
        };
        let (publisher, subscriber) = (client(PUBLISHER).await?, client(SUBSCRIBER).await?);
        let signer = Signer::of(publisher.profile(), OwnKey::Signing)?;
        let size = usize::try_from(args.size).unwrap_or(usize::MAX);
        let padding = "x".repeat(size.saturating_sub(BARE_BYTES).min(4096));
        Ok(Self {
            hub,
            publisher,
            subscriber,
            signer,
            padding,
            made: 0,
            admitted: 0,
            operation: None,
        })
    }

    /// A connection of its own, as the subscriber.
    pub(crate) async fn channel(&self) -> anyhow::Result<Channel> {
        Ok(tls::connect(self.hub.address(), &self.subscriber.profile().tls()?).await?)
    }

    /// Connections of a further member, admitted now.
    pub(crate) async fn further_connections(
        &mut self,
        count: usize,
    ) -> anyhow::Result<Vec<Channel>> {
        self.admitted += 1;
        let member = format!("waiting-{}", self.admitted);
        self.hub.admit(&member, "company").await?;
        let profile = Profile::open(&self.hub.profile(&member))?;
        let mut channels = Vec::with_capacity(count);
        for _channel in 0..count {
            channels.push(tls::connect(self.hub.address(), &profile.tls()?).await?);
        }
        Ok(channels)
    }

    /// A further member, admitted now, on a connection of its own.
    pub(crate) async fn further_client(&mut self) -> anyhow::Result<Client> {
        self.admitted += 1;
        let member = format!("further-{}", self.admitted);
        self.hub.admit(&member, "company").await?;
        let profile = Profile::open(&self.hub.profile(&member))?;
        Ok(Client::connect(profile.at_address(Some(self.hub.address().to_owned()))).await?)
    }

    /// Kills the hub and starts it again.
    pub(crate) async fn restart(&mut self) -> anyhow::Result<()> {
        self.hub.kill()?;
        self.hub.start().await
    }

    /// Records signed so far; their values are numbered.
    pub(crate) const fn made(&self) -> u64 {
        self.made
    }

    /// The value of a record.
    pub(crate) fn value(number: u64) -> String {
        format!("n{number:012}.example")
    }

    /// Bytes that the hub's store takes on the disk.
    pub(crate) fn stored(&self) -> anyhow::Result<u64> {
        process::stored(&self.hub.store())
    }

    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        let process = self.hub.process_id().ok_or_else(|| anyhow::anyhow!("the hub is gone"))?;
        process::usage(process)
    }

    pub(crate) async fn head(&self) -> anyhow::Result<u64> {
        let request = pb::GetExchangeRequest {};
        Ok(self.publisher.roster_service().get_exchange(request).await?.into_inner().head)
    }

    /// The platform of a record of a spread load.
    pub(crate) fn platform(number: u64) -> String {
        format!("platform-{:02}.example", number % PLATFORMS)
    }

    /// Signs new records.
    pub(crate) fn sign(&mut self, count: usize) -> anyhow::Result<Vec<pb::Envelope>> {
        self.sign_with(count, Self::domain)
    }

    /// Signs new records: accounts, each on the next of many platforms.
    pub(crate) fn sign_spread(&mut self, count: usize) -> anyhow::Result<Vec<pb::Envelope>> {
        self.sign_with(count, Self::account)
    }

    /// Signs on every core.
    fn sign_with(
        &mut self,
        count: usize,
        observable: fn(u64) -> pb::Observable,
    ) -> anyhow::Result<Vec<pb::Envelope>> {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let first = self.made;
        self.made += u64::try_from(count)?;
        let now = self.publisher.now();
        let this: &Self = self;
        let numbers: Vec<u64> = (first..this.made).collect();
        std::thread::scope(|scope| {
            let workers: Vec<_> = numbers
                .chunks(count.div_ceil(cores).max(1))
                .map(|chunk| scope.spawn(move || this.sign_chunk(chunk, observable, now)))
                .collect();
            let mut all = Vec::with_capacity(count);
            for worker in workers {
                let signed =
                    worker.join().map_err(|_panicked| anyhow::anyhow!("signing failed"))?;
                all.extend(signed?);
            }
            Ok(all)
        })
    }

    fn sign_chunk(
        &self,
        numbers: &[u64],
        observable: fn(u64) -> pb::Observable,
        now: Timestamp,
    ) -> anyhow::Result<Vec<pb::Envelope>> {
        let sign = |number: &u64| Ok(self.signer.sign(self.draft(observable(*number)), now)?);
        numbers.iter().map(sign).collect()
    }

    /// A name that no record has yet.
    pub(crate) fn new_name(&self) -> RecordName {
        RecordName { member: self.signer.member().clone(), record: uuid::Uuid::now_v7() }
    }

    /// A record for all companies.
    #[expect(clippy::unused_self, reason = "drafts are the setting's")]
    pub(crate) fn draft_of(&self, name: RecordName, content: pb::body::Content) -> Draft {
        let reach = Reach { audiences: vec![Audience::companies()], ..Reach::default() };
        let handling =
            Handling { tlp: Tlp::Green, reach, onward_uses: Vec::new(), use_until: None };
        Draft { name, previous: None, handling, content }
    }

    pub(crate) fn sign_draft(&self, draft: Draft) -> anyhow::Result<pb::Envelope> {
        Ok(self.signer.sign(draft, self.publisher.now())?)
    }

    pub(crate) fn set_operation(&mut self, operation: RecordName) {
        self.operation = Some(operation);
    }

    /// The operation that questions are asked about.
    pub(crate) fn operation(&self) -> anyhow::Result<&RecordName> {
        self.operation.as_ref().ok_or_else(|| anyhow::anyhow!("no operation was published"))
    }

    /// What fills a record up to its size.
    pub(crate) fn padding(&self) -> &str {
        &self.padding
    }

    pub(crate) fn domain(number: u64) -> pb::Observable {
        pb::Observable {
            kind: pb::ObservableKind::Domain.into(),
            value: Self::value(number),
            ..pb::Observable::default()
        }
    }

    fn account(number: u64) -> pb::Observable {
        pb::Observable {
            kind: pb::ObservableKind::Account.into(),
            value: format!("n{number:012}"),
            platform: Self::platform(number),
            ..pb::Observable::default()
        }
    }

    fn draft(&self, observable: pb::Observable) -> Draft {
        Self::draft_by(&self.signer, observable, &self.padding)
    }

    /// A record for all companies, of anybody's.
    pub(crate) fn draft_by(signer: &Signer, observable: pb::Observable, padding: &str) -> Draft {
        let indicator = pb::Indicator {
            observable: Some(observable),
            description: padding.to_owned(),
            ..pb::Indicator::default()
        };
        let reach = Reach { audiences: vec![Audience::companies()], ..Reach::default() };
        Draft {
            name: RecordName { member: signer.member().clone(), record: uuid::Uuid::now_v7() },
            previous: None,
            handling: Handling { tlp: Tlp::Green, reach, onward_uses: Vec::new(), use_until: None },
            content: pb::body::Content::Indicator(indicator),
        }
    }
}
