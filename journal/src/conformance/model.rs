//! A model of the journal in memory, and random histories that both must tell the same.
//!
//! After each operation the counts, every row, the next due time and whether anything is left must be the same; what is handed out must be
//! what the model would hand out. The model knows when a row may be claimed: never twice without a settlement or a verdict in between.

use super::{Rig, a_pin, account, after, all_rows, at, message, reply, settle_in, skipped};
use crate::{Checkpoint, Command, Entry, Error, Journal, Publisher, Queued, RowState, Tick, Worker, WorkerOptions};
use campaign::{Outcome, Reply, Settlement, spec::OnUnknown};
use jiff::Timestamp;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// One step of a history; a `seed` chooses which rows it is about.
#[derive(Debug, Clone)]
pub enum Operation {
    /// Publishes so many more rows, some of them skipped.
    Publish(u8),
    /// Ends the list.
    EndList,
    /// Replaces the publisher.
    NewPublisher,
    /// Hands out at most so many.
    Take(u8),
    /// One tick: some of what is in hand is claimed, some paced, some of what was begun is settled.
    Tick(u64),
    /// The same with a pause.
    Pause,
    /// Time goes by, in seconds.
    Wait(u8),
    /// The process is killed and started again.
    Crash(bool),
    /// The worker ends; the next takes over.
    NewWorker(bool),
    /// [`Command::ResendUnknown`], of all or some.
    Resend(Option<u64>),
    /// [`Command::DiscardUnknown`], of all or some.
    Discard(Option<u64>),
    /// [`Command::ReplayDead`], of all or by a code.
    Replay(bool),
    /// [`Command::Resume`].
    Resume,
    /// [`Command::Suspend`], or [`Command::Unsuspend`].
    Suspend(bool),
}

/// Random histories.
pub fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let operation = prop_oneof![
        4 => (0_u8..20).prop_map(Operation::Publish),
        1 => Just(Operation::EndList),
        1 => Just(Operation::NewPublisher),
        6 => (0_u8..12).prop_map(Operation::Take),
        10 => any::<u64>().prop_map(Operation::Tick),
        1 => Just(Operation::Pause),
        4 => (0_u8..30).prop_map(Operation::Wait),
        2 => any::<bool>().prop_map(Operation::Crash),
        1 => any::<bool>().prop_map(Operation::NewWorker),
        1 => any::<Option<u64>>().prop_map(Operation::Resend),
        1 => any::<Option<u64>>().prop_map(Operation::Discard),
        1 => any::<bool>().prop_map(Operation::Replay),
        2 => Just(Operation::Resume),
        1 => prop::bool::weighted(0.4).prop_map(Operation::Suspend),
    ];
    proptest::collection::vec(operation, 1..60)
}

/// Where a row of the model stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    New,
    Queued(Timestamp),
    InHand(Option<Timestamp>),
    Begun { before: Option<Timestamp>, at: Timestamp },
    Final,
}

#[derive(Debug, Clone)]
struct Mail {
    place: Place,
    attempts: u32,
    first: Option<Timestamp>,
    latest: Option<Settlement>,
}

#[derive(Debug, Default)]
struct Model {
    mails: BTreeMap<u64, Mail>,
    skipped: BTreeMap<u64, RowState>,
    checkpoint: Checkpoint,
    paused: bool,
    suspended: Option<Timestamp>,
    clock: i64,
    has_worker: bool,
}

/// Bits of a seed, a few at a time.
struct Choice(u64);

impl Choice {
    /// A number below `n`.
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Plays a history against a journal and the model.
pub async fn follows_the_model<R: Rig>(history: Vec<Operation>) {
    let (rig, journal) = R::fresh().await;
    journal.pin(a_pin()).await.expect("pinned");
    let publisher = journal.publisher(0).await.expect("a publisher");
    let options = WorkerOptions { on_unknown: OnUnknown::Hold, now: at(0) };
    let worker = journal.worker(options).await.expect("a worker");
    let model = Model { has_worker: true, ..Model::default() };
    let mut play = Play { rig, journal, publisher: Some(publisher), worker: Some(worker), in_hand: Vec::new(), model };
    for operation in history {
        play.step(operation).await;
        play.compare().await;
    }
}

struct Play<R: Rig> {
    rig: R,
    journal: R::Journal,
    publisher: Option<<R::Journal as Journal>::Publisher>,
    worker: Option<<R::Journal as Journal>::Worker>,
    in_hand: Vec<Queued>,
    model: Model,
}

impl<R: Rig> Play<R> {
    fn now(&self) -> Timestamp {
        at(self.model.clock)
    }

