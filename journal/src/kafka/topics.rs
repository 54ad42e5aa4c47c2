//! The topics of a campaign: created, grown, compared with what they should be, deleted. Never shrunk, and never created anew for a campaign that was begun.

use super::clients::{ANSWER, is_without_leader};
use super::cluster::{Cluster, wait, waiting};
use super::reading::Topic;
use super::siblings::pin_in;
use super::{Names, Options};
use crate::Error;
use rdkafka::admin::{
    AlterConfig, ConfigResource, ConfigSource, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::metadata::MetadataTopic;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Kafka's own limit, in characters.
const LONGEST_NAME: usize = 249;
/// What a broker takes when nobody says otherwise, in bytes (`max.message.bytes`).
const RECORD_BYTES: usize = 1_048_588;

/// Mails may wait for as long as a campaign lasts.
const KEPT: [(&str, &str); 3] = [("cleanup.policy", "delete"), ("retention.ms", "-1"), ("retention.bytes", "-1")];
/// Of each key the last record is kept, for ever.
const COMPACTED: [(&str, &str); 1] = [("cleanup.policy", "compact")];

fn settings_of(topic: Topic) -> &'static [(&'static str, &'static str)] {
    match topic {
        Topic::Outbox | Topic::Outcomes => &KEPT,
        Topic::Control => &COMPACTED,
    }
}

const ALL: [Topic; 3] = [Topic::Outbox, Topic::Outcomes, Topic::Control];

/// What was made sure of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ensured {
    /// Partitions of `outbox`: as many as were wanted, or more if there were more.
    pub partitions: u32,
    /// Whether any topic was made. Its brokers may take a moment until they answer for it.
    pub created: bool,
}

/// Which topics of a campaign are there, with how many partitions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found {
    /// See [`Names::outbox`].
    pub outbox: Option<u32>,
    /// See [`Names::outcomes`].
    pub outcomes: Option<u32>,
    /// See [`Names::control`].
    pub control: Option<u32>,
}

impl Found {
    pub(super) fn of(found: BTreeMap<Topic, i32>) -> Self {
        let count = |topic| found.get(&topic).map(|count| u32::try_from(*count).unwrap_or(0));
        Self { outbox: count(Topic::Outbox), outcomes: count(Topic::Outcomes), control: count(Topic::Control) }
    }

    /// Whether all of them are there.
    pub fn is_whole(&self) -> bool {
        self.outbox.is_some() && self.outcomes.is_some() && self.control.is_some()
    }

