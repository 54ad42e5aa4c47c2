//! Random histories, as the embedded journal plays them too: the Kafka journal and the model must tell the same.

use crate::common::{Stage, TIMING, blocking, shared};
use journal::conformance::{Operation, Rig, follows_the_model, operations};
use journal::kafka::{Kafka, Timing};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::time::Duration;

/// Set to the seed that a failure names, this plays the same histories again.
const SEED: &str = "HISTORIES_SEED";
const HISTORIES: usize = 6;
const LONGEST: usize = 25;

/// Long enough for a busy machine, on which a worker may not be heard of for two seconds.
const OF_THE_MODEL: Timing = Timing {
    lease: Duration::from_secs(3),
    takeover: Duration::from_millis(3_200),
    final_dot: Duration::from_secs(8),
    reply: Duration::from_secs(8),
    first_share: Duration::from_secs(6),
    ..TIMING
};

struct OnABroker<const PARTITIONS: u32>(Stage);

impl<const PARTITIONS: u32> Rig for OnABroker<PARTITIONS> {
    type Journal = Kafka;

    async fn fresh() -> (Self, Kafka) {
        let stage = Stage::new(blocking(shared).await, PARTITIONS, OF_THE_MODEL);
        let journal = stage.open().await;
        (Self(stage), journal)
    }

    async fn crash_and_reopen(&mut self, journal: Kafka) -> Kafka {
        journal.crash().await;
        drop(journal);
        // Until then the owner might be alive, as far as anybody can tell.
        tokio::time::sleep(OF_THE_MODEL.lease).await;
        self.0.open().await
    }
}

/// The histories of a seed.
fn histories(seed: u64) -> Vec<Vec<Operation>> {
    let bytes: Vec<u8> = seed.to_le_bytes().into_iter().cycle().take(32).collect();
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut history = || {
        let mut operations = operations().new_tree(&mut runner).expect("a history").current();
        operations.truncate(LONGEST);
        operations
    };
    (0..HISTORIES).map(|_| history()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn random_histories_with_crashes_end_as_the_model_says() {
    let given = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = given.unwrap_or_else(|| {
        u64::from(std::process::id()) << 20 | u64::from(jiff::Timestamp::now().subsec_nanosecond().unsigned_abs() >> 10)
    });
    let playing: Vec<_> = histories(seed)
        .into_iter()
        .enumerate()
        .map(|(number, history)| {
            let played = history.clone();
            let play = async move {
                if number % 2 == 0 {
                    follows_the_model::<OnABroker<1>>(played).await;
                } else {
                    follows_the_model::<OnABroker<3>>(played).await;
                }
            };
            (history, tokio::spawn(play))
        })
        .collect();
    for (number, (history, play)) in playing.into_iter().enumerate() {
        if let Err(failed) = play.await {
            panic!("{SEED}={seed}, history {number} ({failed}): {history:#?}");
        }
    }
}
