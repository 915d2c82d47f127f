//! Where it happens: the hub in its own process, honest members beside the attacker, and eyes on the hub's memory.

use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use crate::peers::honest::Honest;
use crate::peers::honest::Met;
use crate::peers::honest::PUBLISHER;
use crate::peers::honest::READER;
use crate::peers::raw::Dialer;
use crate::trials::Lane;
use crate::trials::Round;
use crate::world::World;

/// The member that does everything wrong.
pub(super) const ATTACKER: &str = "acme-video";
/// Where TAXII is.
pub(super) const TAXII_PORT: u16 = 7444;
/// Where the figures are.
pub(super) const METRICS_PORT: u16 = 7445;
/// Memory that one attack may cost, unless it says otherwise: docs/OPERATIONS.md, "Capacity".
pub(super) const MEMORY_MAX: u64 = 64 << 20;
/// How much longer the slowest hundredth may wait under attack.
const SLOWER_MAX: u32 = 3;
/// What the scheduler of a small machine does to anybody.
const SLACK: Duration = Duration::from_millis(20);
/// How often the hub's memory is looked at.
const BLINK: Duration = Duration::from_millis(2);

pub(super) struct Ground {
    pub(super) world: World,
    pub(super) honest: Honest,
    quiet: Met,
}

impl Ground {
    /// A hub with all its listeners, and more of its configuration.
    pub(super) async fn new(config: &str) -> Self {
        let world = Self::world(config).await;
        let honest = Honest::start(&world).await;
        let begun = Instant::now();
        tokio::time::sleep(Lane::of_this_run().choose(1, 10, 10) * Duration::from_secs(1)).await;
        let quiet = honest.since(begun);
        assert!(quiet.rounds > 0, "nobody works");
        Self { world, honest, quiet }
    }

    pub(super) async fn world(config: &str) -> World {
        let mut world = World::stopped();
        let at = |port: u16| world.address().replace("7443", &port.to_string());
        let doors = format!(
            "\n[taxii]\nlisten = \"{}\"\n[metrics]\nlisten = \"{}\"\n{config}",
            at(TAXII_PORT),
            at(METRICS_PORT)
        );
        world.configure(&doors);
        world.start(&[]).await;
        for member in [ATTACKER, PUBLISHER, READER] {
            world.admit(member, "company");
        }
        world
    }

    pub(super) fn attacker(&self) -> Dialer {
        Dialer::of(&self.world, ATTACKER)
    }

    /// How long an attack goes on.
    pub(super) fn span() -> Duration {
        Lane::of_this_run().choose(
            Duration::from_millis(700),
            Duration::from_secs(10),
            Duration::from_mins(1),
        )
    }

    /// Makes an attack, and holds what it did to the hub and to others against what it may.
    pub(super) async fn under<T>(
        &self,
        round: &mut Round,
        name: &str,
        memory: u64,
        attack: impl Future<Output = T>,
    ) -> T {
        let before = self.world.resident_bytes();
        let lines = self.world.log_text().lines().count();
        let (begun, eyes) = (Instant::now(), Eyes::on(&self.world));
        // Boxed: attacks are large, and there are many.
        let result = Box::pin(attack).await;
        let recovery = self.honest.recovered().await;
        // A hundredth of what was met in a second is one round: as long as the quiet was looked at, this is, too. What an
        // attack holds open it holds until then.
        if Lane::of_this_run() != Lane::Commit {
            tokio::time::sleep(Self::span().saturating_sub(begun.elapsed())).await;
        }
        let (met, peak) = (self.honest.since(begun), eyes.shut().max(before));
        let after = self.world.resident_bytes();
        let said = self.world.log_text().lines().count().saturating_sub(lines);
        let mib = |bytes: u64| bytes >> 20;
        let (grown, p99) = (peak - before, met.p99);
        #[expect(clippy::print_stdout, reason = "what an attack cost, for whoever looks")]
        {
            println!(
                "  {name}: {} to {} to {} MiB, p99 {p99:?} (quiet {:?}), {} rounds, again after {recovery:?}",
                mib(before),
                mib(peak),
                mib(after),
                self.quiet.p99,
                met.rounds
            );
        }
        round.note(&format!("{name}: MiB more"), mib(grown));
        round.note(&format!("{name}: MiB after"), mib(after));
        round.note(&format!("{name}: p99 ms"), p99.as_secs_f64() * 1000.0);
        round.note(&format!("{name}: worst ms"), met.worst.as_secs_f64() * 1000.0);
        round.note(&format!("{name}: recovery ms"), recovery.as_secs_f64() * 1000.0);
        round.note("quiet p99 ms", self.quiet.p99.as_secs_f64() * 1000.0);
        round.note(&format!("{name}: honest share"), met.rate / self.quiet.rate);
        assert!(grown <= memory, "{name}: {} MiB more of {}", mib(grown), mib(memory));
        let seconds = usize::try_from(begun.elapsed().as_secs()).expect("a short time");
        assert!(
            said <= seconds + 2,
            "{name}: {said} lines in {seconds} s: {}",
            self.world.log_text()
        );
        if Lane::of_this_run() != Lane::Commit {
            let most = self.quiet.p99 * SLOWER_MAX + SLACK;
            assert!(
                p99 <= most,
                "{name}: the slowest hundredth of others waited {p99:?}, not {most:?}"
            );
        }
        result
    }

    /// The honest go home content, and the hub's log, its views and its own words are in order.
    pub(super) async fn finish(self) {
        self.honest.stop().await;
        self.world.finish();
    }
}

/// Eyes on the hub's memory, on a thread of their own: a busy runtime would blink.
struct Eyes {
    shut: mpsc::Sender<()>,
    seen: JoinHandle<u64>,
}

impl Eyes {
    fn on(world: &World) -> Self {
        let (shut, open) = mpsc::channel();
        let id = world.process_id();
        let seen = std::thread::spawn(move || {
            let mut most = 0;
            while open.recv_timeout(BLINK) == Err(RecvTimeoutError::Timeout) {
                most = most.max(resident(id));
            }
            most
        });
        Self { shut, seen }
    }

    /// The most that was seen.
    fn shut(self) -> u64 {
        drop(self.shut);
        self.seen.join().expect("eyes")
    }
}

/// Bytes of memory that a process holds; none if it is gone.
pub(super) fn resident(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.unwrap_or_default() * 1024
}
