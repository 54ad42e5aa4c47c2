//! What the producer tells of itself under `/metrics`; `docs/metrics.md` describes it.

use journal::Checkpoint;
use prometheus::{IntCounterVec, IntGauge, Opts, Registry};

/// How far the shard of this process is published. Cheap to clone; every clone is the same.
#[derive(Debug, Clone)]
pub struct Metrics {
    rows: IntCounterVec,
    row: IntGauge,
    preflighted: IntGauge,
    waiting: IntGauge,
    done: IntGauge,
}

impl Metrics {
    /// All of them at zero.
    ///
    /// # Errors
    /// Another metric of the registry has the name of one of these.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            prometheus::Result::Ok(gauge)
        };
        let rows =
            Opts::new("mailcampaign_rows_total", "Rows of the list that are in the journal, by what became of them");
        let rows = IntCounterVec::new(rows, &["result"])?;
        registry.register(Box::new(rows.clone()))?;
        let metrics = Self {
            rows,
            row: gauge("mailcampaign_published_row", "Every row of the shard up to this one is in the journal")?,
            preflighted: gauge(
                "mailcampaign_preflight_rows",
                "Rows that the preflight of this process found, once it is over",
            )?,
            waiting: gauge("mailcampaign_preflight_waiting", "1 while another shard's preflight is awaited")?,
            done: gauge("mailcampaign_published", "1 once the whole shard is in the journal")?,
        };
        metrics.reached(&Checkpoint::default());
        Ok(metrics)
    }

    /// The shard has come so far, in this process or an earlier one.
    pub fn reached(&self, checkpoint: &Checkpoint) {
        let tally = &checkpoint.tally;
        let results = [
            ("published", tally.published),
            ("invalid", tally.invalid),
            ("duplicate", tally.duplicate),
            ("suppressed", tally.suppressed),
        ];
        for (result, rows) in results {
            let counter = self.rows.with_label_values(&[result]);
            counter.inc_by(rows.saturating_sub(counter.get()));
        }
        self.row.set(gauged(checkpoint.next_row.saturating_sub(1)));
        self.done.set(i64::from(checkpoint.done));
    }

    /// The preflight found so many rows.
    pub fn preflighted(&self, rows: u64) {
        self.preflighted.set(gauged(rows));
    }

    /// Whether another shard's preflight is awaited.
    pub fn waiting(&self, waiting: bool) {
        self.waiting.set(i64::from(waiting));
    }
}

fn gauged(rows: u64) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use journal::Tally;

    #[test]
    fn every_metric_is_documented_and_every_documented_one_is_there() {
        let registry = Registry::new();
        let _metrics = Metrics::register(&registry).expect("registered");
        let mut there: Vec<String> = registry.gather().iter().map(|family| family.name().to_owned()).collect();
        there.sort_unstable();
        let page = include_str!("../../docs/metrics.md");
        let section = page.split("\n## ").find(|section| section.starts_with("Producer\n")).expect("a section");
        let mut documented: Vec<String> = section
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split(['`', '{']).next())
            .map(str::to_owned)
            .collect();
        documented.sort_unstable();
        assert_eq!(there, documented);
    }

    #[test]
    fn counters_follow_the_checkpoint_and_never_go_back() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).expect("registered");
        let tally = Tally { published: 7, invalid: 1, duplicate: 2, suppressed: 0 };
        for _ in 0..2 {
            metrics.reached(&Checkpoint { next_row: 12, tally, done: false });
        }
        assert_eq!(metrics.rows.with_label_values(&["published"]).get(), 7);
        assert_eq!(metrics.rows.with_label_values(&["duplicate"]).get(), 2);
        assert_eq!((metrics.row.get(), metrics.done.get()), (11, 0));
    }
}
