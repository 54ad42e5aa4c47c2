//! What is to be done next for a campaign. Pure: what was seen goes in, a decision comes out; no clock, no I/O, and the same answer for the same question.
//!
//! The order of a campaign's life: its topics, the producers (the first looks at the whole list and pins it), the workers as soon as it is pinned, and
//! nothing any more once every mail has its end. Whether the list is published is read from the journal, never from a Job.

use campaign::spec::DeletionPolicy;
use campaign::status::Phase;

/// What was seen of a campaign, reduced to what decides.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Seen {
    /// What its resource asks for.
    pub asked: Asked,
    /// The resource has the finalizer.
    pub held: bool,
    /// Its pods find everything that they mount.
    pub has_references: bool,
    /// Objects of an earlier campaign of this name are still there.
    pub has_leftovers: bool,
    /// Its status says that the content was pinned.
    pub was_pinned: bool,
    /// What stands on Kafka.
    pub journal: Journal,
    /// The Job.
    pub producer: Producer,
    /// The Deployment.
    pub workers: Workers,
}

/// What the resource asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Asked {
    /// It is being deleted.
    pub deletion: Option<Deletion>,
    /// It breaks a rule.
    pub is_invalid: bool,
    /// `spec.suspend`.
    pub suspend: bool,
    /// A person lets a paused campaign go on.
    pub resume: bool,
    /// `spec.ttlSecondsAfterFinished` is over.
    pub expired: bool,
    /// `spec.deletionPolicy`.
    pub policy: DeletionPolicy,
}

/// How a campaign is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Deletion {
    /// It has taken too long, or a person says not to wait for Kafka.
    pub let_go: bool,
}

/// What stands on Kafka.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Journal {
    /// Kafka doesn't answer, or not as it must; with what was known last.
    Silent(Option<Account>),
    /// No topics.
    Absent {
        /// Another campaign of this name has sent mails, and nobody says that they are to be sent again.
        already_sent: bool,
    },
    /// Topics of a campaign that was begun are gone.
    Gone,
    /// It stands.
    There(Account),
}

/// How far the campaign is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Account {
    /// The topics have as many partitions as are declared.
    pub is_as_declared: bool,
    /// The list was looked at and its content is pinned.
    pub pinned: bool,
    /// The whole list is published.
    pub published: bool,
    /// Every mail has its end, or waits for a person.
    pub ended: bool,
    /// Suspended by its resource.
    pub suspended: bool,
    /// Paused by a worker: the guard, or a sender that is refused.
    pub paused: bool,
    /// Waiting for `startAt`.
    pub waits_for_start: bool,
}

/// The Job that publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Producer {
    /// There is none.
    Absent,
    /// It is at work, or its pods can't start.
    Running {
        /// It isn't what is declared now.
        outdated: bool,
    },
    /// All its pods have ended well.
    Done,
    /// It has given up.
    Failed {
        /// What it failed on was changed since, or enough time is over.
        may_retry: bool,
    },
    /// It is being deleted.
    Ending,
}

/// The Deployment that sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Workers {
    /// It is there.
    pub exists: bool,
    /// As many pods are asked for.
    pub asked: u32,
    /// Pods of producers or workers are there.
    pub has_pods: bool,
    /// As many pods could help now; none: somebody else's to decide.
    pub wanted: Option<u32>,
    /// Somebody else's autoscaler scales them.
    pub has_foreign_autoscaler: bool,
}

/// Something to do. Each may be done again without harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Put the finalizer on.
    Hold,
    /// Take the finalizer off.
    Release,
    /// Write the campaign's file as its pods read it.
    WriteFile,
    /// Make the topics, or let them grow.
    EnsureTopics,
    /// Have the producers run: the first alone, until it has looked at the whole list.
    Publish,
    /// Delete the Job, with its pods.
    RemoveProducer,
    /// Have the workers' Deployment as declared.
    Send,
    /// Have the autoscaler as declared.
    Autoscale,
    /// No autoscaler any more.
    RemoveAutoscaler,
    /// So many workers.
    Scale(u32),
    /// Write down that it is suspended.
    Suspend,
    /// Write down that it is not suspended any more.
    Unsuspend,
    /// Write down that a person lets it go on.
    Resume,
    /// Delete the topics.
    DeleteTopics,
    /// Delete the resource: its time is over.
    DeleteCampaign,
}

/// What a campaign can't go on without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaitsFor {
    /// A corrected resource.
    ValidSpec,
    /// Objects that it refers to.
    References,
    /// Objects of an earlier campaign of this name, to be gone.
    Leftovers,
    /// Kafka.
    Kafka,
    /// Somebody who says that everybody is to be mailed again.
    SendAgain,
    /// The topics, which are gone.
    Topics,
    /// The producers.
    Producer,
    /// A list or message that the producers can use.
    Content,
    /// Pods that are ending.
    Pods,
    /// A person who resumes it.
    Resume,
    /// `spec.suspend: false`.
    Unsuspension,
    /// `startAt`.
    Start,
    /// The workers.
    Workers,
    /// Nothing: it has ended.
    Nothing,
}

