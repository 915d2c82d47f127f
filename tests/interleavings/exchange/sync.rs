//! What `src/exchange/sync.rs` takes from std and tokio, made of loom's parts.
//!
//! tokio's channels cannot be run under loom from outside, and tokio runs its own so itself. These do what their
//! documentation promises and no more: a value and who waits for it change under one lock, and who asks without waiting
//! may be told of nothing later than that.

pub(super) use loom::sync::Mutex;
pub(super) use loom::sync::RwLock;
pub(super) use loom::sync::atomic::AtomicU64;

/// One value that changes; who has seen it can wait for the next.
pub(super) mod watch {
    use std::ops::Deref;
    use std::sync::Arc;
    use std::task::Context;
    use std::task::Poll;
    use std::task::Waker;

    use loom::sync::Mutex;
    use loom::sync::MutexGuard;

    #[derive(Debug)]
    struct State<T> {
        value: T,
        version: u64,
        waiting: Vec<Waker>,
    }

    #[derive(Debug)]
    pub(in super::super) struct Sender<T>(Arc<Mutex<State<T>>>);

    #[derive(Debug)]
    pub(in super::super) struct Receiver<T> {
        state: Arc<Mutex<State<T>>>,
        seen: u64,
    }

    pub(in super::super) struct Ref<'a, T>(MutexGuard<'a, State<T>>);

    impl<T> Deref for Ref<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.0.value
        }
    }

    impl<T> Sender<T> {
        pub(in super::super) fn new(value: T) -> Self {
            Self(Arc::new(Mutex::new(State { value, version: 0, waiting: Vec::new() })))
        }

        pub(in super::super) fn send_replace(&self, value: T) -> T {
            let mut state = self.0.lock().expect("no panic");
            let old = std::mem::replace(&mut state.value, value);
            state.version += 1;
            let waiting = std::mem::take(&mut state.waiting);
            drop(state);
            waiting.into_iter().for_each(Waker::wake);
            old
        }

        pub(in super::super) fn subscribe(&self) -> Receiver<T> {
            let seen = self.0.lock().expect("no panic").version;
            Receiver { state: Arc::clone(&self.0), seen }
        }

        pub(in super::super) fn borrow(&self) -> Ref<'_, T> {
            Ref(self.0.lock().expect("no panic"))
        }
    }

    impl<T> Receiver<T> {
        pub(in super::super) fn borrow_and_update(&mut self) -> Ref<'_, T> {
            let state = self.state.lock().expect("no panic");
            self.seen = state.version;
            Ref(state)
        }

        /// Waits for a value that was not seen.
        pub(in super::super) async fn changed(&mut self) {
            std::future::poll_fn(|context| self.poll(context)).await;
        }

        fn poll(&mut self, context: &Context<'_>) -> Poll<()> {
            let mut state = self.state.lock().expect("no panic");
            if state.version == self.seen {
                state.waiting.push(context.waker().clone());
                return Poll::Pending;
            }
            self.seen = state.version;
            Poll::Ready(())
        }
    }
}

/// One value, from one to another, either of whom may be gone.
pub(super) mod oneshot {
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::Context;
    use std::task::Poll;
    use std::task::Waker;

    use loom::sync::Mutex;

    #[derive(Debug)]
    struct State<T> {
        value: Option<T>,
        sender_is_gone: bool,
        receiver_is_gone: bool,
        waiting: Option<Waker>,
    }

    #[derive(Debug)]
    pub(in super::super) struct Sender<T>(Arc<Mutex<State<T>>>);

    #[derive(Debug)]
    pub(in super::super) struct Receiver<T>(Arc<Mutex<State<T>>>);

    pub(in super::super) fn channel<T>() -> (Sender<T>, Receiver<T>) {
        let state =
            State { value: None, sender_is_gone: false, receiver_is_gone: false, waiting: None };
        let state = Arc::new(Mutex::new(state));
        (Sender(Arc::clone(&state)), Receiver(state))
    }

    impl<T> Sender<T> {
        pub(in super::super) fn is_closed(&self) -> bool {
            self.0.lock().expect("no panic").receiver_is_gone
        }

        pub(in super::super) fn send(self, value: T) -> Result<(), T> {
            let mut state = self.0.lock().expect("no panic");
            if state.receiver_is_gone {
                return Err(value);
            }
            state.value = Some(value);
            Ok(())
        }
    }

    impl<T> Drop for Sender<T> {
        fn drop(&mut self) {
            let mut state = self.0.lock().expect("no panic");
            state.sender_is_gone = true;
            let waiting = state.waiting.take();
            drop(state);
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    impl<T> Future for Receiver<T> {
        type Output = Result<T, ()>;

        fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
            let mut state = self.0.lock().expect("no panic");
            if let Some(value) = state.value.take() {
                return Poll::Ready(Ok(value));
            }
            if state.sender_is_gone {
                return Poll::Ready(Err(()));
            }
            state.waiting = Some(context.waker().clone());
            Poll::Pending
        }
    }

    impl<T> Drop for Receiver<T> {
        fn drop(&mut self) {
            let mut state = self.0.lock().expect("no panic");
            state.receiver_is_gone = true;
            let value = state.value.take();
            drop(state);
            // What nobody took ends here, and not under the lock.
            drop(value);
        }
    }
}