    /// Whether none is there.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether a campaign's names can be names of topics.
pub(super) fn check_names(names: &Names) -> Result<(), Error> {
    let longest = [&names.outbox, &names.outcomes, &names.control].map(String::len);
    let longest = longest.into_iter().max().unwrap_or(0);
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    let name = &names.outcomes;
    if longest > LONGEST_NAME {
        let why = format!(
            "{name}: a topic's name has {LONGEST_NAME} characters at most, and this one has {longest}; shorten the prefix, the namespace or the campaign's name"
        );
        return Err(Error::Unsuitable { why });
    }
    if !name.chars().all(is_allowed) {
        let why = format!(
            "{name}: a topic's name has letters, digits, '.', '_' and '-' only; change the prefix, the namespace or the campaign's name"
        );
        return Err(Error::Unsuitable { why });
    }
    Ok(())
}

/// The campaign's topics that are there, and how many partitions each has.
pub(super) fn find(cluster: &Cluster, names: &Names) -> Result<BTreeMap<Topic, i32>, Error> {
    check_names(names)?;
    let mut found = BTreeMap::new();
    for topic in ALL {
        if let Some(count) = cluster.partitions_of(names.topic(topic))? {
            found.insert(topic, count);
        }
    }
    Ok(found)
}

/// Makes sure that the topics are there, as many partitions as are wanted, and set as they must be.
pub(super) fn ensure(cluster: &Cluster, names: &Names, options: &Options) -> Result<Ensured, Error> {
    let found = find(cluster, names)?;
    if found.len() < ALL.len() {
        refuse_if_begun(cluster, names, &found)?;
    }
    let wanted = i32::try_from(options.partitions.max(1)).unwrap_or(i32::MAX);
    let there = found.get(&Topic::Outbox).copied().unwrap_or(0);
    if there > wanted {
        tracing::debug!(topic = names.outbox, partitions = there, wanted, "it has more partitions; they are kept");
    }
    let partitions = wanted.max(there);
    let administrator = Administrator { cluster, names };
    let missing = missing(&found);
    if !missing.is_empty() {
        let each = |topic| (topic, if topic == Topic::Control { 1 } else { partitions });
        administrator.create(&missing.iter().copied().map(each).collect::<Vec<_>>(), options.replication)?;
    }
    // The outbox last: who sees its partitions finds those of the outcomes.
    for topic in [Topic::Outcomes, Topic::Outbox] {
        if found.get(&topic).is_some_and(|there| *there < partitions) {
            administrator.grow(topic, partitions)?;
        }
    }
    // Those that were made just now are as they must be.
    let found: Vec<Topic> = found.into_keys().collect();
    administrator.compare(&found, options.replication)?;
    Ok(Ensured { partitions: u32::try_from(partitions).unwrap_or(0), created: !missing.is_empty() })
}

/// Makes sure of the topics, and waits until they can be used. Returns the largest record that they take, in bytes.
pub(super) fn make_usable(cluster: &Cluster, names: &Names, options: &Options) -> Result<usize, Error> {
    let Ensured { partitions, created } = ensure(cluster, names, options)?;
    if created {
        let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
        let all = [(Topic::Control, 1), (Topic::Outcomes, partitions), (Topic::Outbox, partitions)];
        Administrator { cluster, names }.wait_to_use(&all)?;
    }
    largest_record(cluster, names)
}

/// Refuses a campaign that has no topics, or not all of them.
pub(super) fn must_exist(cluster: &Cluster, names: &Names) -> Result<(), Error> {
    let found = find(cluster, names)?;
    if found.is_empty() {
        return Err(Error::NotPinned);
    }
    surely_there(cluster, names, &missing(&found))
}

/// The largest record that the topics of a campaign take, with nothing changed.
pub(super) fn largest_record(cluster: &Cluster, names: &Names) -> Result<usize, Error> {
    let described = Administrator { cluster, names }.describe(&[Topic::Outbox])?;
    Ok(in_bytes(cluster, described.get(&Topic::Outbox)))
}

/// Deletes the group and the topics; what is gone already is no error.
pub(super) fn delete(cluster: &Cluster, names: &Names) -> Result<(), Error> {
    let admin = cluster.admin()?;
    let during = "deleting the campaign's group";
    let done = wait(admin.delete_groups(&[&names.group], &waiting()));
    for result in done.map_err(|error| cluster.explain(during, &names.group, error))? {
        match result {
            Ok(_) | Err((_, Code::GroupIdNotFound)) => {}
            Err((_, Code::NonEmptyGroup)) => {
                let source = format!("{}: a worker is still in it", names.group).into();
                return Err(Error::Kafka { during, source });
            }
            Err((_, code)) => return Err(cluster.explain(during, &names.group, KafkaError::AdminOp(code))),
        }
    }
    let during = "deleting the campaign's topics";
    let topics = ALL.map(|topic| names.topic(topic));
    let done = wait(admin.delete_topics(&topics, &waiting()));
    for result in done.map_err(|error| cluster.explain(during, "", error))? {
        match result {
            Ok(topic) => tracing::info!(topic, "deleted"),
            Err((_, Code::UnknownTopicOrPartition | Code::UnknownTopic)) => {}
            Err((topic, code)) => return Err(cluster.explain(during, &topic, KafkaError::AdminOp(code))),
        }
    }
    cluster.forget(&names.control);
    Ok(())
}

/// The topics that were not found.
fn missing(found: &BTreeMap<Topic, i32>) -> Vec<Topic> {
    ALL.into_iter().filter(|topic| !found.contains_key(topic)).collect()
}

/// Unless the broker that was asked is only behind the others.
fn surely_there(cluster: &Cluster, names: &Names, missing: &[Topic]) -> Result<(), Error> {
    missing.iter().try_for_each(|topic| cluster.count_of(names.topic(*topic)).map(drop))
}

/// A campaign that was begun is not begun anew because a topic is gone.
fn refuse_if_begun(cluster: &Cluster, names: &Names, found: &BTreeMap<Topic, i32>) -> Result<(), Error> {
    let mut begun = found.contains_key(&Topic::Control) && pin_in(cluster, &names.control)?.is_some();
    for topic in [Topic::Outbox, Topic::Outcomes] {
        if let Some(count) = found.get(&topic) {
            begun = begun || cluster.has_records(names.topic(topic), *count)?;
        }
    }
    if begun { surely_there(cluster, names, &missing(found)) } else { Ok(()) }
}

/// Asks the brokers for changes; only from a thread that may block.
struct Administrator<'a> {
    cluster: &'a Cluster,
    names: &'a Names,
}