/// What follows from what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Where the campaign is in its life.
    pub phase: Phase,
    /// What it waits for when the steps are done.
    pub waits_for: WaitsFor,
    /// What to do, in this order; what fails ends the row.
    pub steps: Vec<Step>,
}

impl Decision {
    /// The steps to do now. Of a campaign that has nothing yet while others wait: up to its file, which costs little, so that each has something soon.
    pub fn steps_for_now(&self, is_new_among_many: bool) -> &[Step] {
        let file = self.steps.iter().position(|step| is_new_among_many && *step == Step::WriteFile);
        file.map_or(&self.steps, |file| &self.steps[..=file])
    }
}

/// What is to be done next.
pub fn next(seen: &Seen) -> Decision {
    if let Some(deletion) = seen.asked.deletion {
        return delete(seen, deletion);
    }
    if seen.asked.is_invalid {
        return while_invalid(seen);
    }
    if seen.asked.expired {
        return decided(Phase::Completed, WaitsFor::Nothing, vec![Step::DeleteCampaign]);
    }
    if seen.has_leftovers {
        return decided(Phase::Pending, WaitsFor::Leftovers, Vec::new());
    }
    match &seen.journal {
        Journal::Silent(None) => decided(Phase::Pending, WaitsFor::Kafka, Vec::new()),
        Journal::Silent(Some(account)) => while_silent(seen, *account),
        Journal::Gone => stop(seen, WaitsFor::Topics),
        Journal::Absent { .. } if seen.was_pinned || seen.producer == Producer::Done => stop(seen, WaitsFor::Topics),
        Journal::Absent { already_sent: true } => stop(seen, WaitsFor::SendAgain),
        Journal::Absent { already_sent: false } => begin(seen, Account::default()),
        // Made anew by somebody, but not what was in them: begun once more, everybody would get a second mail.
        Journal::There(account) if seen.was_pinned && !account.pinned => stop(seen, WaitsFor::Topics),
        Journal::There(account) if account.ended && account.published => end(seen, *account),
        Journal::There(account) => begin(seen, *account),
    }
}

/// What runs goes on as it was declared last, but for a suspension.
fn while_invalid(seen: &Seen) -> Decision {
    let mut steps = Vec::new();
    if seen.asked.suspend {
        if let Journal::There(account) = &seen.journal
            && !account.suspended
        {
            steps.push(Step::Suspend);
        }
        stop_workers(seen, &mut steps);
    }
    decided(Phase::Failed, WaitsFor::ValidSpec, steps)
}

/// Workers end first, then the topics go, if that is asked for, and then the resource may.
fn delete(seen: &Seen, deletion: Deletion) -> Decision {
    let mut steps = Vec::new();
    if !matches!(seen.producer, Producer::Absent | Producer::Ending) {
        steps.push(Step::RemoveProducer);
    }
    stop_workers(seen, &mut steps);
    if deletion.let_go {
        steps.extend(seen.held.then_some(Step::Release));
        return decided(Phase::Deleting, WaitsFor::Nothing, steps);
    }
    if !steps.is_empty() || seen.workers.has_pods || seen.producer == Producer::Ending {
        return decided(Phase::Deleting, WaitsFor::Pods, steps);
    }
    if seen.held && seen.asked.policy == DeletionPolicy::Delete {
        steps.push(Step::DeleteTopics);
    }
    steps.extend(seen.held.then_some(Step::Release));
    decided(Phase::Deleting, WaitsFor::Nothing, steps)
}

/// The finalizer is there while topics are to be deleted, and only then.
fn hold(seen: &Seen) -> Option<Step> {
    match (seen.asked.policy, seen.held) {
        (DeletionPolicy::Delete, false) => Some(Step::Hold),
        (DeletionPolicy::Retain, true) => Some(Step::Release),
        _ => None,
    }
}

/// Nothing is begun, and what sends is stopped.
fn stop(seen: &Seen, waits_for: WaitsFor) -> Decision {
    let mut steps: Vec<Step> = hold(seen).into_iter().collect();
    if matches!(seen.producer, Producer::Running { .. }) {
        steps.push(Step::RemoveProducer);
    }
    stop_workers(seen, &mut steps);
    decided(Phase::Failed, waits_for, steps)
}

fn stop_workers(seen: &Seen, steps: &mut Vec<Step>) {
    if seen.workers.exists && seen.workers.asked > 0 {
        steps.extend([Step::RemoveAutoscaler, Step::Scale(0)]);
    }
}

/// Kafka doesn't answer: what runs is kept as declared, nothing is begun and nothing is scaled. Only a suspension can't wait: without its record the workers
/// are ended.
fn while_silent(seen: &Seen, account: Account) -> Decision {
    let mut steps: Vec<Step> = hold(seen).into_iter().collect();
    if seen.asked.suspend && !account.suspended {
        stop_workers(seen, &mut steps);
    } else if account.pinned && seen.workers.exists {
        steps.extend([Step::WriteFile, Step::Send]);
    }
    decided(phase_of(seen, account), WaitsFor::Kafka, steps)
}

