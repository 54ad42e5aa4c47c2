//! What a worker looks up beside its ticks, on a thread of its own: what stands in partitions that it gains, and how far the others are.
//!
//! A look-up may wait ten seconds for a dead owner's transaction to end; the ticks of the other partitions go on meanwhile.

use super::owned::Owned;
use crate::kafka::Shared;
use crate::kafka::clients::{ANSWER, Questioner, Raw, Reader, partitions_of, place, warm_up};
use crate::kafka::errors::failed;
use crate::kafka::reading::Topic;
use crate::kafka::wire::{Mark, decode_event};
use crate::{Error, Lease, boottime};
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// What failed is looked at a second time after this.
const AGAIN: Duration = Duration::from_millis(300);

/// A client that was not needed for so long is let go.
const KEPT: Duration = Duration::from_secs(3);

/// What is to be looked up.
enum Question {
    /// What stands in a partition.
    Partition { partition: i32, tenure: u64 },
    /// How far all partitions are.
    All,
}

/// By partition: the committed offset and its mark. Partitions without are left out.
pub(super) type Marks = BTreeMap<i32, (i64, Mark)>;

/// What was found.
pub(super) enum Answer {
    /// What stands in a partition that was gained.
    Partition { tenure: u64, partition: i32, found: Result<Box<Owned>, Error> },
    /// How many partitions there are, and by partition the committed offset and its mark.
    All(Result<(i32, Marks), Error>),
}

/// The thread beside.
pub(super) struct Aside {
    ask: Sender<Question>,
    answers: Receiver<Answer>,
}

impl Aside {
    /// Starts the thread; it ends when this is dropped.
    pub(super) fn start(shared: Arc<Shared>) -> Result<Self, Error> {
        let (ask, questions) = channel();
        let (answer, answers) = channel();
        let work = move || {
            let mut desk = Desk { shared, committed: None, known: 0, used: Instant::now() };
            desk.prepare();
            while let Ok(question) = questions.recv() {
                if answer.send(desk.answer(question)).is_err() {
                    return;
                }
                desk.put_away();
            }
        };
        let thread = std::thread::Builder::new().name("kafka-aside".to_owned()).spawn(work);
        thread.map_err(|error| Error::Unsuitable { why: format!("no thread can be started: {error}") })?;
        Ok(Self { ask, answers })
    }

    /// Asks what stands in a partition.
    pub(super) fn ask_partition(&self, partition: i32, tenure: u64) {
        // The thread lives as long as `self`.
        let _ = self.ask.send(Question::Partition { partition, tenure });
    }

    /// Asks how far all are.
    pub(super) fn ask_all(&self) {
        let _ = self.ask.send(Question::All);
    }

    /// The next answer, if there is one.
    pub(super) fn answer(&self) -> Option<Answer> {
        self.answers.try_recv().ok()
    }
}

struct Desk {
    shared: Arc<Shared>,
    /// For what is gained; let go when nothing was for a while.
    committed: Option<Reader>,
    /// So many partitions of `outcomes` are known to the readers.
    known: i32,
    /// When something was gained last.
    used: Instant,
}

impl Desk {
    /// Connects in advance; what fails fails again where it matters.
    fn prepare(&mut self) {
        let shared = self.shared.clone();
        if let Ok((committed, everything)) = self.readers() {
            warm_up(committed.client(), &shared.names.outcomes);
            drop(marks(&everything, &shared.names.outbox, &[0], (ANSWER, "connecting")));
        }
    }

    /// At rest a connection costs more than making it anew.
    fn put_away(&mut self) {
        if self.used.elapsed() > KEPT {
            (self.committed, self.known) = (None, 0);
            self.shared.rest_desk(KEPT);
        }
    }

    fn answer(&mut self, question: Question) -> Answer {
        match question {
            Question::Partition { partition, tenure } => {
                self.used = Instant::now();
                let found = self.look_into(partition, tenure).map(Box::new);
                if found.is_err() {
                    // It is asked again at once.
                    std::thread::sleep(AGAIN);
                }
                Answer::Partition { tenure, partition, found }
            }
            Question::All => Answer::All(self.look_at_all()),
        }
    }

    fn readers(&mut self) -> Result<(&Reader, Arc<Questioner>), Error> {
        if self.committed.is_none() {
            self.committed = Some(self.shared.looker()?);
        }
        let committed = self.committed.as_ref().ok_or_else(|| Error::Unsuitable { why: "no reader".to_owned() })?;
        Ok((committed, self.shared.prober()?))
    }

