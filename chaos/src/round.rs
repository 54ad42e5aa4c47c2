//! A round: start everything, let the plan happen, wait for the end, judge.

use crate::check::{Tally, Violation, check};
use crate::evidence::{Evidence, unfinished};
use crate::plan::{Fault, Plan, Timed};
use crate::process::{Process, Signal, ending};
use crate::programs::Programs;
use crate::rig::{Campaign, GRACE, Rig};
use crate::summary::Summary;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a round may take to its end after the last fault: a takeover is 22 s, and then the rest of the list is sent.
const PATIENCE: Duration = Duration::from_secs(150);
/// What a worker logs when it has joined.
const JOINED: &str = "worker::serve: sending";
/// So many mails show that sending has begun.
const FIRST_MAILS: usize = 50;
/// By then it has.
const SENDING_BEGINS: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(20);

/// Runs the round of a plan; with `keep` its folder stays even if all is well.
///
/// # Errors
/// The rig doesn't work; what the product does wrong is in the summary.
pub fn run(programs: &Programs, plan: Plan, keep: bool) -> Result<Summary> {
    let begun = Instant::now();
    let campaign = Campaign {
        rows: plan.rows,
        on_unknown: plan.on_unknown,
        reply_after: plan.reply_after.0..plan.reply_after.1,
        connections: 5,
        max_in_flight: 60,
        per_second: None,
    };
    let mut rig = Rig::new(programs, campaign, plan.brokers, plan.workers, plan.shards)?;
    let mut director = Director::new(&rig, &plan)?;
    let judged = director.direct().and_then(|()| {
        director.end();
        // What is not at its end would break every rule.
        director.violations.is_empty().then(|| Evidence::gather(&rig)).transpose()
    });
    let (faults, mut violations) = (std::mem::take(&mut director.happened), std::mem::take(&mut director.violations));
    let amid = director.amid;
    drop(director);
    let tally = match judged {
        Ok(Some(evidence)) => {
            let (found, tally) = check(&evidence);
            violations.extend(found);
            tally
        }
        Ok(None) => Tally::default(),
        Err(error) => {
            violations.push(Violation::of_all(format!("{error:#}")));
            Tally::default()
        }
    };
    let kept = (keep || !violations.is_empty()).then(|| rig.keep());
    Ok(Summary { plan, faults, tally, amid, violations, took: begun.elapsed(), kept })
}

/// A worker's place.
enum Seat {
    Running(Process),
    Frozen(Process),
    Empty,
}

/// A shard of the list.
#[derive(Default)]
struct Shard {
    producer: Option<Process>,
    lives: u32,
    done: bool,
}

/// What is to be done at a time.
#[derive(Debug, Clone, Copy)]
enum Step {
    Fault(Fault),
    Worker(usize),
    ThawWorker(usize),
    Producer(usize),
    /// The one of that number among those that were frozen.
    ThawProducer(usize),
}

struct Director<'a> {
    rig: &'a Rig,
    begun: Instant,
    steps: Vec<(Duration, Step)>,
    /// What begins with the first mails.
    later: Vec<Timed>,
    seats: Vec<Seat>,
    shards: Vec<Shard>,
    /// Producers whose shard another has taken.
    replaced: Vec<Process>,
    /// Workers that were asked to end.
    leaving: Vec<(Process, Instant)>,
    broker: Option<JoinHandle<()>>,
    happened: BTreeMap<&'static str, usize>,
    amid: usize,
    violations: Vec<Violation>,
    log: std::fs::File,
}

impl<'a> Director<'a> {
    fn new(rig: &'a Rig, plan: &Plan) -> Result<Self> {
        let (early, later): (Vec<Timed>, Vec<Timed>) =
            plan.faults.iter().copied().partition(|timed| timed.fault.is_early());
        let mut steps: Vec<(Duration, Step)> =
            early.into_iter().map(|timed| (timed.at, Step::Fault(timed.fault))).collect();
        steps.extend(plan.producers_start.iter().enumerate().map(|(shard, at)| (*at, Step::Producer(shard))));
        steps.extend((0..plan.workers).map(|worker| (Duration::ZERO, Step::Worker(worker))));
        Ok(Self {
            rig,
            begun: Instant::now(),
            steps,
            later,
            seats: (0..plan.workers).map(|_| Seat::Empty).collect(),
            shards: (0..plan.shards).map(|_| Shard::default()).collect(),
            replaced: Vec::new(),
            leaving: Vec::new(),
            broker: None,
            happened: BTreeMap::new(),
            amid: 0,
            violations: Vec::new(),
            log: std::fs::File::create(rig.folder().join("logs/faults"))?,
        })
    }

