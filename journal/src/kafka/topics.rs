//! The topics of a campaign: created, grown, compared with what they should be. Never shrunk, and never created anew for a campaign that was begun.

use super::clients::{ANSWER, Ears};
use super::errors::{failed, failed_on};
use super::reading::Topic;
use super::{Options, Shared};
use crate::Error;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigResource, ConfigSource, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::metadata::MetadataTopic;
use std::cell::OnceCell;
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

/// Asks the brokers for changes; only from a thread that may block.
struct Administrator<'a> {
    shared: &'a Shared,
    client: OnceCell<AdminClient<Ears>>,
    runtime: tokio::runtime::Handle,
}

fn waiting() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ANSWER)).operation_timeout(Some(ANSWER))
}

/// Whether a campaign's names can be names of topics.
pub(super) fn check_names(shared: &Shared) -> Result<(), Error> {
    let longest = [&shared.names.outbox, &shared.names.outcomes, &shared.names.control].map(String::len);
    let longest = longest.into_iter().max().unwrap_or(0);
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    let name = &shared.names.outcomes;
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

/// Makes sure that the topics are there, as many partitions as are wanted, and set as they must be. Returns the largest record.
pub(super) fn ensure(shared: &Shared, options: &Options, runtime: tokio::runtime::Handle) -> Result<usize, Error> {
    let administrator = Administrator { shared, client: OnceCell::new(), runtime };
    let found = shared.find()?;
    if found.len() < 3 {
        refuse_if_begun(shared, &found)?;
    }
    let wanted = i32::try_from(options.partitions.max(1)).unwrap_or(i32::MAX);
    let there = found.get(&Topic::Outbox).copied().unwrap_or(0);
    if there > wanted {
        tracing::info!(
            topic = shared.names.outbox,
            partitions = there,
            wanted,
            "it has more partitions; they are kept"
        );
    }
    // The outbox last: who sees its partitions finds those of the outcomes.
    for (topic, partitions) in [(Topic::Control, 1), (Topic::Outcomes, wanted.max(there)), (Topic::Outbox, wanted)] {
        match found.get(&topic) {
            None => administrator.create(topic, partitions, options.replication)?,
            Some(there) if *there < partitions => administrator.grow(topic, partitions)?,
            Some(_) => {}
        }
    }
    administrator.compare(options)
}

/// Refuses a campaign that has no topics, or not all of them.
pub(super) fn must_exist(shared: &Shared) -> Result<(), Error> {
    let found = shared.find()?;
    if found.is_empty() {
        return Err(Error::NotPinned);
    }
    missing(&found).into_iter().try_for_each(|topic| shared.count_of(topic).map(drop))
}

/// The topics that were not found.
fn missing(found: &BTreeMap<Topic, i32>) -> Vec<Topic> {
    [Topic::Outbox, Topic::Outcomes, Topic::Control].into_iter().filter(|topic| !found.contains_key(topic)).collect()
}

/// The largest record that the topics of a campaign take, with nothing changed.
pub(super) fn look_at(shared: &Shared, runtime: tokio::runtime::Handle) -> Result<usize, Error> {
    let administrator = Administrator { shared, client: OnceCell::new(), runtime };
    let described = administrator.describe()?;
    Ok(largest_record(shared, described.get(&Topic::Outbox)))
}

/// A campaign that was begun is not begun anew because a topic is gone.
fn refuse_if_begun(shared: &Shared, found: &BTreeMap<Topic, i32>) -> Result<(), Error> {
    let mut begun = found.contains_key(&Topic::Control) && shared.control(|control| control.pin.is_some())?;
    for topic in [Topic::Outbox, Topic::Outcomes] {
        if found.contains_key(&topic) {
            let mut ends = super::reading::Ends::new();
            shared.ends_of(topic, &mut ends)?;
            begun |= ends.values().any(|range| range.end > 0);
        }
    }
    if !begun {
        return Ok(());
    }
    // Unless the broker that was asked is only behind the others.
    missing(found).into_iter().try_for_each(|topic| shared.count_of(topic).map(drop))
}

impl Shared {
    /// The campaign's topics that are there, and how many partitions each has.
    pub(super) fn find(&self) -> Result<BTreeMap<Topic, i32>, Error> {
        let mut found = BTreeMap::new();
        for topic in [Topic::Outbox, Topic::Outcomes, Topic::Control] {
            if let Some(count) = super::clients::partitions_of(self.prober()?, self.topic(topic))? {
                found.insert(topic, count);
            }
        }
        Ok(found)
    }
}

impl Administrator<'_> {
    /// Made when it is needed: where one can't be had, somebody else makes the topics.
    fn client(&self) -> Result<&AdminClient<Ears>, Error> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let made = self.shared.settings.admin()?;
        Ok(self.client.get_or_init(|| made))
    }

    fn create(&self, topic: Topic, partitions: i32, replication: Option<u16>) -> Result<(), Error> {
        let name = self.shared.topic(topic);
        let replication = TopicReplication::Fixed(replication.map_or(-1, i32::from));
        let mut new = NewTopic::new(name, partitions, replication);
        for (setting, value) in settings_of(topic) {
            new = new.set(setting, value);
        }
        let during = "creating the topics";
        let options = waiting();
        let done = self.runtime.block_on(self.client()?.create_topics([&new], &options));
        for result in done.map_err(|error| failed(during, error))? {
            match result {
                Ok(_) => tracing::info!(topic = name, partitions, "created"),
                // Another was faster.
                Err((_, Code::TopicAlreadyExists)) => {}
                Err((_, code)) => return Err(failed_on(during, name, KafkaError::AdminOp(code))),
            }
        }
        self.wait_for(topic, partitions)
    }

    fn grow(&self, topic: Topic, partitions: i32) -> Result<(), Error> {
        let name = self.shared.topic(topic);
        let during = "adding partitions";
        let new = NewPartitions::new(name, usize::try_from(partitions).unwrap_or(1));
        let options = waiting();
        let done = self.runtime.block_on(self.client()?.create_partitions([&new], &options));
        for result in done.map_err(|error| failed(during, error))? {
            match result {
                Ok(_) => tracing::info!(topic = name, partitions, "grown"),
                // Another was faster, as the wait will show.
                Err((_, Code::InvalidPartitions)) => {}
                Err((_, code)) => return Err(failed_on(during, name, KafkaError::AdminOp(code))),
            }
        }
        self.wait_for(topic, partitions)
    }

    /// Until every partition has a leader that answers.
    fn wait_for(&self, topic: Topic, partitions: i32) -> Result<(), Error> {
        let begun = Instant::now();
        let name = self.shared.topic(topic);
        loop {
            let prober = self.shared.prober()?;
            let metadata = prober.fetch_metadata(Some(name), ANSWER);
            let metadata = metadata.map_err(|error| failed("looking at the topics", error))?;
            let ready =
                metadata.topics().iter().filter(|found| found.name() == name).flat_map(MetadataTopic::partitions);
            if ready.filter(|partition| partition.leader() >= 0).count() >= usize::try_from(partitions).unwrap_or(1) {
                return Ok(());
            }
            if begun.elapsed() > ANSWER {
                let why = format!("{name} does not have {partitions} partitions after {} seconds", ANSWER.as_secs());
                return Err(Error::Kafka { during: "waiting for the topics", source: why.into() });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What the topics are set to. Those that may not be seen are left out.
    fn describe(&self) -> Result<BTreeMap<Topic, ConfigResource>, Error> {
        let topics = [Topic::Outbox, Topic::Outcomes, Topic::Control];
        let specifiers = topics.map(|topic| ResourceSpecifier::Topic(self.shared.topic(topic)));
        let options = waiting();
        let client = match self.client() {
            Ok(client) => client,
            Err(error) => {
                tracing::warn!(%error, "the topics' settings can't be compared with what they must be");
                return Ok(BTreeMap::new());
            }
        };
        let found = self.runtime.block_on(client.describe_configs(&specifiers, &options));
        let found = found.map_err(|error| failed("reading the topics' settings", error))?;
        let mut described = BTreeMap::new();
        for (topic, result) in topics.into_iter().zip(found) {
            match result {
                Ok(resource) => drop(described.insert(topic, resource)),
                Err(code) => {
                    let topic = self.shared.topic(topic);
                    tracing::warn!(topic, error = %KafkaError::AdminOp(code), "its settings can't be compared: the right DescribeConfigs is missing");
                }
            }
        }
        Ok(described)
    }

    /// Says what is set otherwise than it must be, and sets it. Returns the largest record.
    fn compare(&self, options: &Options) -> Result<usize, Error> {
        let described = self.describe()?;
        for (topic, resource) in &described {
            let differences = differences(settings_of(*topic), resource);
            if differences.is_empty() {
                continue;
            }
            let name = self.shared.topic(*topic);
            for (setting, is, should) in &differences {
                tracing::warn!(topic = name, setting, is, should, "the topic is set otherwise");
            }
            if let Err(error) = self.set(*topic, resource) {
                let names: Vec<&str> = differences.iter().map(|(setting, ..)| *setting).collect();
                let settings = names.join(", ");
                tracing::warn!(topic = name, settings, %error, "it can't be set; records that are still needed may be deleted");
            }
        }
        if let Some(wanted) = options.replication {
            self.compare_replication(usize::from(wanted))?;
        }
        Ok(largest_record(self.shared, described.get(&Topic::Outbox)))
    }

    /// Sets what must be set. The request replaces all settings of the topic, so the others go along.
    fn set(&self, topic: Topic, resource: &ConfigResource) -> Result<(), Error> {
        let during = "setting up a topic";
        let mut change = AlterConfig::new(ResourceSpecifier::Topic(self.shared.topic(topic)));
        for entry in resource.entries.iter().filter(|entry| entry.source == ConfigSource::DynamicTopic) {
            if let Some(value) = &entry.value {
                change = change.set(&entry.name, value);
            }
        }
        for (setting, value) in settings_of(topic) {
            change = change.set(setting, value);
        }
        let options = waiting();
        let done = self.runtime.block_on(self.client()?.alter_configs([&change], &options));
        for result in done.map_err(|error| failed(during, error))? {
            result.map_err(|(_, code)| failed_on(during, self.shared.topic(topic), KafkaError::AdminOp(code)))?;
        }
        Ok(())
    }

    fn compare_replication(&self, wanted: usize) -> Result<(), Error> {
        for topic in [Topic::Outbox, Topic::Outcomes, Topic::Control] {
            let name = self.shared.topic(topic);
            let metadata = self.shared.prober()?.fetch_metadata(Some(name), ANSWER);
            let metadata = metadata.map_err(|error| failed("looking at the topics", error))?;
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
fn largest_record(shared: &Shared, outbox: Option<&ConfigResource>) -> usize {
    let of_topic = outbox.and_then(|outbox| outbox.get("max.message.bytes")?.value.as_deref()?.parse().ok());
    let of_client = shared.settings.properties.get("message.max.bytes").and_then(|value| value.parse().ok());
    of_topic.unwrap_or(RECORD_BYTES).min(of_client.unwrap_or(usize::MAX))
}
