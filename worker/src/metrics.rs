//! What a worker counts and measures, for Prometheus. `docs/metrics.md` is the table of it; a test keeps the two alike.
//!
//! Labels are the names of enums and of the campaign's backends: never an address, a row or a text of a server. Counters are looked up once, when a run
//! begins, so that a mail costs a few atomic additions.

use crate::{
    backend::{breaker::Status, choose::Pool},
    pacing::Moment,
};
use campaign::{Outcome, Settlement};
use journal::Share;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    core::Collector, exponential_buckets,
};
use std::{fmt, sync::Arc, time::Duration};

/// The label of mails that went to no backend.
const NO_BACKEND: &str = "none";
/// The outcomes, as labels.
const OUTCOMES: [&str; 7] = ["delivered", "deferred", "rejected", "refused", "unknown", "dead", "released"];

/// A worker's metrics. Cheap to clone; every clone is the same.
#[derive(Clone)]
pub struct Metrics {
    mails: IntCounterVec,
    seconds: HistogramVec,
    claimed: IntCounter,
    retries: IntCounter,
    in_flight: IntGauge,
    backlog: IntGauge,
    tick: Histogram,
    breaker: IntGaugeVec,
    owned: IntGauge,
    partitions: IntGauge,
    taking_over: IntGauge,
    paused: IntGauge,
    journal_errors: IntCounter,
    journal_reachable: IntGauge,
}

/// How long the phases of sending take. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Phases {
    /// Making the letter.
    pub(crate) render: Histogram,
    /// From nothing to a connection that is ready for MAIL.
    pub(crate) connect: Histogram,
    /// MAIL, RCPT and DATA, until the server has answered.
    pub(crate) envelope: Histogram,
    /// Writing the content, to its last byte.
    pub(crate) data: Histogram,
    /// From there to the reply. HTTP: the whole request.
    pub(crate) reply: Histogram,
}

impl Metrics {
    /// Metrics that the registry exports.
    ///
    /// # Errors
    /// If some of the same name are there already.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let new = Self::default();
        for collector in new.collectors() {
            registry.register(collector)?;
        }
        Ok(new)
    }

    fn collectors(&self) -> [Box<dyn Collector>; 14] {
        [
            Box::new(self.mails.clone()),
            Box::new(self.seconds.clone()),
            Box::new(self.claimed.clone()),
            Box::new(self.retries.clone()),
            Box::new(self.in_flight.clone()),
            Box::new(self.backlog.clone()),
            Box::new(self.tick.clone()),
            Box::new(self.breaker.clone()),
            Box::new(self.owned.clone()),
            Box::new(self.partitions.clone()),
            Box::new(self.taking_over.clone()),
            Box::new(self.paused.clone()),
            Box::new(self.journal_errors.clone()),
            Box::new(self.journal_reachable.clone()),
        ]
    }

    /// The histograms of the phases.
    pub fn phases(&self) -> Phases {
        let of = |phase| self.seconds.with_label_values(&[phase]);
        Phases {
            render: of("render"),
            connect: of("connect"),
            envelope: of("envelope"),
            data: of("data"),
            reply: of("reply"),
        }
    }

    /// The journal could not be reached, or answered after all.
    pub(crate) fn journal_is_reachable(&self, reachable: bool) {
        self.journal_reachable.set(i64::from(reachable));
        self.journal_errors.inc_by(u64::from(!reachable));
    }
}

