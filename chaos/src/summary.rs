//! What came of a round, in a line for people.

use crate::check::{Tally, Violation};
use crate::plan::Plan;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// What came of a round.
#[derive(Debug)]
pub struct Summary {
    /// Its plan.
    pub plan: Plan,
    /// Faults that happened, by kind.
    pub faults: BTreeMap<&'static str, usize>,
    /// Rows by what became of them.
    pub tally: Tally,
    /// Mails that were sent while faults happened.
    pub amid: usize,
    /// Broken rules.
    pub violations: Vec<Violation>,
    /// How long it took.
    pub took: Duration,
    /// Where everything is, if a rule was broken or it was asked for: the logs, what the brokers kept, the report.
    pub kept: Option<PathBuf>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { seed, on_unknown, brokers, rows, .. } = &self.plan;
        let Tally { delivered, unknown, twice, orphans, late } = self.tally;
        let seconds = self.took.as_secs_f64();
        write!(f, "seed {seed}: {on_unknown:?}, {brokers} broker(s), {rows} rows: {delivered} delivered ")?;
        write!(f, "({} amid faults), {unknown} unknown, {twice} twice, {orphans} claims of gone owners, ", self.amid)?;
        write!(f, "{late} late, in {seconds:.0} s;")?;
        self.faults.iter().try_for_each(|(kind, count)| write!(f, " {kind} {count},"))?;
        match (&self.kept, self.violations.as_slice()) {
            (None, []) => write!(f, " ok"),
            (Some(kept), []) => write!(f, " ok; everything is in {}", kept.display()),
            (kept, violations) => {
                write!(f, " FAILED, {} times", violations.len())?;
                violations.iter().take(10).try_for_each(|violation| write!(f, "\n  {violation}"))?;
                kept.as_ref().map_or(Ok(()), |kept| write!(f, "\n  everything is in {}", kept.display()))
            }
        }
    }
}
