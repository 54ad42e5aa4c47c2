//! One replica of the operator writes: the holder of a Lease. The others keep their caches warm and go on where it stopped.
//!
//! [`elect`] gives the handle and the task that keeps the Lease; [`client`] a client that writes only as the leader. What decides is in `claim.rs` (pure), what
//! refuses in `gate.rs`. Losing the Lease ends nothing: the process follows, and leads again when it may.

mod claim;
mod clock;
mod gate;

pub use claim::{DURATION, HELD, SPARE};
pub use clock::{Clock, Hands};
pub use gate::{Gate, OnlyWhileLeading, Unanswered};

use crate::metrics::{Counted, Metrics};
use claim::{Claim, Heard, PATIENCE, Step, holder};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, PostParams};
use kube::client::ClientBuilder;
use kube::{Client, Config};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tracing::{info, warn};

/// This replica doesn't lead, or not for long enough to begin a write: nothing was decided about the write, the leader makes its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("another replica leads")]
pub struct NotLeading;

impl NotLeading {
    /// Whether a call failed for this reason alone.
    pub fn is_cause_of(error: &kube::Error) -> bool {
        matches!(error, kube::Error::Service(cause) if cause.is::<Self>())
    }
}

/// Whether this replica leads. Cheap to clone; every clone says the same.
#[derive(Debug, Clone)]
pub struct Leader(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Clock,
    /// Nanoseconds of the clock until which it leads; 0: it doesn't.
    until: AtomicU64,
    /// Counts the times that leadership was gained.
    term: AtomicU64,
    /// No write is begun any more: the Lease is about to be released.
    closing: AtomicBool,
    writing: watch::Sender<usize>,
    leading: watch::Sender<bool>,
}

/// Changes what [`Leader`] says: the elector's side of it.
#[derive(Debug)]
struct Term(Leader);

/// The right to have one write under way.
#[derive(Debug)]
struct Permit {
    leader: Leader,
    term: u64,
}

impl Leader {
    /// One that doesn't lead yet.
    fn following(clock: Clock) -> (Self, Term) {
        let (writing, leading) = (watch::channel(0).0, watch::channel(false).0);
        let (until, term, closing) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
        let leader = Self(Arc::new(Shared { clock, until, term, closing, writing, leading }));
        (leader.clone(), Term(leader))
    }

    /// Whether this replica leads at this moment, by the clock.
    pub fn is_leading(&self) -> bool {
        self.0.clock.now() < self.until()
    }

    /// Whether a write may be begun at this moment. [`OnlyWhileLeading`] asks for each; others needn't.
    pub fn may_write(&self) -> Result<(), NotLeading> {
        let has_time = self.0.clock.now() + SPARE <= self.until();
        if has_time && !self.0.closing.load(Ordering::Acquire) { Ok(()) } else { Err(NotLeading) }
    }

    /// Tells when leadership was gained (true) or lost (false). Every gain is a change, also one right after a loss. A loss by the clock is told when the
    /// elector comes to it: who must know asks [`Leader::is_leading`].
    pub fn changed(&self) -> watch::Receiver<bool> {
        self.0.leading.subscribe()
    }

    /// Writes under way.
    pub fn writing(&self) -> usize {
        *self.0.writing.borrow()
    }

    fn clock(&self) -> &Clock {
        &self.0.clock
    }

    fn until(&self) -> Duration {
        Duration::from_nanos(self.0.until.load(Ordering::Acquire))
    }

    fn permit(&self) -> Result<Permit, NotLeading> {
        let term = self.0.term.load(Ordering::Acquire);
        // Counted before the question: who closes and then finds nobody writing must be right.
        self.0.writing.send_modify(|writing| *writing += 1);
        let permit = Permit { leader: self.clone(), term };
        self.may_write().map(|()| permit)
    }
}

impl Permit {
    /// Whether the term in which it was given goes on.
    fn holds(&self) -> bool {
        self.leader.0.term.load(Ordering::Acquire) == self.term && self.leader.is_leading()
    }

    fn clock(&self) -> &Clock {
        self.leader.clock()
    }

    fn has_time_to_spare(&self) -> bool {
        self.holds() && self.leader.may_write().is_ok()
    }

    async fn runs_out(&self) {
        while self.holds() {
            self.leader.0.clock.reaches(self.leader.until()).await;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.leader.0.writing.send_modify(|writing| *writing -= 1);
    }
}

impl Term {
    fn holds_until(&self, until: Duration) {
        let Leader(shared) = &self.0;
        let was_leading = self.0.is_leading();
        let told = *shared.leading.borrow();
        if told && !was_leading {
            info!("leadership was lost");
            shared.leading.send_replace(false);
        }
        let is_leading = shared.clock.now() < until;
        if is_leading && !was_leading {
            shared.term.fetch_add(1, Ordering::AcqRel);
        }
        shared.until.store(u64::try_from(until.as_nanos()).unwrap_or(u64::MAX), Ordering::Release);
        if is_leading != *shared.leading.borrow() {
            if is_leading {
                info!("this replica leads");
            } else {
                info!("leadership was lost");
            }
            shared.leading.send_replace(is_leading);
        }
    }