    /// Everything up to the end of the campaign.
    fn direct(&mut self) -> Result<()> {
        while !(self.steps.is_empty() && self.later.is_empty() && self.is_calm()) {
            let now = self.begun.elapsed();
            if !self.later.is_empty() && self.mails() >= FIRST_MAILS {
                self.steps.extend(self.later.drain(..).map(|timed| (now + timed.at, Step::Fault(timed.fault))));
            } else if !self.later.is_empty() && now > SENDING_BEGINS {
                self.violations.push(Violation::of_all("nothing is sent"));
            }
            if !self.move_on()? {
                std::thread::sleep(PAUSE);
            }
            self.reap();
            if !self.violations.is_empty() {
                return Ok(());
            }
        }
        self.note("nothing happens any more");
        self.wait_for_the_end()
    }

    /// Takes the next step that is due, if one is.
    fn move_on(&mut self) -> Result<bool> {
        let now = self.begun.elapsed();
        let due = self.steps.iter().enumerate().filter(|(_, (at, _))| *at <= now);
        let Some(place) = due.min_by_key(|(_, (at, _))| *at).map(|(place, _)| place) else { return Ok(false) };
        let (_, step) = self.steps.remove(place);
        self.take(step)?;
        Ok(true)
    }

    /// What the servers have so far.
    fn mails(&self) -> usize {
        self.rig.slots().iter().map(|slot| slot.sink.count()).sum()
    }

    /// Nothing is under way but the campaign.
    fn is_calm(&mut self) -> bool {
        self.broker.as_ref().is_none_or(JoinHandle::is_finished)
            && self.leaving.is_empty()
            && self.replaced.is_empty()
            && self.shards.iter().all(|shard| shard.done)
    }

    fn wait_for_the_end(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = self.rig.status();
            let is_finished = said.as_ref().is_ok_and(|status| status["finished"] == true);
            let left = if is_finished { unfinished(self.rig)? } else { u64::MAX };
            while self.move_on()? {}
            if left == 0 {
                return Ok(());
            }
            self.reap();
            if !self.violations.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                let said = said.map_or_else(|error| format!("{error:#}"), |status| status.to_string());
                let what = format!("the campaign doesn't come to its end within {} s: {said}", PATIENCE.as_secs());
                self.violations.push(Violation::of_all(what));
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Workers end in order.
    fn end(&mut self) {
        if let Some(broker) = self.broker.take()
            && broker.join().is_err()
        {
            self.violations.push(Violation::of_all("a broker didn't come back"));
        }
        let mut workers: Vec<Process> = self.seats.drain(..).filter_map(Seat::process).collect();
        self.violations.extend(Rig::stop(&mut workers).into_iter().map(Violation::of_all));
        let deadline = Instant::now() + Duration::from_secs(5);
        // What a server was sent it records, though nobody waits for its answer any more.
        while self.rig.slots().iter().any(|slot| slot.sink.open_connections() > 0) && Instant::now() < deadline {
            std::thread::sleep(PAUSE);
        }
    }

    fn take(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Fault(fault) => self.fault(fault)?,
            Step::Worker(seat) => self.seats[seat] = Seat::Running(self.rig.worker(seat)?),
            Step::ThawWorker(seat) => {
                if let Seat::Frozen(worker) = std::mem::replace(&mut self.seats[seat], Seat::Empty) {
                    self.note(&format!("{} goes on", worker.name));
                    worker.signal(Signal::CONT);
                    self.seats[seat] = Seat::Running(worker);
                }
            }
            Step::Producer(shard) => self.start_producer(shard)?,
            Step::ThawProducer(number) => {
                self.note(&format!("{} goes on", self.replaced[number].name));
                self.replaced[number].signal(Signal::CONT);
            }
        }
        Ok(())
    }

    fn start_producer(&mut self, number: usize) -> Result<()> {
        let shard = &mut self.shards[number];
        if shard.done || shard.producer.is_some() {
            return Ok(());
        }
        shard.lives += 1;
        let name = format!("producer-{number}.{}", shard.lives);
        shard.producer = Some(self.rig.producer(number, &name)?);
        Ok(())
    }

    /// Makes a fault happen, if there is still somebody to whom it can.
    fn fault(&mut self, fault: Fault) -> Result<()> {
        let now = self.begun.elapsed();
        let done = match fault {
            Fault::KillWorker { worker, back_after } => self.pick(worker).map(|(seat, mut process)| {
                process.kill();
                self.steps.push((now + back_after, Step::Worker(seat)));
                process.name.clone()
            }),
            // Somebody has to go on.
            Fault::FreezeWorker { .. } if self.running() < 2 => None,
            Fault::FreezeWorker { worker, time } => self.pick(worker).map(|(seat, process)| {
                process.signal(Signal::STOP);
                self.steps.push((now + time, Step::ThawWorker(seat)));
                let name = format!("{} for {time:?}", process.name);
                self.seats[seat] = Seat::Frozen(process);
                name
            }),
            Fault::ReplaceWorker { worker } => self.pick(worker).map(|(seat, process)| {
                process.signal(Signal::TERM);
                self.steps.push((now, Step::Worker(seat)));
                let name = process.name.clone();
                self.leaving.push((process, Instant::now()));
                name
            }),
            Fault::KillProducer { shard, back_after } => self.shards[shard].producer.take().map(|mut process| {
                process.kill();
                self.steps.push((now + back_after, Step::Producer(shard)));
                process.name.clone()
            }),
            Fault::FreezeProducer { shard, time } => self.shards[shard].producer.take().map(|process| {
                process.signal(Signal::STOP);
                self.steps.push((now + time, Step::ThawProducer(self.replaced.len())));
                self.steps.push((now, Step::Producer(shard)));
                let name = format!("{} for {time:?}", process.name);
                self.replaced.push(process);
                name
            }),
            Fault::RestartBroker { broker } => self.broker(broker, false)?,
            Fault::KillBroker { broker } => self.broker(broker, true)?,
        };
        if let Some(whom) = done {
            self.amid = self.mails();
            self.note(&format!("{} mails; {}: {whom}", self.amid, fault.kind()));
            *self.happened.entry(fault.kind()).or_insert(0) += 1;
        }
        Ok(())
    }