    async fn step(&mut self, operation: Operation) {
        match operation {
            Operation::Publish(rows) => self.publish(rows, false).await,
            Operation::EndList => self.publish(0, true).await,
            Operation::NewPublisher => {
                let older = self.publisher.replace(self.journal.publisher(0).await.expect("a publisher"));
                let mut older = older.expect("there is one");
                let fenced = older.publish(Vec::new(), *older.checkpoint()).await;
                assert!(matches!(fenced, Err(Error::Fenced)));
            }
            Operation::Take(max) => self.take(usize::from(max)).await,
            Operation::Tick(seed) => self.tick(seed, false).await,
            Operation::Pause => self.tick(u64::MAX, true).await,
            Operation::Wait(seconds) => self.model.clock += i64::from(seconds),
            Operation::Crash(resend) => self.restart(resend, true).await,
            Operation::NewWorker(resend) => self.restart(resend, false).await,
            Operation::Resend(seed) => {
                let rows = seed.map(|seed| self.some_rows(seed));
                let expected = self.model.resend(rows.as_deref());
                assert_eq!(self.journal.command(Command::ResendUnknown { rows }).await.expect("decided"), expected);
            }
            Operation::Discard(seed) => {
                let rows = seed.map(|seed| self.some_rows(seed));
                let now = self.now();
                let expected = self.model.discard(rows.as_deref(), now);
                let command = Command::DiscardUnknown { rows, at: now };
                assert_eq!(self.journal.command(command).await.expect("decided"), expected);
            }
            Operation::Replay(by_code) => {
                let expected = self.model.replay(by_code);
                let code = by_code.then(|| "451".to_owned());
                assert_eq!(self.journal.command(Command::ReplayDead { code }).await.expect("decided"), expected);
            }
            Operation::Resume => {
                let expected = self.model.resume();
                assert_eq!(self.journal.command(Command::Resume).await.expect("decided"), expected);
            }
            Operation::Suspend(on) => {
                let at = self.now();
                self.model.suspended = on.then(|| self.model.suspended.unwrap_or(at));
                let command = if on { Command::Suspend { at } } else { Command::Unsuspend };
                assert_eq!(self.journal.command(command).await.expect("decided"), 0);
            }
        }
    }

    async fn publish(&mut self, rows: u8, done: bool) {
        let before = self.model.checkpoint;
        if before.done {
            return;
        }
        let next = before.next_row.max(2);
        let entry = |row: u64| if row.is_multiple_of(6) { skipped(row) } else { Entry::Message(message(row)) };
        let entries: Vec<Entry> = (next..next + u64::from(rows)).map(entry).collect();
        let checkpoint = after(&before, &entries, done);
        for entry in &entries {
            match entry {
                Entry::Message(message) => {
                    let mail = Mail { place: Place::New, attempts: 0, first: None, latest: None };
                    self.model.mails.insert(message.row, mail);
                }
                Entry::Skipped(skipped) => {
                    self.model.skipped.insert(skipped.row, RowState::Skipped(skipped.clone()));
                }
            }
        }
        self.model.checkpoint = checkpoint;
        self.publisher.as_mut().expect("a publisher").publish(entries, checkpoint).await.expect("published");
    }

    async fn take(&mut self, max: usize) {
        let now = self.now();
        let taken = self.worker.as_mut().expect("a worker").take(max, now).await.expect("taken");
        let expected = self.model.take(max, now);
        let found: Vec<_> =
            taken.iter().map(|queued| (queued.message.row, queued.attempt, queued.first_attempt)).collect();
        assert_eq!(found, expected);
        assert!(taken.iter().all(|queued| queued.message == message(queued.message.row)));
        self.in_hand.extend(taken);
    }

    async fn tick(&mut self, seed: u64, pause: bool) {
        let (mut choice, now) = (Choice(seed), self.now());
        let mut tick = Tick { at: now, pause: pause.then(|| "a test".to_owned()), ..Tick::default() };
        self.model.paused |= pause;
        for settlement in self.model.results(&mut choice, now) {
            // Now and then one comes twice; the second time it must change nothing.
            let times = if choice.below(8) == 0 { 2 } else { 1 };
            tick.finished.extend(std::iter::repeat_n(settlement, times));
        }
        for queued in std::mem::take(&mut self.in_hand) {
            match choice.below(4) {
                0 => self.in_hand.push(queued),
                1 => {
                    let due = at(self.model.clock + i64::try_from(choice.below(20)).expect("small"));
                    self.model.pace(queued.message.row, due);
                    tick.paced.push((queued, due));
                }
                _ => {
                    self.model.claim(queued.message.row, now);
                    tick.claims.push(queued);
                }
            }
        }
        let expected = tick.claims.clone();
        let claimed = self.worker.as_mut().expect("a worker").commit(tick).await.expect("committed");
        let found: Vec<_> = claimed.iter().map(|mail| (mail.message().row, mail.attempt())).collect();
        let expected: Vec<_> = expected.iter().map(|queued| (queued.message.row, queued.attempt)).collect();
        assert_eq!(found, expected);
    }