    /// No write is begun from now on; resolves when none is under way, at the latest when leadership is over.
    async fn close(&self) {
        let Leader(shared) = &self.0;
        shared.closing.store(true, Ordering::Release);
        let mut writing = shared.writing.subscribe();
        tokio::select! {
            _ = writing.wait_for(|writing| *writing == 0) => (),
            () = shared.clock.reaches(self.0.until()) => (),
        }
    }
}

/// The name under which a process stands for election: never used before, also when its pod starts again.
pub fn identity(pod: &str) -> String {
    format!("{pod}_{}", uuid::Uuid::new_v4().simple())
}

/// A client that writes only while `leader` leads. It repeats nothing by itself: what is repeated later must be decided anew.
pub fn client(mut config: Config, leader: &Leader, metrics: &Metrics) -> Result<Client, kube::Error> {
    config.default_retry = false;
    Ok(ClientBuilder::try_from(config)?
        .with_layer(&Counted(metrics.clone()))
        .with_layer(&OnlyWhileLeading(leader.clone()))
        .build())
}

/// The handle that says who leads, and the task that stands for election. The client should be one of its own, so that nothing it has to wait behind
/// delays a renewal; the identity one of [`identity`].
pub fn elect(client: Client, namespace: &str, lease: &str, identity: String) -> (Leader, Elector) {
    elect_by(Clock::Boot, client, namespace, lease, identity)
}

/// [`elect`], by another clock.
pub fn elect_by(clock: Clock, client: Client, namespace: &str, lease: &str, identity: String) -> (Leader, Elector) {
    let (leader, term) = Leader::following(clock.clone());
    let claim = Claim::new(identity.clone());
    let elector =
        Elector { leases: Api::namespaced(client, namespace), name: lease.to_owned(), identity, clock, claim, term };
    (leader, elector)
}

/// Stands for election as long as [`Elector::run`] runs.
#[derive(Debug)]
pub struct Elector {
    leases: Api<Lease>,
    name: String,
    identity: String,
    clock: Clock,
    claim: Claim,
    term: Term,
}

impl Elector {
    /// Runs until `stop` resolves, and then releases the Lease, so that another takes over at once: after the last write has ended. Dropped, it releases
    /// nothing, and this replica leads until the clock says that it is over.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let (mut step, mut at) = (Step::Look, self.clock.now());
        loop {
            tokio::select! {
                () = &mut stop => return self.release().await,
                () = self.clock.reaches(at) => (),
            }
            let heard = self.take(step).await;
            (step, at) = self.claim.next(heard, self.clock.now());
            self.term.holds_until(self.claim.until());
        }
    }

    /// I/O: makes no choices.
    async fn take(&self, step: Step) -> Heard {
        let asked = self.clock.now();
        let is_create = step == Step::Create;
        let call = async {
            match step {
                Step::Look => self.leases.get(&self.name).await.map(Heard::Found),
                Step::Create => {
                    let lease = held(named(&self.name), &self.identity, Timestamp::now());
                    let written = self.leases.create(&PostParams::default(), &lease).await;
                    written.map(|lease| Heard::Written { asked, lease })
                }
                Step::Replace(lease) => {
                    let lease = held(*lease, &self.identity, Timestamp::now());
                    let written = self.leases.replace(&self.name, &PostParams::default(), &lease).await;
                    written.map(|lease| Heard::Written { asked, lease })
                }
            }
        };
        let replied = tokio::select! {
            replied = call => replied,
            () = self.clock.reaches(asked + PATIENCE) => {
                warn!(lease = self.name, "the API server doesn't answer");
                return Heard::Failed;
            }
        };
        match replied {
            Ok(heard) => heard,
            Err(kube::Error::Api(status)) if status.code == 404 && !is_create => Heard::Missing,
            Err(kube::Error::Api(status)) if status.code == 409 => Heard::Conflict,
            Err(error) => {
                warn!(lease = self.name, %error, "the Lease can't be read or written");
                Heard::Failed
            }
        }
    }

    async fn release(self) {
        self.term.close().await;
        let may_be_ours = self.claim.ours().is_some() && self.term.0.is_leading();
        self.term.holds_until(Duration::ZERO);
        // A Lease whose holder still had writes under way when it ran out is left to run out for the others, too.
        if !may_be_ours {
            return;
        }
        let Heard::Found(lease) = self.take(Step::Look).await else { return };
        if holder(&lease) == self.identity {
            let free = held(lease, "", Timestamp::now());
            let parameters = PostParams::default();
            tokio::select! {
                // If it fails, the Lease runs out.
                written = self.leases.replace(&self.name, &parameters, &free) => drop(written),
                () = self.clock.reaches(self.clock.now() + PATIENCE) => (),
            }
        }
    }
}

fn named(name: &str) -> Lease {
    let mut lease = Lease::default();
    lease.metadata.name = Some(name.to_owned());
    lease.metadata.labels = Some([("app.kubernetes.io/managed-by".to_owned(), "mailcampaign".to_owned())].into());
    lease
}

