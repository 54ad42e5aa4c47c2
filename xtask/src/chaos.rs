//! `cargo xtask chaos`: rounds of chaos on real brokers, producers and workers.

use crate::args::Chaos as Options;
use crate::needs;
use anyhow::Result;
use chaos::{Plan, Programs, Size};

/// Runs the rounds; false at the first that broke a rule.
pub(crate) fn run(options: &Options) -> Result<bool> {
    needs::debian::ensure_for_kafka()?;
    let programs = Programs::built()?;
    for round in 0..options.rounds {
        let size = Size { rows: options.rows.unwrap_or(Size::LONG.rows), ..Size::LONG };
        let plan = Plan::of(options.seed.wrapping_add(round), size, options.brokers);
        let summary = chaos::run(&programs, plan, options.keep)?;
        println!("round {} of {}: {summary}", round + 1, options.rounds);
        if !summary.violations.is_empty() {
            println!("the same again: cargo xtask chaos --rounds 1 --seed {}", summary.plan.seed);
            return Ok(false);
        }
    }
    println!("{} rounds, and every account was exact", options.rounds);
    Ok(true)
}
