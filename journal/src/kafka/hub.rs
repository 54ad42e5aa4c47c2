//! All campaigns of one Kafka cluster, for who looks after many: their topics are made, found, looked at and deleted through a few clients that all
//! campaigns share.

use super::cluster::Cluster;
use super::siblings::Sibling;
use super::topics::{self, Ensured, Found};
use super::{Kafka, Names, Options, Settings, Shared, Which, blocking, siblings};
use crate::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// So many calls are under way at once, at most: each has a thread while it is.
const AT_ONCE: usize = 16;
/// How long a call waits for its turn.
const TURN: Duration = Duration::from_secs(20);
/// Kafka that could not be reached is left alone for so long.
const DOWN: Duration = Duration::from_secs(2);

/// A Kafka cluster with its campaigns. Cheap to clone: every clone has the same clients. It connects by itself, and again when the brokers have been gone;
/// it holds no connection but one while nothing is asked. No call takes longer than a minute or so; while Kafka can't be reached, most fail at once.
#[derive(Clone)]
pub struct Hub {
    cluster: Arc<Cluster>,
    turns: Arc<Semaphore>,
    /// Since when Kafka can't be reached, and why.
    down: Arc<Mutex<Option<(Instant, String)>>>,
}

impl Hub {
    /// The campaigns of a cluster. Nobody is spoken to before the first call.
    pub fn connect(settings: Settings) -> Self {
        let (cluster, turns) = (Arc::new(Cluster::new(settings)), Arc::new(Semaphore::new(AT_ONCE)));
        Self { cluster, turns, down: Arc::default() }
    }

    /// Makes sure that the topics of a campaign are there, as many partitions as are wanted, and set as they must be. What is there is left as it is, but
    /// for what must be mended. The settings in the options are not looked at.
    ///
    /// # Errors
    /// As [`Kafka::open`].
    pub async fn ensure(&self, options: &Options) -> Result<Ensured, Error> {
        let options = options.clone();
        self.ask(move |cluster| topics::ensure(cluster, &Names::of(&options.which), &options)).await
    }

    /// Which topics of a campaign are there.
    ///
    /// # Errors
    /// Kafka can't be reached or used.
    pub async fn find(&self, which: &Which) -> Result<Found, Error> {
        let names = Names::of(which);
        self.ask(move |cluster| topics::find(cluster, &names).map(Found::of)).await
    }

    /// Other campaigns of the same namespace and name. One that was made elsewhere may be missing for two seconds.
    ///
    /// # Errors
    /// Kafka can't be reached or used.
    pub async fn siblings(&self, which: &Which) -> Result<Vec<Sibling>, Error> {
        let which = which.clone();
        self.ask(move |cluster| siblings::of(cluster, &which)).await
    }

    /// Deletes the topics and the consumer group of a campaign; what is gone already is no error.
    ///
    /// # Errors
    /// Transient while a worker is in the group; then nothing was deleted.
    pub async fn delete(&self, which: &Which) -> Result<(), Error> {
        let names = Names::of(which);
        self.ask(move |cluster| topics::delete(cluster, &names)).await
    }

    /// The offset behind the last record of a campaign's `control`: as long as it is the same, nothing was written there.
    ///
    /// # Errors
    /// [`Error::TopicGone`] if there is no such topic.
    pub async fn control_end(&self, which: &Which) -> Result<i64, Error> {
        let control = Names::of(which).control;
        self.ask(move |cluster| {
            cluster.count_of(&control)?;
            cluster.watermarks(&control, 0).map(|(_, end)| end)
        })
        .await
    }

    /// [`Kafka::open`] through the clients of this hub. The settings in the options are not looked at.
    ///
    /// # Errors
    /// As [`Kafka::open`].
    pub async fn open(&self, options: &Options) -> Result<Kafka, Error> {
        let options = self.own(options);
        self.ask(move |cluster| {
            let names = Names::of(&options.which);
            let max_record_bytes = topics::make_usable(cluster, &names, &options)?;
            Ok(Kafka { shared: Arc::new(Shared::new(&options, names, max_record_bytes)) })
        })
        .await
    }

    /// [`Kafka::open_existing`] through the clients of this hub. The settings in the options are not looked at.
    ///
    /// # Errors
    /// As [`Kafka::open_existing`].
    pub async fn open_existing(&self, options: &Options) -> Result<Kafka, Error> {
        let options = self.own(options);
        self.ask(move |cluster| {
            let names = Names::of(&options.which);
            topics::must_exist(cluster, &names)?;
            let max_record_bytes = topics::largest_record(cluster, &names)?;
            Ok(Kafka { shared: Arc::new(Shared::new(&options, names, max_record_bytes)) })
        })
        .await
    }

    fn own(&self, options: &Options) -> Options {
        Options { settings: self.cluster.settings.clone(), ..options.clone() }
    }

    /// Asks the cluster something, on a thread that may block.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Cluster) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let busy = || self.unreachable(format!("no answer to others' questions within {} s", TURN.as_secs()));
        let turn = tokio::time::timeout(TURN, self.turns.clone().acquire_owned()).await.map_err(|_| busy())?;
        if let Some(why) = self.is_down() {
            return Err(self.unreachable(why));
        }
        let (cluster, down) = (self.cluster.clone(), self.down.clone());
        blocking(move || {
            let answer = cluster.contact().and_then(|()| question(&cluster));
            cluster.rest();
            *down.lock().unwrap_or_else(PoisonError::into_inner) = match &answer {
                Err(Error::Unreachable { why, .. }) => Some((Instant::now(), why.clone())),
                _ => None,
            };
            drop(turn);
            answer
        })
        .await
    }

    fn is_down(&self) -> Option<String> {
        let down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        down.as_ref().filter(|(since, _)| since.elapsed() < DOWN).map(|(_, why)| why.clone())
    }

    fn unreachable(&self, why: String) -> Error {
        Error::Unreachable { brokers: self.cluster.settings.bootstrap.clone(), why }
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("settings", &self.cluster.settings).finish_non_exhaustive()
    }
}
