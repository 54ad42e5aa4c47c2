//! A Kafka cluster, for questions about any campaign's topics and for changes to them: one client for each, made when it is needed. All calls block, each for
//! a time that is bounded.

use super::clients::{ANSWER, Ears, Prober, Questioner, let_go, partitions_in, surely, watermarks};
use super::errors::{explain, explain_on};
use super::settings::Settings;
use super::siblings::Listing;
use crate::Error;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::metadata::Metadata;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Who finds others at the first contact waits for so long.
const A_MOMENT: Duration = Duration::from_secs(1);
/// Nobody takes what the client for changes hears, and that piles up: so none gets older than this.
const OLD: Duration = Duration::from_mins(5);
/// And none is kept that was not used for so long.
const UNUSED: Duration = Duration::from_secs(20);

/// See the module.
pub(super) struct Cluster {
    pub(super) settings: Settings,
    contacted: Mutex<Contacted>,
    /// The first contact came to its end.
    tried: Condvar,
    prober: Prober,
    admin: Mutex<Option<Admin>>,
    pub(super) listing: Mutex<Listing>,
}

/// How far the first contact is.
#[derive(Debug, Default)]
struct Contacted {
    /// The cluster was found to be of use.
    made: bool,
    /// Since when somebody tries.
    tries: Option<Instant>,
    /// What came of it the last time.
    failed: Option<String>,
}

struct Admin {
    client: Arc<AdminClient<Ears>>,
    made: Instant,
    used: Instant,
}

impl Cluster {
    /// One that nobody has spoken to yet.
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            contacted: Mutex::default(),
            tried: Condvar::new(),
            prober: Prober::default(),
            admin: Mutex::default(),
            listing: Mutex::default(),
        }
    }

    /// Makes sure, once, that the cluster can be reached and can do what is needed. While somebody is trying that, others wait for a moment only: they may
    /// have something to do on a cluster that does answer.
    pub(super) fn contact(&self) -> Result<(), Error> {
        let mut contacted = self.contacted.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(since) = contacted.tries {
            let Some(left) = A_MOMENT.checked_sub(since.elapsed()).filter(|left| !left.is_zero()) else {
                let why = contacted.failed.clone().unwrap_or_else(|| "it has not answered yet".to_owned());
                return Err(Error::Unreachable { brokers: self.settings.bootstrap.clone(), why });
            };
            contacted = self.tried.wait_timeout(contacted, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        if contacted.made {
            return Ok(());
        }
        contacted.tries = Some(Instant::now());
        drop(contacted);
        let answer = super::contact::first_contact(&self.settings);
        let failed = match &answer {
            Err(Error::Unreachable { why, .. }) => Some(why.clone()),
            Err(other) => Some(other.to_string()),
            Ok(()) => None,
        };
        *self.contacted.lock().unwrap_or_else(PoisonError::into_inner) =
            Contacted { made: answer.is_ok(), tries: None, failed };
        self.tried.notify_all();
        answer
    }

    /// The client for questions.
    pub(super) fn prober(&self) -> Result<Arc<Questioner>, Error> {
        self.prober.get(&self.settings, None)
    }

    /// The client for changes.
    ///
    /// # Errors
    /// As [`Settings::admin`].
    pub(super) fn admin(&self) -> Result<Arc<AdminClient<Ears>>, Error> {
        let mut admin = self.admin.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = admin.as_mut().filter(|kept| kept.made.elapsed() < OLD) {
            kept.used = Instant::now();
            return Ok(kept.client.clone());
        }
        let (client, now) = (Arc::new(self.settings.admin()?), Instant::now());
        if let Some(old) = admin.replace(Admin { client: client.clone(), made: now, used: now }) {
            let_go(old.client);
        }
        Ok(client)
    }

    /// Lets the client for changes go if there was nothing to change for a while.
    pub(super) fn rest(&self) {
        let mut admin = self.admin.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = admin.take_if(|kept| kept.used.elapsed() > UNUSED || kept.made.elapsed() > OLD) {
            let_go(old.client);
        }
    }

    /// What the brokers say about one topic, or about all.
    pub(super) fn metadata(&self, topic: Option<&str>) -> Result<Metadata, Error> {
        if topic.is_some() {
            self.prober.counts_question();
        }
        let metadata = self.prober()?.fetch_metadata(topic, ANSWER);
        metadata.map_err(|error| explain(&self.settings, "looking at the topics", error))
    }

    /// The partitions of a topic; none if the broker that was asked knows of no such topic.
    pub(super) fn partitions_of(&self, topic: &str) -> Result<Option<i32>, Error> {
        partitions_in(Ok(self.metadata(Some(topic))?), topic)
    }

    /// The partitions of a topic.
    ///
    /// # Errors
    /// [`Error::TopicGone`] if there is surely no such topic.
    pub(super) fn count_of(&self, topic: &str) -> Result<i32, Error> {
        surely(|| self.partitions_of(topic))?.ok_or_else(|| Error::TopicGone { topic: topic.to_owned() })
    }

    /// Where a partition begins and ends, transactions under way included.
    pub(super) fn watermarks(&self, topic: &str, partition: i32) -> Result<(i64, i64), Error> {
        let found = watermarks(&*self.prober()?, topic, partition);
        found.map_err(|error| self.explain("looking where a topic ends", topic, error))
    }

    /// Whether a topic holds anything, or did.
    pub(super) fn has_records(&self, topic: &str, partitions: i32) -> Result<bool, Error> {
        for partition in 0..partitions {
            if self.watermarks(topic, partition)?.1 > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The error of a call about something.
    pub(super) fn explain(&self, during: &'static str, thing: &str, error: KafkaError) -> Error {
        explain_on(&self.settings, during, thing, error)
    }
}

/// Clients are let go on a thread of their own: ending one waits for its connections.
impl Drop for Cluster {
    fn drop(&mut self) {
        let_go((std::mem::take(&mut self.prober), std::mem::take(&mut self.admin)));
    }
}

/// How long changes may take.
pub(super) fn waiting() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ANSWER)).operation_timeout(Some(ANSWER))
}

/// Waits for an answer, on a thread that may block.
pub(super) fn wait<T>(answer: impl Future<Output = T>) -> T {
    tokio::runtime::Handle::current().block_on(answer)
}
