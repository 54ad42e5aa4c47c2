//! Membership of the campaign's consumer group: which partitions of `outbox` are this worker's. It reads nothing.
//!
//! A partition that is to be given away stays ours until we say so ([`Member::give`]): librdkafka tells the coordinator only then (KIP-848, and
//! cooperative rebalancing, KIP-429). So there is time to finish what was begun, and the others wait.

use crate::Error;
use crate::kafka::Shared;
use crate::kafka::clients::{ANSWER, Ears};
use crate::kafka::errors::{failed, failed_on, is_denied};
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What the group tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// These are ours from now on.
    Gained(Vec<i32>),
    /// These are wanted back: finish, then [`Member::give`].
    Wanted(Vec<i32>),
    /// These were taken away: others may have them already.
    Lost(Vec<i32>),
}

struct Context {
    ears: Ears,
    changes: Mutex<VecDeque<Change>>,
    /// The member is leaving: everything is given back at once.
    closing: AtomicBool,
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.ears.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.ears.error(error, reason);
    }

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.ears.generate_oauth_token(config)
    }
}

impl ConsumerContext for Context {
    /// Notes the change; it is carried out by [`Member::take`] and [`Member::give`].
    fn rebalance(&self, consumer: &BaseConsumer<Self>, error: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions: Vec<i32> =
            list.elements().iter().map(rdkafka::topic_partition_list::TopicPartitionListElem::partition).collect();
        let change = match error {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Change::Gained(partitions),
            _ if consumer.assignment_lost() => Change::Lost(partitions),
            _ => Change::Wanted(partitions),
        };
        tracing::debug!(?change, "the group");
        if self.closing.load(Ordering::Relaxed) {
            // What fails here ends with the client.
            let _ = match change {
                Change::Gained(_) => consumer.incremental_assign(list),
                Change::Wanted(_) | Change::Lost(_) => consumer.incremental_unassign(list),
            };
            return;
        }
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).push_back(change);
    }
}

/// A member of the group.
pub(super) struct Member {
    consumer: BaseConsumer<Context>,
    topic: String,
    /// What is wanted back and not given yet.
    owed: RefCell<Vec<i32>>,
}

impl Member {
    /// Joins.
    pub(super) fn join(shared: &Shared) -> Result<Self, Error> {
        let during = "joining the group of workers";
        let mut config = shared.consumer();
        config
            .set("isolation.level", "read_committed")
            .set("queued.max.messages.kbytes", "1024")
            .set("topic.metadata.refresh.interval.ms", "5000");
        if shared.workers.classic.load(Ordering::Relaxed) {
            config.set("partition.assignment.strategy", "cooperative-sticky").set("session.timeout.ms", "45000");
        } else {
            config.set("group.protocol", "consumer");
        }
        let context =
            Context { ears: shared.settings.ears(), changes: Mutex::default(), closing: AtomicBool::new(false) };
        let consumer: BaseConsumer<Context> =
            config.create_with_context(context).map_err(|error| failed(during, error))?;
        consumer.subscribe(&[&shared.names.outbox]).map_err(|error| failed(during, error))?;
        Ok(Self { consumer, topic: shared.names.outbox.clone(), owed: RefCell::default() })
    }

    /// Lets the client work for at most `wait`; what the group has told since the last call.
    ///
    /// # Errors
    /// The topic is gone, or this member is of no use any more.
    pub(super) fn poll(&self, wait: Duration, shared: &Shared) -> Result<Vec<Change>, Error> {
        use RDKafkaErrorCode as Code;
        match self.consumer.poll(wait) {
            Some(Err(error))
                if matches!(
                    error.rdkafka_error_code(),
                    Some(Code::UnsupportedFeature | Code::UnsupportedVersion | Code::UnsupportedAssignor)
                ) && !shared.workers.classic.swap(true, Ordering::Relaxed) =>
            {
                return Err(failed("joining by the consumer protocol; the classic one is used instead", error));
            }
            Some(Err(error @ KafkaError::MessageConsumption(Code::UnknownTopicOrPartition | Code::UnknownTopic))) => {
                tracing::debug!(%error, "the group");
                if let Some(gone) = shared.missing_topic() {
                    return Err(gone);
                }
            }
            Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                return Err(failed_on("being a member of the group of workers", &shared.names.group, error));
            }
            Some(Err(error)) if is_denied(&error) => {
                return Err(shared.explain("being a member of the group of workers", error));
            }
            Some(Err(error)) => tracing::debug!(%error, "the group"),
            // Nothing is read here; what was fetched before the partition was paused is dropped.
            Some(Ok(_)) | None => {}
        }
        let changes = self.changes();
        for change in &changes {
            if let Change::Wanted(partitions) | Change::Lost(partitions) = change {
                self.owed.borrow_mut().extend(partitions);
            }
        }
        Ok(changes)
    }

    /// Takes over what was gained, as far as the group is concerned.
    pub(super) fn take(&self, partitions: &[i32]) -> Result<(), Error> {
        let during = "taking over partitions";
        let list = self.list(partitions);
        self.consumer.incremental_assign(&list).map_err(|error| failed(during, error))?;
        self.consumer.pause(&list).map_err(|error| failed(during, error))
    }

    /// Gives partitions back, or agrees that they are lost: from now on others may have them.
    pub(super) fn give(&self, partitions: &[i32]) -> Result<(), Error> {
        self.owed.borrow_mut().retain(|partition| !partitions.contains(partition));
        let list = self.list(partitions);
        self.consumer.incremental_unassign(&list).map_err(|error| failed("giving partitions back", error))
    }

    /// Up to where `control` is committed. Asked here, where no request for new records is under way that the answer would wait for.
    pub(super) fn end_of_control(&self, shared: &Shared) -> Result<i64, Error> {
        let watermarks = self.consumer.fetch_watermarks(&shared.names.control, 0, ANSWER);
        watermarks.map(|(_, stable)| stable).map_err(|error| failed("reading control", error))
    }

    /// Who this member is now, for the offsets of a transaction. Only together with the set of partitions that is owned now, never later.
    pub(super) fn identity(&self) -> Option<ConsumerGroupMetadata> {
        self.consumer.group_metadata()
    }

    fn changes(&self) -> Vec<Change> {
        self.consumer.context().changes.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }

    fn list(&self, partitions: &[i32]) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            // Nothing is read from there: the partition is paused at once.
            let _ = list.add_partition_offset(&self.topic, *partition, Offset::Offset(0));
        }
        list
    }
}

/// The client waits, while it is closed, for an answer to everything that the group has asked.
impl Drop for Member {
    fn drop(&mut self) {
        self.consumer.context().closing.store(true, Ordering::Relaxed);
        let owed = self.owed.take();
        if !owed.is_empty() {
            let _ = self.give(&owed);
        }
        for change in self.changes() {
            let _ = match change {
                Change::Gained(partitions) => self.take(&partitions),
                Change::Wanted(partitions) | Change::Lost(partitions) => self.give(&partitions),
            };
        }
    }
}