    /// Reads where the rows of a partition stand.
    fn look_into(&mut self, partition: i32, tenure: u64) -> Result<Owned, Error> {
        let shared = self.shared.clone();
        self.learn_of(partition)?;
        let (committed, everything) = self.readers()?;
        let during = "taking over a partition";
        // Stable: it waits until the transactions have ended that hold offsets of the partition. After it, nobody else commits here any more.
        let wait = shared.timing.transaction + ANSWER;
        let mut stable = marks(committed, &shared.names.outbox, &[partition], (wait, during))?;
        let (offset, mark) = stable.remove(&partition).unzip();
        let read_at = boottime();
        let (low, high) = everything
            .fetch_watermarks(&shared.names.outcomes, partition, ANSWER)
            .map_err(|error| failed(during, error))?;
        let lease = Lease::until_unless(boottime() + shared.timing.lease, shared.workers.held_up());
        let mut owned = Owned::new(partition, tenure, lease);
        if mark.is_none() && high > low {
            tracing::warn!(partition, "the group's offset has expired; it is rebuilt from the outcomes");
        }
        let from = mark.as_ref().map_or(low, |mark: &Mark| mark.tail.max(low));
        owned.outcomes_end = high;
        if from < high {
            read(&shared, committed, partition, from..high, &mut owned)?;
        }
        // A former owner that left in order closed its leases before it said so. Whoever had looked at one just then still has the time that lies between
        // lease and takeover.
        let has_left = mark.as_ref().is_some_and(|mark| mark.at == 0);
        let margin = shared.timing.takeover.saturating_sub(shared.timing.lease);
        let over = read_at + if has_left { margin } else { shared.timing.takeover };
        owned.taken_over(offset.zip(mark.as_ref()), over);
        Ok(owned)
    }

    /// The readers learn that there are more partitions, if this is a new one.
    fn learn_of(&mut self, partition: i32) -> Result<(), Error> {
        if partition >= self.known {
            let topic = self.shared.names.outcomes.clone();
            let (committed, everything) = self.readers()?;
            partitions_of(committed, &topic)?;
            self.known = partitions_of(&everything, &topic)?.unwrap_or(0);
        }
        Ok(())
    }

    fn look_at_all(&mut self) -> Result<(i32, Marks), Error> {
        let shared = self.shared.clone();
        for other in [Topic::Outcomes, Topic::Control] {
            shared.count_of(other)?;
        }
        let count = shared.count_of(Topic::Outbox)?;
        let all: Vec<i32> = (0..count).collect();
        let found = marks(&*shared.prober()?, &shared.names.outbox, &all, (ANSWER, "looking at the others"))?;
        shared.settings.heard().reached();
        Ok((count, found))
    }
}

/// The marks of partitions, within a time.
fn marks(
    reader: &Reader,
    topic: &str,
    partitions: &[i32],
    (wait, during): (Duration, &'static str),
) -> Result<Marks, Error> {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(topic, *partition);
    }
    let found = reader.committed_offsets(list, wait).map_err(|error| failed(during, error))?;
    let mut marks = BTreeMap::new();
    for element in found.elements() {
        element.error().map_err(|error| failed(during, error))?;
        let Offset::Offset(offset) = element.offset() else { continue };
        match Mark::decode(element.metadata()) {
            Some(mark) => drop(marks.insert(element.partition(), (offset, mark))),
            // To take it for a missing one would be to send again what a newer version has sent.
            None => {
                return Err(Error::Unsuitable {
                    why: format!(
                        "the committed offset of {topic}[{}] was not written by this version of the program; upgrade it",
                        element.partition()
                    ),
                });
            }
        }
    }
    Ok(marks)
}

/// Reads the events of a range of offsets.
fn read(
    shared: &Shared,
    reader: &Reader,
    partition: i32,
    range: std::ops::Range<i64>,
    owned: &mut Owned,
) -> Result<(), Error> {
    let during = "reading the outcomes";
    let topic = &shared.names.outcomes;
    let deadline = Instant::now() + shared.timing.transaction + ANSWER * 6;
    wait_until_stable(shared, reader, (topic, partition), range.end, deadline)?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(range.start)).map_err(|error| failed(during, error))?;
    reader.assign(&list).map_err(|error| failed(during, error))?;
    let mut next = range.start;
    let result = loop {
        // The last of the range is the mark of a transaction.
        if next + 1 >= range.end {
            break Ok(());
        }
        match reader.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                next = message.offset() + 1;
                let event = Raw::of(&message, &shared.uid).and_then(|raw| decode_event(raw.schema, raw.value));
                match event {
                    Ok(event) => drop(owned.apply(message.offset(), &event)),
                    Err(why) => tracing::warn!(place = place(&message), %why, "a record is passed over"),
                }
            }
            // Behind the last record there may be more marks, and what was aborted.
            Some(Err(KafkaError::PartitionEOF(_))) => break Ok(()),
            Some(Err(error)) => break Err(failed(during, error)),
            None if Instant::now() > deadline => break Err(late(shared, topic, partition)),
            None => {}
        }
    };
    let _ = reader.unassign();
    result
}

/// Waits until no transaction hides anything below an offset. Only then is the end that a reader meets the end.
fn wait_until_stable(
    shared: &Shared,
    reader: &Reader,
    (topic, partition): (&str, i32),
    end: i64,
    deadline: Instant,
) -> Result<(), Error> {
    loop {
        let watermarks = reader.fetch_watermarks(topic, partition, ANSWER);
        let (_, stable) = watermarks.map_err(|error| failed("reading the outcomes", error))?;
        if stable >= end {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(late(shared, topic, partition));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn late(shared: &Shared, topic: &str, partition: i32) -> Error {
    Error::Unreachable {
        brokers: shared.settings.bootstrap.clone(),
        why: format!("{topic}[{partition}] could not be read in time"),
    }
}