/// Those that nobody exports.
impl Default for Metrics {
    fn default() -> Self {
        let seconds = exponential_buckets(0.001, 4.0, 9).expect("rising bounds");
        let phases = HistogramOpts::new("mailcampaign_send_phase_seconds", "Time that a phase of sending a mail took.")
            .buckets(seconds);
        let ticks = exponential_buckets(0.001, 2.0, 14).expect("rising bounds");
        let tick = HistogramOpts::new("mailcampaign_tick_seconds", "Time that a transaction of the journal took.")
            .buckets(ticks);
        Self {
            mails: valid(IntCounterVec::new(
                Opts::new("mailcampaign_mails_total", "Mails that were finished, by what became of them."),
                &["outcome", "backend"],
            )),
            seconds: valid(HistogramVec::new(phases, &["phase"])),
            claimed: counter("mailcampaign_claimed_total", "Mails that were claimed."),
            retries: counter("mailcampaign_retries_total", "Mails that were claimed for a second or later attempt."),
            in_flight: gauge("mailcampaign_in_flight", "Mails that are claimed and not finished."),
            backlog: gauge("mailcampaign_backlog", "Mails that wait to be sent, as far as this worker knows."),
            tick: valid(Histogram::with_opts(tick)),
            breaker: valid(IntGaugeVec::new(
                Opts::new("mailcampaign_breaker_state", "Circuit breaker: 0 closed, 1 half-open, 2 open."),
                &["backend"],
            )),
            owned: gauge("mailcampaign_partitions_owned", "Partitions of the campaign that this worker owns."),
            partitions: gauge("mailcampaign_partitions", "Partitions of the campaign."),
            taking_over: gauge("mailcampaign_taking_over", "Claims of former owners that are not known to be over."),
            paused: gauge("mailcampaign_paused", "1 while the campaign is paused."),
            journal_errors: counter(
                "mailcampaign_journal_errors_total",
                "Times that the journal could not be reached.",
            ),
            journal_reachable: gauge("mailcampaign_journal_reachable", "1 while the journal can be reached."),
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn counter(name: &str, help: &str) -> IntCounter {
    valid(IntCounter::new(name, help))
}

fn gauge(name: &str, help: &str) -> IntGauge {
    valid(IntGauge::new(name, help))
}

/// Names, labels and bounds stand in this file and are right.
fn valid<T>(metric: Result<T, prometheus::Error>) -> T {
    metric.expect("a metric that is well formed")
}

/// The metrics of one run, with its backends looked up.
pub(crate) struct Tallies {
    metrics: Metrics,
    /// By backend, in the order of the pool; the last are those of no backend.
    mails: Vec<(Arc<str>, [IntCounter; OUTCOMES.len()])>,
    breakers: Vec<IntGauge>,
}

/// What a worker has at hand at a moment.
pub(crate) struct Load {
    pub(crate) in_flight: usize,
    pub(crate) backlog: u64,
    pub(crate) share: Share,
    pub(crate) taking_over: u64,
    pub(crate) paused: bool,
}

impl Tallies {
    pub(crate) fn new(metrics: &Metrics, pool: &Pool) -> Self {
        let of = |name: &Arc<str>| {
            (Arc::clone(name), OUTCOMES.map(|outcome| metrics.mails.with_label_values(&[outcome, name])))
        };
        let names: Vec<_> = pool.names().cloned().collect();
        let mails = names.iter().chain([&Arc::from(NO_BACKEND)]).map(of).collect();
        let breakers = names.iter().map(|name| metrics.breaker.with_label_values(&[&**name])).collect();
        metrics.journal_reachable.set(1);
        Self { metrics: metrics.clone(), mails, breakers }
    }

    /// A mail was finished.
    pub(crate) fn finished(&self, settlement: &Settlement) {
        let outcome = match settlement.outcome {
            Outcome::Delivered { .. } => 0,
            Outcome::Deferred { .. } => 1,
            Outcome::Rejected { .. } => 2,
            Outcome::Refused { .. } => 3,
            Outcome::Unknown { .. } => 4,
            Outcome::Dead { .. } => 5,
            Outcome::Released => 6,
        };
        let named = self.mails.iter().find(|(name, _)| settlement.backend.as_deref() == Some(&**name));
        if let Some((_, counters)) = named.or(self.mails.last()) {
            counters[outcome].inc();
        }
    }

    /// Mails were claimed, so many of them not for the first time.
    pub(crate) fn claimed(&self, all: usize, again: usize) {
        self.metrics.claimed.inc_by(all as u64);
        self.metrics.retries.inc_by(again as u64);
    }

    /// A transaction was committed.
    pub(crate) fn ticked(&self, took: Duration) {
        self.metrics.tick.observe(took.as_secs_f64());
    }

    /// See [`Metrics::journal_is_reachable`].
    pub(crate) fn journal_is_reachable(&self, reachable: bool) {
        self.metrics.journal_is_reachable(reachable);
    }

    /// How things stand.
    pub(crate) fn stands(&self, load: &Load, pool: &Pool, now: Moment) {
        let metrics = &self.metrics;
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        metrics.in_flight.set(number(load.in_flight as u64));
        metrics.backlog.set(number(load.backlog));
        metrics.owned.set(i64::from(load.share.owned));
        metrics.partitions.set(i64::from(load.share.of));
        metrics.taking_over.set(number(load.taking_over));
        metrics.paused.set(i64::from(load.paused));
        for (gauge, status) in self.breakers.iter().zip(pool.statuses(now)) {
            gauge.set(match status {
                Status::Closed => 0,
                Status::ProbeDue | Status::Probing => 1,
                Status::Open(_) => 2,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Backends;
    use campaign::{Reply, spec::Retry};
    use jiff::Timestamp;
    use std::collections::BTreeSet;

    /// A registry in which everything has a value.
    fn exported() -> Registry {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry).expect("registered");
        let pool = Pool::new(Backends::outbox(std::path::Path::new("nowhere")), &Retry::default());
        metrics.phases();
        Tallies::new(&metrics, &pool);
        registry
    }

    #[test]
    fn the_table_in_the_documentation_is_what_is_exported() {
        let documented = include_str!("../../docs/metrics.md");
        let section = documented.split("\n## ").find_map(|part| part.strip_prefix("Worker\n")).expect("## Worker");
        let rows = section.lines().filter(|line| line.starts_with("| `"));
        let documented: BTreeSet<(String, String, BTreeSet<String>)> = rows
            .map(|line| {
                let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
                let (name, labels) =
                    cells[0].trim_matches('`').split_once('{').unwrap_or((cells[0].trim_matches('`'), ""));
                let labels = labels.trim_matches('}').split(',').filter(|label| !label.is_empty());
                (name.to_owned(), cells[1].to_owned(), labels.map(str::to_owned).collect())
            })
            .collect();
        let exported: BTreeSet<_> = exported()
            .gather()
            .iter()
            .map(|family| {
                let labels = family.get_metric()[0].get_label().iter().map(|pair| pair.name().to_owned());
                let kind = format!("{:?}", family.get_field_type()).to_lowercase();
                (family.name().to_owned(), kind, labels.collect())
            })
            .collect();
        assert_eq!(documented, exported);
    }

    #[test]
    fn every_label_of_a_phase_and_an_outcome_is_in_the_documentation() {
        let documented = include_str!("../../docs/metrics.md");
        for family in exported().gather() {
            for metric in family.get_metric() {
                for pair in metric.get_label().iter().filter(|pair| pair.name() != "backend") {
                    assert!(documented.contains(&format!("`{}`", pair.value())), "{}={}", pair.name(), pair.value());
                }
            }
        }
    }

    #[test]
    fn a_mail_is_counted_by_outcome_and_backend_and_a_strange_backend_makes_no_new_label() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry).expect("registered");
        let pool = Pool::new(Backends::outbox(std::path::Path::new("nowhere")), &Retry::default());
        let tallies = Tallies::new(&metrics, &pool);
        let settled = |backend: Option<&str>, outcome| Settlement {
            row: 2,
            attempt: 1,
            at: Timestamp::UNIX_EPOCH,
            backend: backend.map(str::to_owned),
            outcome,
        };
        tallies.finished(&settled(Some("outbox"), Outcome::Delivered { reply: Reply::default() }));
        tallies.finished(&settled(Some("strange"), Outcome::Released));
        let count = |outcome: &str, backend: &str| metrics.mails.with_label_values(&[outcome, backend]).get();
        assert_eq!((count("delivered", "outbox"), count("released", "none"), count("released", "outbox")), (1, 1, 0));
    }
}