/// Towards the end: topics, list, workers.
fn begin(seen: &Seen, account: Account) -> Decision {
    let mut steps: Vec<Step> = hold(seen).into_iter().collect();
    let has_topics = matches!(seen.journal, Journal::There(_));
    if has_topics {
        // Before everything that may fail: it stops the mails.
        write_down(seen, account, &mut steps);
    }
    if !seen.has_references && !account.published {
        if is_held(seen, account) {
            stop_workers(seen, &mut steps);
            return decided(Phase::Paused, waits_for(seen, account, false), steps);
        }
        // What runs may go on with what it has.
        return decided(Phase::Pending, WaitsFor::References, steps);
    }
    steps.push(Step::WriteFile);
    if !account.is_as_declared && !account.pinned {
        steps.push(Step::EnsureTopics);
    }
    if !has_topics {
        write_down(seen, account, &mut steps);
    }
    let failed = !account.published && publish(seen, &mut steps);
    if account.pinned {
        send(seen, &mut steps);
        // Growing may be refused; what runs doesn't wait for it.
        steps.extend((!account.is_as_declared).then_some(Step::EnsureTopics));
    }
    let phase = if failed { Phase::Failed } else { phase_of(seen, account) };
    decided(phase, waits_for(seen, account, failed), steps)
}

/// What the resource asks of the workers is written where they read it.
fn write_down(seen: &Seen, account: Account, steps: &mut Vec<Step>) {
    match (seen.asked.suspend, account.suspended) {
        (true, false) => steps.push(Step::Suspend),
        (false, true) => steps.push(Step::Unsuspend),
        _ => {}
    }
    if account.paused && seen.asked.resume {
        steps.push(Step::Resume);
    }
}

/// Whether nothing is sent until somebody says so.
fn is_held(seen: &Seen, account: Account) -> bool {
    account.pinned && (account.paused || account.suspended || seen.asked.suspend)
}

/// Has the producers run. Returns whether they have failed for good.
fn publish(seen: &Seen, steps: &mut Vec<Step>) -> bool {
    match seen.producer {
        Producer::Absent | Producer::Running { outdated: false } => steps.push(Step::Publish),
        Producer::Running { outdated: true } | Producer::Failed { may_retry: true } => steps.push(Step::RemoveProducer),
        Producer::Failed { may_retry: false } => return true,
        // The journal says so in a moment.
        Producer::Done | Producer::Ending => {}
    }
    false
}

fn send(seen: &Seen, steps: &mut Vec<Step>) {
    let is_wanted = seen.workers.wanted != Some(0) && seen.has_references;
    if !seen.workers.exists && !is_wanted {
        return;
    }
    steps.push(Step::Send);
    // Two autoscalers of the same pods are none.
    let is_others = seen.workers.has_foreign_autoscaler;
    steps.push(if is_others || seen.workers.wanted == Some(0) { Step::RemoveAutoscaler } else { Step::Autoscale });
    if let Some(wanted) = seen.workers.wanted
        && (wanted != seen.workers.asked || !seen.workers.exists)
    {
        steps.push(Step::Scale(wanted));
    }
}

/// Every mail has its end: nobody works any more. A person may still decide about mails, so a suspension is written down as ever.
fn end(seen: &Seen, account: Account) -> Decision {
    let mut steps: Vec<Step> = hold(seen).into_iter().collect();
    if seen.workers.exists {
        steps.push(Step::RemoveAutoscaler);
        steps.extend((seen.workers.asked > 0).then_some(Step::Scale(0)));
    }
    write_down(seen, account, &mut steps);
    decided(Phase::Completed, WaitsFor::Nothing, steps)
}

fn phase_of(seen: &Seen, account: Account) -> Phase {
    if !account.pinned {
        return Phase::Validating;
    }
    if account.ended && account.published {
        return Phase::Completed;
    }
    if is_held(seen, account) {
        return Phase::Paused;
    }
    if !account.published {
        return Phase::Loading;
    }
    if account.waits_for_start { Phase::Scheduled } else { Phase::Sending }
}

fn waits_for(seen: &Seen, account: Account, failed: bool) -> WaitsFor {
    match () {
        () if failed => WaitsFor::Content,
        () if account.pinned && account.paused => WaitsFor::Resume,
        () if account.pinned && seen.asked.suspend => WaitsFor::Unsuspension,
        () if !account.published => WaitsFor::Producer,
        () if account.waits_for_start => WaitsFor::Start,
        () => WaitsFor::Workers,
    }
}

fn decided(phase: Phase, waits_for: WaitsFor, steps: Vec<Step>) -> Decision {
    Decision { phase, waits_for, steps }
}

#[cfg(test)]
mod tests;
