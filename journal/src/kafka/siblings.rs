//! Other campaigns with the same namespace and name: another list, another message, another run.

use super::clients::{ANSWER, Sees};
use super::contact::first_contact;
use super::errors::failed;
use super::wire::{Controlled, decode_control, header};
use super::{Names, Shared, Which};
use crate::{Error, Pin};
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message as _};
use rdkafka::metadata::MetadataTopic;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};
use std::time::{Duration, Instant};

/// How long a transaction may hold up the reading.
const PATIENCE: Duration = Duration::from_secs(15);

/// By the beginning of the uid, with their pins.
pub(super) fn of(shared: &Shared, which: &Which) -> Result<Vec<(String, Option<Pin>)>, Error> {
    first_contact(&shared.settings)?;
    let metadata = shared.prober()?.fetch_metadata(None, ANSWER);
    let metadata = metadata.map_err(|error| failed("looking at the topics", error))?;
    let mut found = Vec::new();
    for topic in metadata.topics().iter().map(MetadataTopic::name) {
        if topic == shared.names.control {
            continue;
        }
        if let Some(uid8) = uid_of(topic, which) {
            found.push((uid8.to_owned(), pin_in(shared, topic)?));
        }
    }
    Ok(found)
}

/// The beginning of the uid in the name of a `control` topic of the same namespace and name.
fn uid_of<'t>(topic: &'t str, which: &Which) -> Option<&'t str> {
    let uid8 = topic.strip_prefix(&Names::siblings(which))?.strip_suffix(".control")?;
    (uid8.len() == 8 && uid8.bytes().all(|digit| digit.is_ascii_hexdigit())).then_some(uid8)
}

/// What is pinned in a `control` topic.
fn pin_in(shared: &Shared, topic: &str) -> Result<Option<Pin>, Error> {
    let during = "looking at the campaign's other runs";
    let ends = shared.prober()?.fetch_watermarks(topic, 0, ANSWER);
    let (low, high) = ends.map_err(|error| failed(during, error))?;
    let reader = shared.reader(Sees::Committed)?;
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
