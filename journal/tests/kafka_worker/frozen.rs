//! A worker that is frozen between sending its offsets and the commit, while its partitions go to another. It is a process of its own (`tests/victim`),
//! halted by SIGSTOP at a place that it tells.

use crate::common::{Post, Runner, Stage, TIMING, WAIT, blocking, forgetful, publish, shared};
use journal::conformance::account;
use journal::kafka::{Kafka, Timing};
use journal::{Command, Journal, RowState, Worker};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command as Process, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// The group gives a silent member's partitions away after 6 s on the rig's brokers.
const BEYOND_THE_SESSION: Duration = Duration::from_secs(9);
const END: u64 = 6_002;

/// The process.
struct Victim {
    child: Child,
    said: Receiver<String>,
    post: Post,
    /// The rows of the tick in which it was frozen, as far as its commit went through.
    frozen: BTreeSet<u64>,
}

impl Victim {
    fn start(stage: &Stage, post: &Post) -> Self {
        let mut child = Process::new(env!("CARGO_BIN_EXE_journal-victim"))
            .args(["frozen", &stage.options.settings.bootstrap, &stage.options.which.name])
            .arg(stage.options.timing.transaction.as_millis().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let out = BufReader::new(child.stdout.take().expect("its output"));
        let (say, said) = channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| say.send(line)));
        Self { child, said, post: post.clone(), frozen: BTreeSet::new() }
    }

    fn tell(&mut self, word: &str) {
        writeln!(self.child.stdin.as_mut().expect("its input"), "{word}").expect("told");
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        kill_process(Pid::from_raw(pid).expect("a pid"), signal).expect("it is there");
    }

    /// Takes in what it has said; whether that was among it.
    fn has_said(&mut self, wanted: &str) -> bool {
        let mut found = false;
        for line in self.said.try_iter() {
            found |= line == wanted;
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["sent", row] => self.post.send(row.parse().expect("a row"), "victim"),
                ["frozen", row, may] => {
                    assert_eq!(may, "false", "row {row} of the frozen tick may be sent");
                    self.frozen.insert(row.parse().expect("a row"));
                }
                _ => {}
            }
        }
        found
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // A test that failed leaves nothing behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Freezes a worker before a commit for longer than its session, beside another one; returns when all is settled.
async fn freeze(stage: &Stage, journal: &Kafka, post: &Post) -> (Victim, Runner) {
    let mut publisher = journal.publisher(0).await.expect("a publisher");
    publish(&mut publisher, 2..END, true).await;
    let mut victim = Victim::start(stage, post);
    let begun = Instant::now();
    while !victim.has_said("joined") {
        assert!(begun.elapsed() < WAIT);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut other = Runner::join(journal, "other", post).await;
    other.until("each has its half", 2, |worker| worker.share().owned == 1).await;
    victim.tell("freeze");
    other.until("it is about to commit", 2, |_| victim.has_said("before the commit")).await;
    victim.signal(Signal::STOP);

    other.longest = Duration::ZERO;
    let frozen = Instant::now();
    other.until("the session is over", 2, |_| frozen.elapsed() > BEYOND_THE_SESSION).await;
    assert!(other.longest < Duration::from_secs(2), "the other waited for {:?}", other.longest);
    victim.signal(Signal::CONT);
    victim.tell("go");
    other.until("the frozen tick is over", 2, |_| victim.has_said("thawed")).await;
    // It goes on as a member, until it leaves and the other sends what is left.
    let before = post.by("victim");
    other
        .until("it sends again", 2, |_| {
            victim.has_said("");
            post.by("victim") > before + 10
        })
        .await;
    victim.tell("stop");
    other.until("it has left", 0, |_| victim.has_said("left")).await;
    other.settle_in().await;
    other.drain().await;
    (victim, other)
}

/// The late commit counts: Kafka looked at the identity before. The lease is what keeps its mails from going out.
#[tokio::test(flavor = "multi_thread")]
async fn a_tick_that_is_committed_after_its_partition_went_to_another_is_not_sent() {
    let timing = Timing { transaction: Duration::from_secs(30), ..TIMING };
    let stage = Stage::new(blocking(shared).await, 2, timing);
    let journal = stage.pinned().await;
    let post = Post::default();
    let (victim, mut other) = freeze(&stage, &journal, &post).await;
    assert_eq!(victim.frozen.len(), 5, "the commit went through");
    let counts = account(&journal).await;
    assert_eq!((counts.unknown, counts.delivered), (5, END - 2 - 5));
    for row in &victim.frozen {
        assert_eq!(post.of(*row), Vec::<String>::new(), "row {row}");
        let state = journal.rows(*row, 1).await.expect("rows").remove(0);
        let RowState::Message { latest: Some(latest), .. } = state else { panic!("row {row} has no result") };
        assert!(matches!(latest.outcome, campaign::Outcome::Unknown { .. }));
    }
    // A person has them sent: by now that is the first time.
    let decided = journal.command(Command::ResendUnknown { rows: None }).await.expect("decided");
    assert_eq!(decided, 5);
    other.until("they are sent", 200, |_| post.sent() as u64 == END - 2).await;
    other.drain().await;
    post.holds_once(2..END);
}

/// The broker has ended the transaction meanwhile: the rows that it was to claim are nobody's, and the next owner sends them. Those whose results it
/// was to settle are unknown.
#[tokio::test(flavor = "multi_thread")]
async fn a_tick_that_the_broker_aborted_meanwhile_is_not_sent_and_its_rows_are_sent_by_another() {
    let timing = Timing { transaction: Duration::from_secs(3), ..TIMING };
    let stage = Stage::new(blocking(forgetful).await, 2, timing);
    let journal = stage.pinned().await;
    let post = Post::default();
    let (victim, _) = freeze(&stage, &journal, &post).await;
    assert!(victim.frozen.is_empty(), "{:?}", victim.frozen);
    let counts = account(&journal).await;
    // As many as it had sent by then, of the five that it takes at a time.
    assert!((1..=5).contains(&counts.unknown), "{} unknown", counts.unknown);
    assert_eq!(counts.unknown + counts.delivered, END - 2);
    post.holds_once(2..END);
}