/// The Lease as `identity` writes it; what others wrote on it stays. The times in it are for people: nobody here compares them with a clock. Only that no renewal
/// of a holder looks like an earlier one counts, so its times grow even if the time of day stands still or goes back.
fn held(mut lease: Lease, identity: &str, now: Timestamp) -> Lease {
    let changes_hands = holder(&lease) != identity;
    let spec: &mut LeaseSpec = lease.spec.get_or_insert_default();
    let now = Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now);
    let renewed = spec.renew_time.as_ref().filter(|_| !changes_hands).map(|time| time.0);
    // Never one that was there before, or who looked away in between would see it unchanged.
    let later = renewed.and_then(|renewed| renewed.checked_add(Duration::from_micros(1)).ok());
    let now = later.map_or(now, |later| later.max(now));
    if changes_hands {
        spec.acquire_time = Some(MicroTime(now));
        // Given back, it hasn't gone to another yet.
        let gained = i32::from(!identity.is_empty());
        spec.lease_transitions = Some(spec.lease_transitions.map_or(0, |so_far| so_far.saturating_add(gained)));
    }
    spec.holder_identity = Some(identity.to_owned());
    spec.lease_duration_seconds = i32::try_from(DURATION.as_secs()).ok();
    spec.renew_time = Some(MicroTime(now));
    lease
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_renewal_looks_like_an_earlier_one_even_if_the_time_of_day_stands_still_or_goes_back() {
        let noon: Timestamp = "2027-03-01T12:00:00.123456789Z".parse().expect("a time");
        let first = held(named("operator"), "a", noon);
        let second = held(first.clone(), "a", noon);
        let third = held(second.clone(), "a", noon);
        let back = held(third.clone(), "a", noon - Duration::from_hours(1));
        let times =
            [&first, &second, &third, &back].map(|lease| lease.spec.as_ref().and_then(|spec| spec.renew_time.clone()));
        assert!(times.is_sorted_by(|earlier, later| earlier < later), "{times:?}");
        let spec = first.spec.expect("a spec");
        assert_eq!(spec.renew_time.expect("a time").0.to_string(), "2027-03-01T12:00:00.123456Z");
        assert_eq!((spec.lease_transitions, spec.lease_duration_seconds), (Some(0), Some(10)));
    }

    #[test]
    fn a_lease_that_changes_hands_says_so_and_keeps_what_others_wrote_on_it() {
        let noon: Timestamp = "2027-03-01T12:00:00Z".parse().expect("a time");
        let mut lease = held(named("operator"), "a", noon);
        lease.metadata.annotations = Some([("example.com/note".to_owned(), "mine".to_owned())].into());
        let renewed = held(lease.clone(), "a", noon + Duration::from_secs(2));
        let taken = held(renewed.clone(), "b", noon + Duration::from_secs(9));
        assert_eq!(renewed.spec.as_ref().and_then(|spec| spec.lease_transitions), Some(0));
        let spec = taken.spec.expect("a spec");
        assert_eq!((spec.holder_identity.as_deref(), spec.lease_transitions), (Some("b"), Some(1)));
        assert_eq!(spec.acquire_time, spec.renew_time);
        assert_eq!(taken.metadata.annotations, lease.metadata.annotations);
        let given_back = held(renewed, "", noon + Duration::from_secs(4));
        let taken = held(given_back, "b", noon + Duration::from_secs(5));
        assert_eq!(
            taken.spec.and_then(|spec| spec.lease_transitions),
            Some(1),
            "given back and taken, it has changed hands once"
        );
    }

    #[test]
    fn two_lives_of_one_pod_have_different_identities() {
        assert_ne!(identity("operator-0"), identity("operator-0"));
        assert!(identity("operator-0").starts_with("operator-0_"));
    }

    #[test]
    fn a_gain_right_after_a_loss_that_nobody_noticed_is_told_all_the_same() {
        let (clock, hands) = Clock::by_hand(Duration::from_secs(100));
        let (leader, term) = Leader::following(clock.clone());
        let mut changed = leader.changed();
        term.holds_until(clock.now() + HELD);
        assert!(leader.is_leading() && *changed.borrow_and_update());
        term.holds_until(clock.now() + HELD);
        assert_eq!(changed.has_changed().ok(), Some(false));
        let permit = leader.permit().expect("it leads");
        hands.advance(HELD);
        assert!(!leader.is_leading());
        term.holds_until(clock.now() + HELD);
        assert_eq!(changed.has_changed().ok(), Some(true));
        assert!(leader.is_leading() && !permit.holds(), "a write of an earlier term must not go on");
    }

    #[tokio::test]
    async fn closing_waits_for_the_writes_under_way_and_lets_none_begin() {
        let (clock, _hands) = Clock::by_hand(Duration::from_secs(100));
        let (leader, term) = Leader::following(clock.clone());
        term.holds_until(clock.now() + HELD);
        let permit = leader.permit().expect("it leads");
        let closing = tokio::spawn(async move { term.close().await });
        while leader.may_write().is_ok() {
            tokio::task::yield_now().await;
        }
        assert!(!closing.is_finished() && permit.holds());
        drop(permit);
        closing.await.expect("it ends");
    }
}
