//! The real server within the test, with a clock whose hands the test turns.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use watchfire::model::time::Clock;
use watchfire::model::time::SystemClock;
use watchfire::model::time::Timestamp;
use watchfire::server::Config;
use watchfire::server::Exit;
use watchfire::server::ServeError;
use watchfire::server::serve;

use crate::world::World;
use crate::world::until;

/// The machine's clock, and how far its hands were turned.
struct Turned {
    true_time: SystemClock,
    ahead: Mutex<Duration>,
}

impl Clock for Turned {
    fn now(&self) -> Timestamp {
        let ahead = *self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        self.true_time.now().saturating_add(ahead)
    }

    fn monotonic(&self) -> Duration {
        self.true_time.monotonic()
    }
}

/// A hub that serves a world with such a clock.
pub(crate) struct TurnedHub {
    clock: Arc<Turned>,
    stop: CancellationToken,
    running: JoinHandle<Result<Exit, ServeError>>,
    /// Certificates are loaded again when it says so; it never does.
    _reload: watch::Sender<u64>,
}

impl TurnedHub {
    /// Serves a world whose own hub does not run, as its configuration says.
    pub(crate) async fn serve(world: &World, ahead: Duration) -> Self {
        let true_time = SystemClock::default();
        let clock = Arc::new(Turned { true_time, ahead: Mutex::new(ahead) });
        let mut config = Config::of_data(&world.data()).expect("a configuration");
        config.listen = world.address().parse().expect("an address");
        let (stop, (reload, reloads)) = (CancellationToken::new(), watch::channel(0));
        let serving: Arc<dyn Clock> = Arc::<Turned>::clone(&clock);
        let running =
            TaskTracker::new().spawn(serve(config, serving, false, stop.clone(), reloads));
        until("the hub listens", || async {
            tokio::net::TcpStream::connect(world.address()).await.is_ok().then_some(())
        })
        .await;
        Self { clock, stop, running, _reload: reload }
    }

    /// Turns the hands so far ahead of the true time.
    pub(crate) fn turn(&self, ahead: Duration) {
        *self.clock.ahead.lock().unwrap_or_else(PoisonError::into_inner) = ahead;
    }

    /// Asks the hub to stop, and waits until it has.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.running.await.expect("no panic").expect("it stops well");
    }
}