    async fn restart(&mut self, resend: bool, crash: bool) {
        self.worker = None;
        self.in_hand.clear();
        self.model.has_worker = false;
        self.model.put_back();
        if crash {
            self.publisher = None;
            self.journal = self.rig.crash_and_reopen(self.journal.clone()).await;
            let publisher = self.journal.publisher(0).await.expect("a publisher");
            assert_eq!(*publisher.checkpoint(), self.model.checkpoint);
            self.publisher = Some(publisher);
            self.compare().await;
        }
        let on_unknown = if resend { OnUnknown::Resend } else { OnUnknown::Hold };
        let now = self.now();
        self.model.take_over(resend, now);
        self.model.has_worker = true;
        let mut worker = self.journal.worker(WorkerOptions { on_unknown, now }).await.expect("a worker");
        settle_in(&mut worker, self.model.clock).await;
        self.worker = Some(worker);
    }

    fn some_rows(&self, seed: u64) -> Vec<u64> {
        let mut choice = Choice(seed);
        let mut rows: Vec<u64> = self.model.mails.keys().copied().filter(|_| choice.below(2) == 0).collect();
        rows.push(1_000_000);
        rows
    }

    async fn compare(&mut self) {
        let counts = account(&self.journal).await;
        assert_eq!(all_rows(&self.journal).await, self.model.rows());
        assert_eq!(self.journal.published().await.expect("read"), self.model.checkpoint.done);
        assert_eq!(self.journal.paused().await.expect("read").is_some(), self.model.paused);
        assert_eq!(self.journal.suspended().await.expect("read"), self.model.suspended);
        if let Some(worker) = &mut self.worker {
            // What others did shows after a call.
            worker.take(0, at(self.model.clock)).await.expect("taken");
            assert_eq!(worker.counts(), counts);
            assert_eq!(worker.next_due(), self.model.next_due());
            assert_eq!(worker.exhausted(), self.model.exhausted());
        }
    }
}

impl Model {
    /// What stands in the journal about each row.
    fn rows(&self) -> Vec<RowState> {
        let mut rows = self.skipped.clone();
        for (row, mail) in &self.mails {
            let latest = match mail.place {
                Place::Begun { at, .. } if !self.has_worker => Some(gone(*row, mail.attempts, at)),
                _ => mail.latest.clone(),
            };
            rows.insert(*row, RowState::Message { row: *row, attempts: mail.attempts, latest });
        }
        let mut rows: Vec<RowState> = rows.into_values().collect();
        for row in &mut rows {
            // What a journal says about a dead sender is its own business.
            if let RowState::Message { latest: Some(latest), .. } = row
                && matches!(&latest.outcome, Outcome::Unknown { reply } if reply.code == 0)
            {
                latest.outcome = gone(0, 0, at(0)).outcome;
            }
        }
        rows
    }

    fn take(&mut self, max: usize, now: Timestamp) -> Vec<(u64, u32, Option<Timestamp>)> {
        if self.paused || self.suspended.is_some() {
            return Vec::new();
        }
        let mut due: Vec<_> = self
            .mails
            .iter()
            .filter_map(|(row, mail)| match mail.place {
                Place::Queued(due) if due <= now => Some((due, *row)),
                _ => None,
            })
            .collect();
        due.sort_unstable();
        let new = self.mails.iter().filter(|(_, mail)| mail.place == Place::New).map(|(row, _)| *row);
        let rows: Vec<u64> = due.iter().map(|(_, row)| *row).chain(new).take(max).collect();
        rows.into_iter()
            .map(|row| {
                let mail = self.mails.get_mut(&row).expect("it is there");
                let due = if let Place::Queued(due) = mail.place { Some(due) } else { None };
                mail.place = Place::InHand(due);
                (row, mail.attempts + 1, mail.first)
            })
            .collect()
    }

    fn claim(&mut self, row: u64, now: Timestamp) {
        let mail = self.mails.get_mut(&row).expect("it is there");
        let Place::InHand(before) = mail.place else { panic!("row {row} is claimed out of {:?}", mail.place) };
        mail.place = Place::Begun { before, at: now };
        mail.attempts += 1;
    }

    fn pace(&mut self, row: u64, due: Timestamp) {
        let mail = self.mails.get_mut(&row).expect("it is there");
        assert!(matches!(mail.place, Place::InHand(_)));
        mail.place = Place::Queued(due);
        if let Some(Settlement { outcome: Outcome::Deferred { due: shown, .. }, .. }) = &mut mail.latest {
            *shown = due;
        }
    }

