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

/// The first time that claims are found over, in tests.
const TIMING: Timing = Timing {
    lease: Duration::from_millis(1_500),
    takeover: Duration::from_millis(1_700),
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

macro_rules! without_workers {
    ($module:ident, $partitions:literal) => {
        mod $module {
            journal::conformance! { super::OnABroker<$partitions>:
                content_is_pinned_once_and_a_difference_is_named,
                every_row_is_published_once_whatever_chunk_a_crash_falls_on,
                a_chunk_that_does_not_follow_on_is_refused_and_changes_nothing,
                a_publisher_that_was_replaced_writes_nothing_more,
                rows_are_paged_without_gap_or_repetition,
            }
        }
    };
}

without_workers!(with_one_partition, 1);
without_workers!(with_three_partitions, 3);

macro_rules! with_workers {
    ($module:ident, $partitions:literal) => {
        mod $module {
            journal::conformance! { super::OnABroker<$partitions>:
                a_mail_is_claimed_then_sent_then_settled,
                a_claim_survives_a_crash_as_unknown_and_hold_keeps_it_for_a_person,
                a_claim_survives_a_crash_as_unknown_and_resend_queues_it_again,
                what_was_taken_and_never_claimed_is_taken_by_the_next_worker,
                any_rows_in_any_order_may_be_claimed,
                a_row_kept_in_hand_is_not_forgotten_however_far_the_others_went,
                what_was_not_handed_out_can_not_be_claimed,
                a_released_row_comes_back_at_the_same_attempt,
                a_result_that_comes_twice_or_too_late_changes_nothing,
                sending_overlaps_with_publishing,
                a_worker_that_has_gone_leaves_its_claims_unknown,
                there_is_one_worker_at_a_time_for_a_row,
                a_deferred_row_comes_back_when_due_and_not_before,
                due_rows_come_in_the_order_of_their_times_and_before_new_ones,
                pacing_costs_no_attempt_and_survives_a_crash,
                what_waits_does_not_hold_up_what_could_go,
                the_first_attempt_is_remembered_over_a_crash,
                a_pause_stops_new_mails_and_is_kept_until_somebody_resumes,
                resending_the_unknown_ones_twice_does_nothing_the_second_time,
                discarded_unknown_rows_are_dead_and_stay_so,
                unknown_rows_can_be_decided_with_no_worker_going,
                a_command_names_rows_and_touches_no_other,
            }
        }
    };
}

with_workers!(with_a_worker_and_one_partition, 1);
with_workers!(with_a_worker_and_three_partitions, 3);
