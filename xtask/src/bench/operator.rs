//! The rows of the operator: its program as it is shipped, beside a real API server and a real Kafka.

use super::rows::at_most;
use super::table::Line;
use super::{Bench, built, measure};
use crate::command::output_of;
use anyhow::Result;

impl Bench {
    /// All its figures come from one run: it takes minutes to make a thousand campaigns.
    pub(super) fn operator(&self) -> Result<Vec<Line>> {
        let program = built("mailcampaign-operator");
        let mut command = built("examples/operator_speed");
        command.env(testkit::kafka::BOOTSTRAP_VARIABLE, self.kafka()?.bootstrap());
        let printed = output_of(command.arg(program.get_program()))?;
        print!("{printed}");
        let row = |label: &str, what: &str, at_least: f64, goal: f64, unit: &'static str| {
            let figure = measure::number_in(&printed, label)?;
            anyhow::Ok(at_most(&format!("operator: {what}"), figure, at_least, goal, unit))
        };
        Ok(vec![
            row("share_ms=", "from apply to the producer's Job, median of 20", 100.0, 30.0, "ms")?,
            row(
                "first_child_seconds=",
                "1,000 campaigns made at once, the longest wait for the first object",
                60.0,
                15.0,
                "s",
            )?,
            row("refused=", "answers 429 meanwhile", 0.0, 0.0, "")?,
            row("resident_mb=", "1,000 campaigns at rest, resident memory", 40.0, 20.0, "MB")?,
            row("writes=", "1,000 campaigns at rest, API writes in a minute", 0.0, 0.0, "")?,
        ])
    }
}
