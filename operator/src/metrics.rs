//! What the operator tells of itself under `/metrics`; `docs/metrics.md` describes it. Nothing here is about one campaign.

mod calls;

pub use calls::Counted;

use crate::context::Context;
use campaign::status::Phase;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, exponential_buckets};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// What became of a look at a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconciled {
    /// All that was decided is done.
    Done,
    /// The caches were behind; it is made again in a moment.
    Stale,
    /// A step failed, as the campaign's status says.
    StepFailed,
    /// The status can't be written.
    StatusFailed,
}

impl Reconciled {
    const ALL: [Self; 4] = [Self::Done, Self::Stale, Self::StepFailed, Self::StatusFailed];

    fn label(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Stale => "stale",
            Self::StepFailed => "step_failed",
            Self::StatusFailed => "status_failed",
        }
    }
}

/// All of them. Cheap to clone; every clone is the same.
#[derive(Debug, Clone)]
pub struct Metrics {
    reconciles: IntCounterVec,
    seconds: Histogram,
    waited: Histogram,
    calls: IntCounterVec,
    standing: Standing,
}

impl Metrics {
    /// All of them at zero.
    ///
    /// # Errors
    /// Another metric of the registry has the name of one of these.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let seconds = |name: &str, help: &str| {
            // From a millisecond to half a minute.
            let buckets = exponential_buckets(0.001, 2.0, 16)?;
            Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))
        };
        let counter = |name: &str, help: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let metrics = Self {
            reconciles: counter(
                "mailcampaign_operator_reconciles_total",
                "Looks at a campaign, by what became of them",
                &["result"],
            )?,
            seconds: seconds("mailcampaign_operator_reconcile_seconds", "Time that a look at a campaign took")?,
            waited: seconds("mailcampaign_operator_queue_seconds", "Time that a campaign waited for its turn")?,
            calls: counter(
                "mailcampaign_operator_api_calls_total",
                "Calls of the API server that were answered, by kind of object, verb and class of the answer",
                &["kind", "verb", "code"],
            )?,
            standing: Standing::new()?,
        };
        for result in Reconciled::ALL {
            metrics.reconciles.with_label_values(&[result.label()]);
        }
        registry.register(Box::new(metrics.reconciles.clone()))?;
        registry.register(Box::new(metrics.seconds.clone()))?;
        registry.register(Box::new(metrics.waited.clone()))?;
        registry.register(Box::new(metrics.calls.clone()))?;
        registry.register(Box::new(metrics.standing.clone()))?;
        Ok(metrics)
    }

    /// A campaign that waited so long was looked at for so long.
    pub fn reconciled(&self, result: Reconciled, waited: Duration, took: Duration) {
        self.reconciles.with_label_values(&[result.label()]).inc();
        self.waited.observe(waited.as_secs_f64());
        self.seconds.observe(took.as_secs_f64());
    }

    /// Tells from now on how it stands in these namespaces, as long as there is anybody who looks after them.
    pub fn watch(&self, scope: &Arc<Context>) {
        let mut scopes = self.standing.scopes.lock().unwrap_or_else(PoisonError::into_inner);
        scopes.retain(|ended| ended.strong_count() > 0);
        scopes.push(Arc::downgrade(scope));
    }
}

/// How it stands, found out whenever somebody asks.
#[derive(Debug, Clone)]
struct Standing {
    scopes: Arc<Mutex<Vec<Weak<Context>>>>,
    campaigns: IntGaugeVec,
    queue: IntGauge,
    leading: IntGauge,
}

impl Standing {
    fn new() -> prometheus::Result<Self> {
        let campaigns = Opts::new("mailcampaign_operator_campaigns", "Campaigns, by their phase");
        let standing = Self {
            scopes: Arc::default(),
            campaigns: IntGaugeVec::new(campaigns, &["phase"])?,
            queue: IntGauge::new("mailcampaign_operator_queue", "Campaigns that wait for their turn")?,
            leading: IntGauge::new("mailcampaign_operator_leading", "1 while this replica leads")?,
        };
        standing.count(&[]);
        Ok(standing)
    }

    fn count(&self, scopes: &[Arc<Context>]) {
        for phase in Phase::ALL {
            self.campaigns.with_label_values(&[phase.name()]).set(0);
        }
        for campaign in scopes.iter().flat_map(|scope| scope.caches.campaigns()) {
            // One that nobody has looked at yet waits for that.
            let phase = campaign.status.as_ref().and_then(|status| status.phase).unwrap_or(Phase::Pending);
            self.campaigns.with_label_values(&[phase.name()]).inc();
        }
        let waiting: usize = scopes.iter().map(|scope| scope.queue.len()).sum();
        self.queue.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        self.leading.set(i64::from(scopes.iter().any(|scope| scope.leader.is_leading())));
    }
}

impl Collector for Standing {
    fn desc(&self) -> Vec<&Desc> {
        [self.campaigns.desc(), self.queue.desc(), self.leading.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let scopes = self.scopes.lock().unwrap_or_else(PoisonError::into_inner);
        let scopes: Vec<_> = scopes.iter().filter_map(Weak::upgrade).collect();
        self.count(&scopes);
        [self.campaigns.collect(), self.queue.collect(), self.leading.collect()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_documented_and_every_documented_one_is_there() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).expect("registered");
        metrics.calls.with_label_values(&["pods", "list", "2xx"]).inc();
        let mut there: Vec<String> = registry.gather().iter().map(|family| family.name().to_owned()).collect();
        there.sort_unstable();
        let page = include_str!("../../docs/metrics.md");
        let section = page.split("\n## ").find(|section| section.starts_with("Operator\n")).expect("a section");
        let mut documented: Vec<String> = section
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split(['`', '{']).next())
            .map(str::to_owned)
            .collect();
        documented.sort_unstable();
        assert_eq!(there, documented);
        for result in Reconciled::ALL {
            assert!(section.contains(&format!("`{}`", result.label())), "{result:?}");
        }
    }
}