impl Administrator<'_> {
    /// Makes topics with so many partitions.
    fn create(&self, topics: &[(Topic, i32)], replication: Option<u16>) -> Result<(), Error> {
        let new: Vec<NewTopic<'_>> = topics
            .iter()
            .map(|(topic, partitions)| {
                let replication = TopicReplication::Fixed(replication.map_or(-1, i32::from));
                let new = NewTopic::new(self.names.topic(*topic), *partitions, replication);
                settings_of(*topic).iter().fold(new, |new, (setting, value)| new.set(setting, value))
            })
            .collect();
        let during = "creating the topics";
        let done = wait(self.cluster.admin()?.create_topics(&new, &waiting()));
        for result in done.map_err(|error| self.cluster.explain(during, "", error))? {
            match result {
                Ok(topic) => tracing::info!(topic, "created"),
                // Another was faster.
                Err((_, Code::TopicAlreadyExists)) => {}
                Err((topic, code)) => return Err(self.cluster.explain(during, &topic, KafkaError::AdminOp(code))),
            }
        }
        self.cluster.remember(&self.names.control);
        self.wait_to_see(topics)
    }

    fn grow(&self, topic: Topic, partitions: i32) -> Result<(), Error> {
        let name = self.names.topic(topic);
        let during = "adding partitions";
        let new = NewPartitions::new(name, usize::try_from(partitions).unwrap_or(1));
        let done = wait(self.cluster.admin()?.create_partitions([&new], &waiting()));
        for result in done.map_err(|error| self.cluster.explain(during, name, error))? {
            match result {
                Ok(_) => tracing::info!(topic = name, partitions, "grown"),
                // Another was faster, as the wait will show.
                Err((_, Code::InvalidPartitions)) => {}
                Err((_, code)) => return Err(self.cluster.explain(during, name, KafkaError::AdminOp(code))),
            }
        }
        self.wait_to_see(&[(topic, partitions)])?;
        self.wait_to_use(&[(topic, partitions)])
    }

    /// Until the brokers show so many partitions.
    fn wait_to_see(&self, topics: &[(Topic, i32)]) -> Result<(), Error> {
        wait_until(|| self.not_seen(topics))
    }

    /// Until every partition has a leader that answers: a broker is told of a partition a moment before it leads it.
    fn wait_to_use(&self, topics: &[(Topic, i32)]) -> Result<(), Error> {
        wait_until(|| self.not_led(topics))
    }

    /// Which topic is not there yet, or has too few partitions.
    fn not_seen(&self, topics: &[(Topic, i32)]) -> Result<Option<String>, Error> {
        for (topic, wanted) in topics {
            let name = self.names.topic(*topic);
            let there = self.cluster.partitions_of(name)?.unwrap_or(0);
            if there < *wanted {
                return Ok(Some(format!("{name} has {there} partitions, not {wanted}")));
            }
        }
        Ok(None)
    }

    /// Which partition can't be asked anything yet.
    fn not_led(&self, topics: &[(Topic, i32)]) -> Result<Option<String>, Error> {
        let failed = |error| self.cluster.explain("waiting for the topics", &self.names.group, error);
        let mut list = TopicPartitionList::new();
        for (topic, partitions) in topics {
            for partition in 0..*partitions {
                // A question about any time will do.
                let added = list.add_partition_offset(self.names.topic(*topic), partition, Offset::Offset(0));
                added.map_err(failed)?;
            }
        }
        match self.cluster.prober()?.offsets_for_times(list, ANSWER) {
            Ok(answered) => Ok(answered.elements().iter().find_map(|element| {
                let error = element.error().err()?;
                Some(format!("{}[{}]: {error}", element.topic(), element.partition()))
            })),
            Err(error) if is_without_leader(&error) => Ok(Some(error.to_string())),
            Err(error) => Err(failed(error)),
        }
    }

    /// What the topics are set to. Those that may not be seen are left out.
    fn describe(&self, topics: &[Topic]) -> Result<BTreeMap<Topic, ConfigResource>, Error> {
        if topics.is_empty() {
            return Ok(BTreeMap::new());
        }
        let specifiers: Vec<_> =
            topics.iter().map(|topic| ResourceSpecifier::Topic(self.names.topic(*topic))).collect();
        let client = match self.cluster.admin() {
            Ok(client) => client,
            Err(error) => {
                tracing::warn!(%error, "the topics' settings can't be compared with what they must be");
                return Ok(BTreeMap::new());
            }
        };
        let found = wait(client.describe_configs(&specifiers, &waiting()));
        let found = found.map_err(|error| self.cluster.explain("reading the topics' settings", "", error))?;
        let mut described = BTreeMap::new();
        for (topic, result) in topics.iter().zip(found) {
            match result {
                Ok(resource) => drop(described.insert(*topic, resource)),
                Err(code) => {
                    let topic = self.names.topic(*topic);
                    tracing::warn!(topic, error = %KafkaError::AdminOp(code), "its settings can't be compared: the right DescribeConfigs is missing");
                }
            }
        }
        Ok(described)
    }

    /// Says what is set otherwise than it must be, and sets it.
    fn compare(&self, topics: &[Topic], replication: Option<u16>) -> Result<(), Error> {
        let described = self.describe(topics)?;
        for (topic, resource) in &described {
            let differences = differences(settings_of(*topic), resource);
            if differences.is_empty() {
                continue;
            }
            let name = self.names.topic(*topic);
            for (setting, is, should) in &differences {
                tracing::warn!(topic = name, setting, is, should, "the topic is set otherwise");
            }
            if let Err(error) = self.set(*topic, resource) {
                let names: Vec<&str> = differences.iter().map(|(setting, ..)| *setting).collect();
                let settings = names.join(", ");
                tracing::warn!(topic = name, settings, %error, "it can't be set; records that are still needed may be deleted");
            }
        }
        match replication {
            Some(wanted) => self.compare_replication(topics, usize::from(wanted)),
            None => Ok(()),
        }
    }

    /// Sets what must be set. The request replaces all settings of the topic, so the others go along.
    fn set(&self, topic: Topic, resource: &ConfigResource) -> Result<(), Error> {
        let during = "setting up a topic";
        let mut change = AlterConfig::new(ResourceSpecifier::Topic(self.names.topic(topic)));
        for entry in resource.entries.iter().filter(|entry| entry.source == ConfigSource::DynamicTopic) {
            if let Some(value) = &entry.value {
                change = change.set(&entry.name, value);
            }
        }
        for (setting, value) in settings_of(topic) {
            change = change.set(setting, value);
        }
        let name = self.names.topic(topic);
        let done = wait(self.cluster.admin()?.alter_configs([&change], &waiting()));
        for result in done.map_err(|error| self.cluster.explain(during, name, error))? {
            result.map_err(|(_, code)| self.cluster.explain(during, name, KafkaError::AdminOp(code)))?;
        }
        Ok(())
    }

    fn compare_replication(&self, topics: &[Topic], wanted: usize) -> Result<(), Error> {
        for topic in topics {
            let name = self.names.topic(*topic);
            let metadata = self.cluster.metadata(Some(name))?;
            let partitions = metadata.topics().iter().flat_map(MetadataTopic::partitions);
            if let Some(other) = partitions.map(|partition| partition.replicas().len()).find(|count| *count != wanted) {
                tracing::warn!(
                    topic = name,
                    setting = "replication factor",
                    is = other,
                    should = wanted,
                    "the topic is set otherwise"
                );
            }
        }
        Ok(())
    }
}

