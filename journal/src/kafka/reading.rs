//! Reading topics from their beginning and going on there later: up to where they end at the moment of asking, never further, and always by hand:
//! nothing here joins the group or commits.
//!
//! Markers of transactions have offsets of their own, so how far a reader is is asked of its position, not of the records it has seen.

use super::clients::{Questioner, Reader, Sees, let_go, partitions_of, surely, watermarks};
use super::errors::failed;
use super::{Names, Shared};
use crate::Error;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long reading may come no further, so that a transaction that hangs has been ended by the broker.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often the position is asked for while nothing comes.
const LOOK: Duration = Duration::from_millis(5);

/// A topic of a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Topic {
    Outbox,
    Outcomes,
    Control,
}

/// By partition: where it begins and ends.
pub(super) type Ends = BTreeMap<(Topic, i32), Range<i64>>;

impl Names {
    /// The name of a topic.
    pub(super) fn topic(&self, topic: Topic) -> &str {
        match topic {
            Topic::Outbox => &self.outbox,
            Topic::Outcomes => &self.outcomes,
            Topic::Control => &self.control,
        }
    }
}

impl Shared {
    /// The name of a topic.
    pub(super) fn topic(&self, topic: Topic) -> &str {
        self.names.topic(topic)
    }

    /// A client for questions.
    pub(super) fn prober(&self) -> Result<Arc<Questioner>, Error> {
        self.prober.get(&self.settings, Some(&self.names.group))
    }

    /// How many partitions a topic of the campaign has.
    ///
    /// # Errors
    /// [`Error::TopicGone`] if there is surely no such topic.
    pub(super) fn count_of(&self, topic: Topic) -> Result<i32, Error> {
        let (name, prober) = (self.topic(topic), self.prober()?);
        let found = surely(|| partitions_of(&prober, name))?;
        found.ok_or_else(|| Error::TopicGone { topic: name.to_owned() })
    }

    /// Where a topic ends now, transactions under way included.
    pub(super) fn ends_of(&self, topic: Topic, ends: &mut Ends) -> Result<(), Error> {
        for partition in 0..self.count_of(topic)? {
            match watermarks(&*self.prober()?, self.topic(topic), partition) {
                Ok((low, high)) => drop(ends.insert((topic, partition), low..high)),
                Err(error) => return Err(self.verdict("looking where a topic ends", error)),
            }
        }
        Ok(())
    }

    /// An error of a client; if a topic of the campaign is missing, that.
    pub(super) fn verdict(&self, during: &'static str, error: KafkaError) -> Error {
        let missing = if is_about_a_missing_topic(&error) { self.missing_topic() } else { None };
        missing.unwrap_or_else(|| self.explain(during, error))
    }

    /// [`Error::TopicGone`], if one of the campaign's topics is.
    pub(super) fn missing_topic(&self) -> Option<Error> {
        let gone = |topic| self.count_of(topic).err().filter(|error| matches!(error, Error::TopicGone { .. }));
        [Topic::Control, Topic::Outcomes, Topic::Outbox].into_iter().find_map(gone)
    }
}

fn is_about_a_missing_topic(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    let code = error.rdkafka_error_code();
    matches!(code, Some(Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicOrPartition))
}

/// A reader of committed records that keeps its place. It has a client only while there is something to read.
#[derive(Default)]
pub(super) struct Follower {
    /// The client, and when it had something to read last.
    reader: Option<(Reader, Instant)>,
    /// By partition: everything below was read.
    places: BTreeMap<(Topic, i32), i64>,
}

impl Follower {
    /// Lets the client go if it had nothing to read for so long: it would ask the broker for more as long as it is there.
    pub(super) fn rest(&mut self, unused: Duration) {
        if let Some(reader) = self.reader.take_if(|(_, used)| used.elapsed() > unused) {
            let_go(reader);
        }
    }