    /// A broker goes and comes back, while everything else goes on.
    fn broker(&mut self, number: usize, kill: bool) -> Result<Option<String>> {
        if self.broker.as_ref().is_some_and(|broker| !broker.is_finished()) {
            return Ok(None);
        }
        if let Some(before) = self.broker.take()
            && before.join().is_err()
        {
            self.violations.push(Violation::of_all("a broker didn't come back"));
        }
        let kafka = self.rig.kafka.clone();
        let thread = std::thread::Builder::new().name("broker".to_owned()).spawn(move || {
            if kill {
                kafka.kill(number);
            } else {
                kafka.stop(number);
            }
            kafka.start_again(number);
        });
        self.broker = Some(thread.context("a thread")?);
        Ok(Some(format!("broker {number}")))
    }

    fn running(&self) -> usize {
        self.seats.iter().filter(|seat| matches!(seat, Seat::Running(_))).count()
    }

    /// A running worker: that one, or the next.
    fn pick(&mut self, wanted: usize) -> Option<(usize, Process)> {
        let count = self.seats.len();
        let places = (0..count).map(|step| (wanted + step) % count);
        let place = places.into_iter().find(|place| matches!(self.seats[*place], Seat::Running(_)))?;
        std::mem::replace(&mut self.seats[place], Seat::Empty).process().map(|process| (place, process))
    }

    /// Looks who has ended, and whether they should have.
    fn reap(&mut self) {
        let mut wrong = Vec::new();
        let (mut again, now) = (Vec::new(), self.begun.elapsed());
        for (number, seat) in self.seats.iter_mut().enumerate() {
            let Seat::Running(worker) = seat else { continue };
            let Some(status) = worker.ended() else { continue };
            // Who can't reach Kafka when it starts says so and ends; on a cluster it is started again.
            if status.code() == Some(1) && !self.rig.has_logged(&worker.name, JOINED) {
                again.push((now + Duration::from_secs(1), Step::Worker(number)));
            } else {
                wrong.push(format!("{} ended by itself, with {}", worker.name, ending(status)));
            }
            *seat = Seat::Empty;
        }
        self.leaving.retain_mut(|(worker, since)| match worker.ended() {
            Some(status) if status.code().is_some_and(|code| code < 2) => false,
            Some(status) => {
                wrong.push(format!("{} was to stop and ended with {}", worker.name, ending(status)));
                false
            }
            None if since.elapsed() > GRACE => {
                wrong.push(format!("{} was to stop and didn't within {} s", worker.name, GRACE.as_secs()));
                false
            }
            None => true,
        });
        for (number, shard) in self.shards.iter_mut().enumerate() {
            let Some(producer) = &mut shard.producer else { continue };
            match producer.ended().map(|status| (status.code(), status)) {
                None => continue,
                Some((Some(0), _)) => shard.done = true,
                // As a Job does.
                Some((Some(1), _)) => again.push((now + Duration::from_secs(1), Step::Producer(number))),
                Some((_, status)) => wrong.push(format!("{} ended with {}", producer.name, ending(status))),
            }
            shard.producer = None;
        }
        for (at, step) in again {
            self.note(&format!("to be started again: {step:?}"));
            self.steps.push((at, step));
        }
        // Numbers of those that are still to be thawed stay as they are.
        if !self.steps.iter().any(|(_, step)| matches!(step, Step::ThawProducer(_))) {
            self.replaced.retain_mut(|producer| match producer.ended() {
                Some(status) if status.code().is_some_and(|code| code < 2) => false,
                Some(status) => {
                    wrong.push(format!("{} was replaced and ended with {}", producer.name, ending(status)));
                    false
                }
                None => true,
            });
        }
        self.violations.extend(wrong.into_iter().map(Violation::of_all));
    }

    fn note(&mut self, what: &str) {
        // The log is for people; a round goes on without.
        let _ = writeln!(self.log, "{} {what}", jiff::Timestamp::now());
    }
}

impl Seat {
    fn process(self) -> Option<Process> {
        match self {
            Self::Running(process) | Self::Frozen(process) => Some(process),
            Self::Empty => None,
        }
    }
}
