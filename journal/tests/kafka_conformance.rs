//! The Kafka journal does what every journal must, against a real broker, with one partition and with three.

use journal::conformance::Rig;
use journal::kafka::{Kafka, Options, Settings, Timing, Which};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// A campaign of its own for each test, on the broker of all.
struct OnABroker<const PARTITIONS: u32> {
    options: Options,
}

/// Different in every test of every run, also on a broker that stays.
fn new_name() -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time").as_nanos();
    format!("t{now:x}-{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Shorter than in earnest; long enough for a machine that has much else to do.
const TIMING: Timing = Timing {
    lease: Duration::from_millis(2_500),
    takeover: Duration::from_millis(2_800),
    transaction: Duration::from_secs(10),
    final_dot: Duration::from_secs(8),
    reply: Duration::from_secs(8),
    first_share: Duration::from_secs(6),
};

impl<const PARTITIONS: u32> Rig for OnABroker<PARTITIONS> {
    type Journal = Kafka;

    async fn fresh() -> (Self, Kafka) {
        let bootstrap = tokio::task::spawn_blocking(|| testkit::kafka::Kafka::shared().bootstrap());
        let name = new_name();
        let uid = campaign::CampaignUid::alone(&format!("test/{name}"), "bb", "aa", None);
        let which = Which { prefix: "mc".to_owned(), namespace: "test".to_owned(), name, uid };
        let settings = Settings::plaintext(bootstrap.await.expect("a broker"));
        let options = Options { settings, which, partitions: PARTITIONS, replication: None, timing: TIMING };
        let journal = Kafka::open(options.clone()).await.expect("opened");
        (Self { options }, journal)
    }

    async fn crash_and_reopen(&mut self, journal: Kafka) -> Kafka {
        journal.crash().await;
        drop(journal);
        // Until then the owner might be alive, as far as anybody can tell.
        tokio::time::sleep(TIMING.lease).await;
        Kafka::open(self.options.clone()).await.expect("opened")
    }
}

mod with_three_partitions {
    journal::conformance!(super::OnABroker<3>);
}

mod with_one_partition {
    journal::conformance! { super::OnABroker<1>:
        every_row_is_published_once_whatever_chunk_a_crash_falls_on,
        a_mail_is_claimed_then_sent_then_settled,
        a_claim_survives_a_crash_as_unknown_and_resend_queues_it_again,
        any_rows_in_any_order_may_be_claimed,
        pacing_costs_no_attempt_and_survives_a_crash,
    }
}