    /// Settles some of what was begun.
    fn results(&mut self, choice: &mut Choice, now: Timestamp) -> Vec<Settlement> {
        let mut results = Vec::new();
        for (row, mail) in &mut self.mails {
            let Place::Begun { before, at: begun } = mail.place else { continue };
            let later = at(self.clock + i64::try_from(choice.below(25)).expect("small"));
            let outcome = match choice.below(9) {
                0 => continue,
                1 => Outcome::Deferred { due: later, reply: reply(450) },
                2 => Outcome::Rejected { reply: reply(550) },
                3 => Outcome::Refused { reply: reply(554) },
                4 => Outcome::Unknown { reply: reply(451) },
                5 => Outcome::Dead { reply: Reply::default() },
                6 => Outcome::Released,
                _ => Outcome::Delivered { reply: reply(250) },
            };
            let settlement = Settlement { row: *row, attempt: mail.attempts, at: now, backend: None, outcome };
            match &settlement.outcome {
                Outcome::Released => {
                    mail.attempts -= 1;
                    mail.place = Place::Queued(before.unwrap_or(now));
                }
                outcome => {
                    mail.first = mail.first.or(Some(begun));
                    mail.place =
                        if let Outcome::Deferred { due, .. } = outcome { Place::Queued(*due) } else { Place::Final };
                    mail.latest = Some(settlement.clone());
                }
            }
            results.push(settlement);
        }
        results
    }

    /// What was in the hands of an owner that is gone.
    fn put_back(&mut self) {
        for mail in self.mails.values_mut() {
            if let Place::InHand(before) = mail.place {
                mail.place = before.map_or(Place::New, Place::Queued);
            }
        }
    }

    /// What was begun by an owner that is gone.
    fn take_over(&mut self, resend: bool, now: Timestamp) {
        for (row, mail) in &mut self.mails {
            let Place::Begun { before, at: begun } = mail.place else { continue };
            if resend {
                mail.place = Place::Queued(before.unwrap_or(now));
                mail.first = mail.first.or(Some(begun));
            } else {
                mail.place = Place::Final;
                mail.latest = Some(gone(*row, mail.attempts, begun));
            }
        }
    }

    /// The rows of the given outcome, all or those of a list.
    fn settled_as(&mut self, rows: Option<&[u64]>, is: impl Fn(&Outcome) -> bool) -> Vec<&mut Mail> {
        let wanted = |row: &u64| rows.is_none_or(|rows| rows.contains(row));
        let settled = |mail: &Mail| mail.latest.as_ref().is_some_and(|latest| is(&latest.outcome));
        self.mails
            .iter_mut()
            .filter(|(row, mail)| wanted(row) && mail.place == Place::Final && settled(mail))
            .map(|(_, mail)| mail)
            .collect()
    }

    fn queue_again(mails: Vec<&mut Mail>) -> u64 {
        let changed = mails.len() as u64;
        for mail in mails {
            *mail = Mail {
                place: Place::Queued(Timestamp::UNIX_EPOCH),
                attempts: mail.attempts,
                first: None,
                latest: None,
            };
        }
        changed
    }

    fn resend(&mut self, rows: Option<&[u64]>) -> u64 {
        Self::queue_again(self.settled_as(rows, |outcome| matches!(outcome, Outcome::Unknown { .. })))
    }

    /// Those that a person gave up have the reply 451; those that ran out of attempts have none.
    fn replay(&mut self, by_code: bool) -> u64 {
        let wanted = |reply: &Reply| !by_code || reply.code == 451;
        Self::queue_again(self.settled_as(None, |outcome| matches!(outcome, Outcome::Dead { reply } if wanted(reply))))
    }

    fn resume(&mut self) -> u64 {
        self.paused = false;
        Self::queue_again(self.settled_as(None, |outcome| matches!(outcome, Outcome::Refused { .. })))
    }

    fn discard(&mut self, rows: Option<&[u64]>, now: Timestamp) -> u64 {
        let unknown = self.settled_as(rows, |outcome| matches!(outcome, Outcome::Unknown { .. }));
        let changed = unknown.len() as u64;
        for mail in unknown {
            let Some(latest) = &mut mail.latest else { continue };
            let reply = latest.outcome.reply().cloned().unwrap_or_default();
            (latest.at, latest.outcome) = (now, Outcome::Dead { reply });
        }
        changed
    }

    fn next_due(&self) -> Option<Timestamp> {
        let dues = self.mails.values().filter_map(|mail| match mail.place {
            Place::Queued(due) => Some(due),
            _ => None,
        });
        dues.min()
    }

    fn exhausted(&self) -> bool {
        self.checkpoint.done && self.mails.values().all(|mail| matches!(mail.place, Place::Begun { .. } | Place::Final))
    }
}

fn gone(row: u64, attempt: u32, at: Timestamp) -> Settlement {
    let reply =
        Reply { code: 0, enhanced: None, text: "the program ended before the server's answer was known".to_owned() };
    Settlement { row, attempt, at, backend: None, outcome: Outcome::Unknown { reply } }
}
