//! The workers of one process: each is a member of its own, together they end as one.

use crate::tell;
use letter::Letters;
use program::Failure;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use worker::{Backends, Ended, Options, Progress, Stop, Trouble};

/// Between two sums of what the members say.
const BETWEEN_SUMS: Duration = Duration::from_millis(100);

/// What a member needs of its own: the backends are connections.
pub(crate) struct Member<W> {
    pub(crate) worker: W,
    pub(crate) backends: Backends,
}

/// Runs the members until the campaign is done or each has ended for another reason. A member that fails leaves its share to the others.
pub(crate) async fn run<W: journal::Worker>(
    members: Vec<Member<W>>,
    letters: Arc<Letters>,
    options: Options,
    stop: Stop,
    progress: watch::Sender<Progress>,
) -> Result<Ended, Failure> {
    let (mut running, mut seen) = (JoinSet::new(), Vec::new());
    for Member { worker, backends } in members {
        let (out, member) = watch::channel(Progress::default());
        seen.push(member);
        running.spawn(worker::run(worker, Arc::clone(&letters), backends, options.clone(), stop.clone(), out));
    }
    let summing = tokio::spawn(sum_up(seen, progress));
    let mut ended: Option<Ended> = None;
    let mut failed: Option<Failure> = None;
    while let Some(member) = running.join_next().await {
        match member.map_err(|panic| Failure::try_again(format!("sending failed: {panic}"))) {
            Ok(Ok(finished)) => ended = Some(weightier(ended.take(), finished.ended)),
            Ok(Err(error)) => failed = Some(Failure::try_again(error.to_string())),
            Err(panic) => failed = Some(panic),
        }
        if let (Some(failure), false) = (&failed, running.is_empty()) {
            tell(&format!("A worker failed, the others go on: {failure}"));
        }
    }
    // It ends when the members' ends of the channels are gone.
    drop(summing.await);
    match (ended, failed) {
        (Some(Ended::Done), _) => Ok(Ended::Done),
        (_, Some(failure)) => Err(failure),
        (ended, None) => Ok(ended.unwrap_or(Ended::Stopped)),
    }
}

/// The end of several members: what one found done is done; else why it stopped.
fn weightier(one: Option<Ended>, other: Ended) -> Ended {
    let weight = |ended: &Ended| match ended {
        Ended::Done => 3,
        Ended::Paused(_) => 2,
        Ended::NoBackend(_) => 1,
        Ended::Stopped => 0,
    };
    one.filter(|one| weight(one) >= weight(&other)).unwrap_or(other)
}

/// Sends the sum of what the members say, until all of them have ended.
async fn sum_up(members: Vec<watch::Receiver<Progress>>, sum: watch::Sender<Progress>) {
    loop {
        // First, so that what they said last is in the sum.
        let ended = members.iter().all(|member| member.has_changed().is_err());
        let all: Vec<Progress> = members.iter().map(|member| member.borrow().clone()).collect();
        sum.send_replace(sum_of(&all));
        if ended {
            return;
        }
        tokio::time::sleep(BETWEEN_SUMS).await;
    }
}

/// One account, and the sum of what each does for it.
fn sum_of(members: &[Progress]) -> Progress {
    let settled = |progress: &&Progress| progress.counts.published.saturating_sub(progress.counts.unfinished());
    let furthest = members.iter().max_by_key(settled).cloned().unwrap_or_default();
    let mut troubles: BTreeMap<&str, &Trouble> = BTreeMap::new();
    for trouble in members.iter().flat_map(|member| &member.troubles) {
        troubles.entry(&trouble.backend).or_insert(trouble);
    }
    Progress {
        counts: furthest.counts,
        in_flight: members.iter().map(|member| member.in_flight).sum(),
        per_second: members.iter().map(|member| member.per_second).sum(),
        next_due: members.iter().filter_map(|member| member.next_due).min(),
        waiting: members.iter().find_map(|member| member.waiting.clone()),
        troubles: troubles.into_values().cloned().collect(),
        ending: members.iter().find_map(|member| member.ending.clone()),
    }
}
