//! An SMTP server that records what it gets and misbehaves on request. It runs in a thread of its own, so that any kind of test can use it.

mod command;
mod content;
mod login;
mod options;
mod session;
mod transaction;

pub use options::{Action, Keep, Moment, Phase, SinkOptions, SinkTls};

use bytes::Bytes;
use std::{
    collections::HashMap,
    fmt::Write as _,
    net::SocketAddr,
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::{Notify, watch};

/// How long [`Sink::wait_for`] waits before it calls the test failed.
const PATIENCE: Duration = Duration::from_mins(1);

/// One mail to one recipient.
#[derive(Debug, Clone)]
pub struct Received {
    /// Envelope sender, without angle brackets; empty under [`Keep::Recipients`], like all but `to`, `message_id`, `at` and `connection`.
    pub from: String,
    /// Envelope recipient, without angle brackets.
    pub to: String,
    /// The Message-ID without angle brackets; empty if there is none.
    pub message_id: String,
    /// The content as it was before dot-stuffing; empty under [`Keep::Recipients`].
    pub data: Bytes,
    /// Parameters of MAIL, e.g. `BODY=8BITMIME`.
    pub parameters: Vec<String>,
    /// When the final dot was read.
    pub at: SystemTime,
    /// The connection's number, from 1.
    pub connection: u64,
    /// The name in EHLO.
    pub helo: String,
    /// Whether the connection was encrypted.
    pub encrypted: bool,
    /// The user that logged in.
    pub user: Option<String>,
}

/// A running sink. Dropping it closes everything.
pub struct Sink {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the sessions and the test share.
struct Shared {
    options: SinkOptions,
    mails: Mutex<Vec<Received>>,
    recorded: Condvar,
    attempts: Mutex<HashMap<String, u64>>,
    log: Mutex<Log>,
    connections: AtomicU64,
    open: AtomicU64,
    most_open: AtomicU64,
    released: watch::Sender<bool>,
    stop: Notify,
}

#[derive(Default)]
struct Log {
    violations: Vec<String>,
    commands: Vec<(u64, String)>,
}

/// A lock is only poisoned when a test has already failed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Sink {
    /// Starts a sink; it listens when this returns.
    ///
    /// # Panics
    /// If the address can't be listened on.
    pub fn start(options: SinkOptions) -> Self {
        let listener = std::net::TcpListener::bind(&options.listen)
            .unwrap_or_else(|error| panic!("the sink can't listen on {}: {error}", options.listen));
        listener.set_nonblocking(true).expect("a socket that doesn't block");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            options,
            mails: Mutex::default(),
            recorded: Condvar::new(),
            attempts: Mutex::default(),
            log: Mutex::default(),
            connections: AtomicU64::new(0),
            open: AtomicU64::new(0),
            most_open: AtomicU64::new(0),
            released: watch::Sender::new(false),
            stop: Notify::new(),
        });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("sink".to_owned()).spawn(move || serve(listener, &of_thread));
        Self { address, shared, thread: Some(thread.expect("a thread")) }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// All mails so far, in the order of their final dots.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.shared.mails).clone()
    }

    /// How many mails there are.
    pub fn count(&self) -> usize {
        lock(&self.shared.mails).len()
    }

    /// How many mails each recipient got.
    pub fn per_recipient(&self) -> HashMap<String, u64> {
        let mut counts = HashMap::new();
        for mail in lock(&self.shared.mails).iter() {
            *counts.entry(mail.to.clone()).or_insert(0) += 1;
        }
        counts
    }

    /// Waits until there are at least `count` mails; blocks the thread.
    ///
    /// # Panics
    /// After a minute.
    pub fn wait_for_blocking(&self, count: usize) {
        wait(&self.shared, count);
    }

    /// Waits until there are at least `count` mails.
    ///
    /// # Panics
    /// After a minute.
    pub async fn wait_for(&self, count: usize) {
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || wait(&shared, count)).await.expect("the mails");
    }

    /// Ends every stall, now and later.
    pub fn release(&self) {
        self.shared.released.send_replace(true);
    }

    /// How many connections were opened so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many connections are open.
    pub fn open_connections(&self) -> u64 {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// How many connections were open at the same time, at most.
    pub fn most_connections(&self) -> u64 {
        self.shared.most_open.load(Ordering::SeqCst)
    }

    /// Every command with its connection, `.` for a final dot; none under [`Keep::Recipients`].
    pub fn commands(&self) -> Vec<(u64, String)> {
        lock(&self.shared.log).commands.clone()
    }

    /// How many commands begin with this word; `.` counts final dots.
    pub fn count_of(&self, verb: &str) -> usize {
        lock(&self.shared.log).commands.iter().filter(|(_, line)| line.split(' ').next() == Some(verb)).count()
    }

    /// What clients did against the protocol.
    pub fn violations(&self) -> Vec<String> {
        lock(&self.shared.log).violations.clone()
    }

    /// Fails the test if a client broke the protocol.
    ///
    /// # Panics
    /// If there are violations.
    #[track_caller]
    pub fn assert_no_violations(&self) {
        let found = self.violations().iter().fold(String::new(), |mut all, violation| {
            let _ = write!(all, "\n  {violation}");
            all
        });
        assert!(found.is_empty(), "the client broke the protocol:{found}");
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic in it was printed by itself.
            let _ = thread.join();
        }
    }
}

fn wait(shared: &Shared, count: usize) {
    let deadline = Instant::now() + PATIENCE;
    let mut mails = lock(&shared.mails);
    while mails.len() < count {
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "the sink has {} mails after a minute, not {count}", mails.len());
        mails = shared.recorded.wait_timeout(mails, left).unwrap_or_else(std::sync::PoisonError::into_inner).0;
    }
}

fn serve(listener: std::net::TcpListener, shared: &Arc<Shared>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        loop {
            tokio::select! {
                () = shared.stop.notified() => break,
                accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                    let number = shared.connections.fetch_add(1, Ordering::SeqCst) + 1;
                    let open = shared.open.fetch_add(1, Ordering::SeqCst) + 1;
                    shared.most_open.fetch_max(open, Ordering::SeqCst);
                    tokio::spawn(session::run(Arc::clone(shared), stream, number));
                }
            }
        }
    });
    runtime.shutdown_background();
}

impl Shared {
    fn violation(&self, connection: u64, text: &str) {
        lock(&self.log).violations.push(format!("connection {connection}: {text}"));
    }

    fn record(&self, mut mails: Vec<Received>) {
        if let Some(observer) = &self.options.observer {
            for mail in &mails {
                observer(mail);
            }
        }
        if self.options.keep == Keep::Recipients {
            for mail in &mut mails {
                (mail.from, mail.helo, mail.data, mail.parameters) = Default::default();
            }
        }
        lock(&self.mails).extend(mails);
        self.recorded.notify_all();
    }
}
