//! Ways to hand a mail over, and the choice among them.
//!
//! A [`Backend`] takes one mail and says what became of it in the terms of [`Failure`]; it knows nothing of retries, other backends or the journal.
//! [`Backends`] are those of a campaign, built from its spec.

pub(crate) mod breaker;
mod build;
pub(crate) mod choose;
mod http;
mod maildir;
mod smtp;

use crate::{Gate, metrics::Phases};
use bytes::Bytes;
use campaign::{Contents, EmailAddress, Fields, Mistake, Reply, spec};
use futures::future::BoxFuture;
use letter::Letter;
use std::{path::Path, sync::Arc, time::Duration};

/// A way to hand mails over.
pub trait Backend: Send + Sync + 'static {
    /// Hands over one mail. It asks `gate` before it begins, and again before it writes what makes the mail deliverable (the final dot, the end of a
    /// body); when the gate gives up on the reply, so does it.
    ///
    /// # Errors
    /// Why the mail was not, or perhaps not, taken.
    fn send<'a>(&'a self, mail: Mail<'a>, gate: &'a Gate) -> BoxFuture<'a, Result<Reply, Failure>>;

    /// From now on tells how long connections and mails take, if it knows.
    fn observe(&self, _phases: &Phases) {}

    /// Says goodbye to whoever it is connected to; nothing is sent any more.
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// One mail for a backend.
#[derive(Debug, Clone, Copy)]
pub struct Mail<'a> {
    /// The envelope, and the parts for those who build a mail of their own. Its bytes have moved to `content`.
    pub letter: &'a Letter,
    /// The mail (RFC 5322). Cheap to clone.
    pub content: &'a Bytes,
    /// The row's values, for request bodies.
    pub fields: &'a Fields,
}

/// Why a mail was not, or perhaps not, taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What that means for the mail.
    pub kind: Kind,
    /// What the server or the network said; holds no secret.
    pub reply: Reply,
    /// Whether it is the backend that failed, rather than this mail: counts against its breaker.
    pub backend_failed: bool,
    /// How long the server asked to be left alone.
    pub retry_after: Option<Duration>,
}

/// What a failure means for the mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing of it was handed over: no connection, or a server that takes no mail now.
    NotBegun,
    /// Not delivered: the connection was lost, or the server gave up, on the way. Another backend may be tried at once.
    Cut,
    /// Not delivered, or sure to be delivered once only; may succeed later.
    Transient,
    /// Not delivered: the recipient's address is bad.
    Rejected,
    /// Not delivered: the sender is misconfigured or blocked, as seen by this mail (5.7.x).
    Refused,
    /// Not delivered: the sender as such is refused (greeting, AUTH, MAIL FROM); no other mail would fare better.
    SenderRefused,
    /// Perhaps delivered: the connection was lost after the last byte and before the reply.
    Unknown,
    /// Not delivered: no request can be made of this mail. Trying again won't help.
    Unsendable,
    /// Not delivered: the gate closed before the last byte.
    Stopped,
}

impl Failure {
    /// The backend failed, whatever the mail.
    pub fn of_backend(kind: Kind, reply: Reply) -> Self {
        Self { kind, reply, backend_failed: true, retry_after: None }
    }

    /// It is about this mail; the backend works.
    pub fn of_mail(kind: Kind, reply: Reply) -> Self {
        Self { kind, reply, backend_failed: false, retry_after: None }
    }

    /// The gate closed before the mail was handed over.
    pub fn stopped() -> Self {
        let text = "stopped before it was sent".to_owned();
        Self::of_mail(Kind::Stopped, Reply { code: 0, enhanced: None, text })
    }
}

/// A backend with its name and its place among the others.
pub(crate) struct Member {
    pub(crate) name: Arc<str>,
    /// For people: host and port, a URL, a folder.
    pub(crate) address: String,
    pub(crate) priority: u32,
    pub(crate) weight: u32,
    /// Mails it can take at the same time.
    pub(crate) connections: usize,
    /// Probes after which it is given up, if they are fewer than the campaign's attempts: what is local doesn't come back by waiting.
    pub(crate) patience: Option<u32>,
    pub(crate) backend: Box<dyn Backend>,
}

/// The backends of a campaign.
pub struct Backends {
    pub(crate) members: Vec<Member>,
}

impl Backends {
    /// The backends of `spec.delivery.backends`. Secrets and certificates are looked up in `contents`, folders are relative to its directory; `from`
    /// gives the default name for EHLO. Connects to nothing.
    ///
    /// # Errors
    /// Every mistake in every backend, each with its field path.
    pub fn build(backends: &[spec::Backend], contents: &Contents, from: &EmailAddress) -> Result<Self, Vec<Mistake>> {
        build::build(backends, contents, from)
    }

    /// The folder that takes the mails of a rehearsal, in Maildir format. Made when the first mail comes.
    pub fn outbox(directory: &Path) -> Self {
        let outbox = maildir::Maildir::rehearsal(directory);
        let mut backends = Self::new("outbox", directory.display().to_string(), maildir::CONNECTIONS, outbox);
        backends.members[0].patience = Some(1);
        backends
    }

    /// One backend of one's own making; `connections` is how many mails it can take at the same time.
    pub fn new(name: &str, address: impl Into<String>, connections: usize, backend: impl Backend) -> Self {
        Self { members: Vec::new() }.with(name, address, (0, 1), connections, backend)
    }

    /// One more, with its priority (lower first) and weight.
    #[must_use]
    pub fn with(
        self,
        name: &str,
        address: impl Into<String>,
        place: (u32, u32),
        connections: usize,
        backend: impl Backend,
    ) -> Self {
        self.with_boxed(name, address.into(), place, connections, Box::new(backend))
    }

    fn with_boxed(
        mut self,
        name: &str,
        address: String,
        (priority, weight): (u32, u32),
        connections: usize,
        backend: Box<dyn Backend>,
    ) -> Self {
        self.members.push(Member {
            name: name.into(),
            address,
            priority,
            weight: weight.max(1),
            connections: connections.max(1),
            patience: None,
            backend,
        });
        self
    }
}