    /// Reads on until it has passed `ends`, waiting for transactions that are under way before them.
    pub(super) fn read_to(
        &mut self,
        shared: &Shared,
        ends: &Ends,
        mut take: impl FnMut(Topic, &BorrowedMessage<'_>),
    ) -> Result<(), Error> {
        let during = "reading the topics";
        self.assign(shared, ends)?;
        let (mut last_step, mut last_error) = (Instant::now(), None);
        while let Some(behind) = self.behind(ends) {
            let Some((reader, used)) = &mut self.reader else { break };
            *used = Instant::now();
            match reader.poll(LOOK) {
                Some(Ok(message)) => {
                    let topic = topic_of(shared, message.topic());
                    take(topic, &message);
                    self.places.insert((topic, message.partition()), message.offset() + 1);
                    last_step = Instant::now();
                }
                Some(Err(KafkaError::PartitionEOF(_))) | None => {
                    if look(shared, reader, &mut self.places)? {
                        last_step = Instant::now();
                    }
                }
                Some(Err(error)) => match shared.verdict(during, error) {
                    passing if passing.is_transient() => last_error = Some(passing),
                    lasting => return Err(lasting),
                },
            }
            if last_step.elapsed() > PATIENCE {
                let (topic, partition) = behind;
                let place = format!("{}[{partition}]", shared.topic(topic));
                let why = format!("{place}: a transaction has been open for {} seconds", PATIENCE.as_secs());
                return Err(last_error.unwrap_or(Error::Kafka { during, source: why.into() }));
            }
        }
        Ok(())
    }

    /// A partition that is not read to its end.
    fn behind(&self, ends: &Ends) -> Option<(Topic, i32)> {
        let is_behind = |(place, range): &(&(Topic, i32), &Range<i64>)| {
            !range.is_empty() && self.places.get(*place).is_none_or(|next| *next < range.end)
        };
        ends.iter().find(is_behind).map(|(place, _)| *place)
    }

    /// Takes in partitions that are new, and makes the client if there is something to read.
    fn assign(&mut self, shared: &Shared, ends: &Ends) -> Result<(), Error> {
        let during = "reading the topics";
        let mut changed = false;
        for (place, range) in ends {
            match self.places.get(place) {
                // It was deleted, and somebody made it anew.
                Some(next) if *next > range.end => {
                    return Err(Error::TopicGone { topic: shared.topic(place.0).to_owned() });
                }
                Some(_) => {}
                None => {
                    self.places.insert(*place, range.start);
                    changed = true;
                }
            }
        }
        if changed && let Some(reader) = self.reader.take() {
            let_go(reader);
        }
        if self.reader.is_none() && self.behind(ends).is_some() {
            let reader = shared.reader(Sees::Committed)?;
            let mut list = TopicPartitionList::new();
            for ((topic, partition), next) in &self.places {
                // A number, not "the beginning": a client that is new would ask for that only half a second later.
                let added = list.add_partition_offset(shared.topic(*topic), *partition, Offset::Offset(*next));
                added.map_err(|error| failed(during, error))?;
            }
            reader.assign(&list).map_err(|error| failed(during, error))?;
            self.reader = Some((reader, Instant::now()));
        }
        Ok(())
    }
}

/// Asks the reader how far it is, markers included; whether it came further.
fn look(shared: &Shared, reader: &Reader, places: &mut BTreeMap<(Topic, i32), i64>) -> Result<bool, Error> {
    let positions = reader.position().map_err(|error| failed("asking for the position", error))?;
    let mut further = false;
    for element in positions.elements() {
        let Offset::Offset(position) = element.offset() else { continue };
        let place = (topic_of(shared, element.topic()), element.partition());
        if let Some(next) = places.get_mut(&place)
            && *next < position
        {
            *next = position;
            further = true;
        }
    }
    Ok(further)
}

fn topic_of(shared: &Shared, name: &str) -> Topic {
    if name == shared.names.outbox {
        Topic::Outbox
    } else if name == shared.names.outcomes {
        Topic::Outcomes
    } else {
        Topic::Control
    }
}
