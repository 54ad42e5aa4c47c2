//! Other campaigns with the same namespace and name: another list, another message, another run.

use super::clients::{Sees, reader};
use super::cluster::Cluster;
use super::errors::failed;
use super::wire::{Controlled, decode_control, header};
use super::{Names, Which};
use crate::{Error, Pin};
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message as _};
use rdkafka::metadata::MetadataTopic;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};
use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// How long a transaction may hold up the reading.
const PATIENCE: Duration = Duration::from_secs(15);
/// For so long the topics' names are not asked for again: the answer is long on a broker with many.
const FRESH: Duration = Duration::from_secs(2);
const CONTROL: &str = ".control";

/// Another campaign of the same namespace and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sibling {
    /// The beginning of its uid.
    pub uid8: String,
    /// What it has pinned, if anything.
    pub pin: Option<Pin>,
    /// Whether a mail of it was claimed, so that somebody may have got it: its `outcomes` holds anything, or is gone though the campaign was begun.
    pub sent: bool,
}

/// The `control` topics of all campaigns of the cluster, as they were listed last.
#[derive(Debug, Default)]
pub(super) struct Listing {
    at: Option<Instant>,
    controls: BTreeSet<String>,
}

impl Cluster {
    /// The `control` topics whose names begin so.
    fn controls(&self, beginning: &str) -> Result<Vec<String>, Error> {
        let mut listing = self.listing.lock().unwrap_or_else(PoisonError::into_inner);
        if listing.at.is_none_or(|at| at.elapsed() > FRESH) {
            // What is made from now on is not surely in the answer.
            let at = Instant::now();
            let metadata = self.metadata(None)?;
            let names = metadata.topics().iter().map(MetadataTopic::name);
            let controls = names.filter(|name| name.ends_with(CONTROL)).map(str::to_owned).collect();
            *listing = Listing { at: Some(at), controls };
        }
        let from = listing.controls.range(beginning.to_owned()..);
        Ok(from.take_while(|name| name.starts_with(beginning)).cloned().collect())
    }

    /// A campaign was made.
    pub(super) fn remember(&self, control: &str) {
        self.listing.lock().unwrap_or_else(PoisonError::into_inner).controls.insert(control.to_owned());
    }

    /// A campaign was deleted.
    pub(super) fn forget(&self, control: &str) {
        self.listing.lock().unwrap_or_else(PoisonError::into_inner).controls.remove(control);
    }
}

/// All of them, but for the one itself.
pub(super) fn of(cluster: &Cluster, which: &Which) -> Result<Vec<Sibling>, Error> {
    let own = Names::of(which).control;
    let mut found = Vec::new();
    for control in cluster.controls(&Names::siblings(which))? {
        // Those that were deleted since are none.
        if control != own
            && let Some(uid8) = uid_of(&control, which)
            && cluster.partitions_of(&control)?.is_some()
        {
            let pin = pin_in(cluster, &control)?;
            let sent = has_sent(cluster, &control, pin.is_some())?;
            found.push(Sibling { uid8: uid8.to_owned(), pin, sent });
        }
    }
    Ok(found)
}

fn has_sent(cluster: &Cluster, control: &str, was_begun: bool) -> Result<bool, Error> {
    let outcomes = format!("{}.outcomes", control.trim_end_matches(CONTROL));
    match cluster.partitions_of(&outcomes)? {
        Some(partitions) => cluster.has_records(&outcomes, partitions),
        None => Ok(was_begun),
    }
}

/// The beginning of the uid in the name of a `control` topic of the same namespace and name.
fn uid_of<'t>(topic: &'t str, which: &Which) -> Option<&'t str> {
    let uid8 = topic.strip_prefix(&Names::siblings(which))?.strip_suffix(CONTROL)?;
    (uid8.len() == 8 && uid8.bytes().all(|digit| digit.is_ascii_hexdigit())).then_some(uid8)
}

/// What is pinned in a `control` topic that is there.
pub(super) fn pin_in(cluster: &Cluster, topic: &str) -> Result<Option<Pin>, Error> {
    let during = "looking what is pinned";
    let (low, high) = cluster.watermarks(topic, 0)?;
    if low == high {
        return Ok(None);
    }
    let reader = reader(&cluster.settings, topic.strip_suffix(CONTROL), Sees::Committed)?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Offset(low)).map_err(|error| failed(during, error))?;
    reader.assign(&list).map_err(|error| failed(during, error))?;
    let begun = Instant::now();
    let mut next = low;
    while next < high {
        match reader.poll(Duration::from_millis(20)) {
            Some(Ok(message)) => {
                if let Some(pin) = pin(&message) {
                    return Ok(Some(pin));
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) | None => {}
            Some(Err(error)) => return Err(failed(during, error)),
        }
        let position = reader.position().map_err(|error| failed(during, error))?;
        if let Some(Offset::Offset(position)) = position.elements().first().map(TopicPartitionListElem::offset) {
            next = position;
        }
        if begun.elapsed() > PATIENCE {
            let why = format!("{topic}: a transaction has been open for {} seconds", PATIENCE.as_secs());
            return Err(Error::Kafka { during, source: why.into() });
        }
    }
    Ok(None)
}

/// A pin, of whatever campaign.
fn pin(message: &BorrowedMessage<'_>) -> Option<Pin> {
    let schema = message.headers()?.iter().find(|found| found.key == header::SCHEMA)?.value?;
    match decode_control("", std::str::from_utf8(schema).ok()?, message.payload()?) {
        Ok(Controlled::Pin(pin)) => Some(pin),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use campaign::CampaignUid;

    #[test]
    fn only_control_topics_of_the_same_name_are_siblings() {
        let uid = CampaignUid::alone("hr/offers", "list", "message", None);
        let which = Which { prefix: "mc".to_owned(), namespace: "hr".to_owned(), name: "offers".to_owned(), uid };
        assert_eq!(uid_of("mc.hr.offers.0a1b2c3d.control", &which), Some("0a1b2c3d"));
        for other in ["mc.hr.offers.0a1b2c3d.outbox", "mc.hr.offers.old.control", "mc.hr.offer.0a1b2c3d.control"] {
            assert_eq!(uid_of(other, &which), None, "{other}");
        }
    }
}