/// Waits until nothing is missing any more.
fn wait_until(mut missing: impl FnMut() -> Result<Option<String>, Error>) -> Result<(), Error> {
    let begun = Instant::now();
    while let Some(why) = missing()? {
        if begun.elapsed() > ANSWER {
            let why = format!("{why}, after {} seconds", ANSWER.as_secs());
            return Err(Error::Kafka { during: "waiting for the topics", source: why.into() });
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Setting, what it is, what it should be.
fn differences<'a>(
    wanted: &[(&'static str, &'static str)],
    resource: &'a ConfigResource,
) -> Vec<(&'static str, &'a str, &'static str)> {
    let differs = |(setting, should): &(&'static str, &'static str)| {
        let is = resource.get(setting)?.value.as_deref()?;
        (is != *should).then_some((*setting, is, *should))
    };
    wanted.iter().filter_map(differs).collect()
}

/// In bytes: what the topic takes, and the client if it is set to less.
fn in_bytes(cluster: &Cluster, outbox: Option<&ConfigResource>) -> usize {
    let of_topic = outbox.and_then(|outbox| outbox.get("max.message.bytes")?.value.as_deref()?.parse().ok());
    let of_client = cluster.settings.properties.get("message.max.bytes").and_then(|value| value.parse().ok());
    of_topic.unwrap_or(RECORD_BYTES).min(of_client.unwrap_or(usize::MAX))
}
