//! From what was observed to what decides. Pure: the clock is an argument.

use crate::build::{FINALIZER, INPUTS, MADE_OF};
use crate::job::KeptJob;
use crate::lifecycle::{Account, Asked, Deletion, Journal, Producer, Seen, Workers};
use crate::observed::{Kafka, Observed, Pace, is_alive};
use crate::resource::{Campaign, Kind};
use crate::scaling::{self, Demand};
use campaign::spec::DeletionPolicy;
use campaign::status::{ConditionType, Phase};
use campaign::{Schedule, ValidCampaign};
use jiff::{SignedDuration, Timestamp};
use journal::kafka::Survey;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::{Job, JobCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize as _;
use std::time::Duration;

/// The old campaign's uids, separated by commas: everybody may be mailed again.
pub const SEND_AGAIN: &str = "mailcampaign.io/send-again";
/// The time of the pause that a person ends.
pub const RESUME: &str = "mailcampaign.io/resume";
/// `true`: a deletion waits for Kafka no more.
pub const LET_GO: &str = "mailcampaign.io/let-go";

/// A Job that gave up for a reason that may pass is tried again after this long.
const RETRY: SignedDuration = SignedDuration::from_mins(2);
/// Input of no use that stands where no change is told of is looked at again after this long.
const RETRY_OF_INPUT: SignedDuration = SignedDuration::from_mins(5);

/// What a look at a campaign is made of.
pub struct Look<'a> {
    /// The resource.
    pub campaign: &'a Campaign,
    /// The same, if it obeys every rule.
    pub valid: Option<&'a ValidCampaign>,
    /// What was observed.
    pub observed: &'a Observed,
    /// What the Job is to be, if it can be built.
    pub producer: Option<&'a Job>,
    /// How fast it goes.
    pub pace: Pace,
    /// How long a deletion may wait for Kafka.
    pub deletion_deadline: SignedDuration,
    /// Now.
    pub now: Timestamp,
}

impl Look<'_> {
    /// What decides.
    pub fn seen(&self) -> Seen {
        let observed = self.observed;
        Seen {
            asked: self.asked(),
            held: self.campaign.has_finalizer(FINALIZER),
            has_references: observed.references.missing.is_empty(),
            has_leftovers: !observed.leftovers.is_empty(),
            was_pinned: self.said(ConditionType::Validated),
            journal: self.journal(),
            producer: self.producer(),
            workers: self.workers(),
        }
    }

    fn said(&self, condition: ConditionType) -> bool {
        self.campaign.status.as_ref().is_some_and(|status| status.is_true(condition))
    }

    fn asked(&self) -> Asked {
        // As they are written: a resource that breaks some other rule asks for them, too.
        let document = self.campaign.document();
        let (policy, suspend) = (&document["spec"]["deletionPolicy"], &document["spec"]["suspend"]);
        let paused = self.observed.kafka.survey().and_then(|survey| survey.paused.as_ref());
        Asked {
            deletion: self.campaign.metadata.deletion_timestamp.as_ref().map(|since| Deletion {
                let_go: self.campaign.annotation(LET_GO) == Some("true")
                    || self.now.duration_since(since.0) > self.deletion_deadline,
            }),
            is_invalid: self.valid.is_none(),
            suspend: *suspend == true,
            resume: paused.is_some_and(|paused| self.campaign.annotation(RESUME) == Some(&paused.at.to_string())),
            expired: self.expires_at().is_some_and(|at| at <= self.now),
            policy: DeletionPolicy::deserialize(policy).unwrap_or_default(),
        }
    }

    /// When the resource is to be deleted: so long after its end.
    pub fn expires_at(&self) -> Option<Timestamp> {
        let ttl = self.valid?.spec.ttl_seconds_after_finished?;
        let status = self.campaign.status.as_ref().filter(|status| status.phase == Some(Phase::Completed))?;
        status.completion_time.as_ref()?.0.checked_add(SignedDuration::from_secs(i64::from(ttl))).ok()
    }

    fn journal(&self) -> Journal {
        match &self.observed.kafka {
            Kafka::NotAsked if self.is_at_rest() => Journal::There(self.account_at_rest()),
            Kafka::NotAsked => Journal::Silent(None),
            Kafka::Silent { last, .. } => Journal::Silent(last.as_ref().map(|survey| self.account(survey))),
            Kafka::Absent { sent } => {
                let agreed = self.campaign.annotation(SEND_AGAIN).unwrap_or_default();
                let is_agreed = |uid: &String| agreed.split(',').any(|agreed| agreed.trim() == uid);
                Journal::Absent { already_sent: !sent.iter().all(is_agreed) }
            }
            Kafka::Gone { .. } => Journal::Gone,
            Kafka::There(survey) => Journal::There(self.account(survey)),
        }
    }

    /// Whether its end was told, also by its phase: one that is being deleted keeps only the condition.
    fn is_at_rest(&self) -> bool {
        let phase = self.campaign.status.as_ref().and_then(|status| status.phase);
        self.campaign.is_said_to_have_ended() && phase == Some(Phase::Completed)
    }

    fn account_at_rest(&self) -> Account {
        let suspended = self.valid.is_some_and(|valid| valid.spec.suspend);
        Account { is_as_declared: true, pinned: true, published: true, ended: true, suspended, ..Account::default() }
    }

    fn account(&self, survey: &Survey) -> Account {
        let waiting = self.valid.and_then(|valid| Schedule::of(valid).waiting(self.now));
        Account {
            is_as_declared: self.valid.is_none_or(|valid| survey.partitions >= valid.spec.kafka.partitions),
            pinned: survey.pin.is_some(),
            published: survey.published,
            ended: has_ended(survey),
            suspended: survey.suspended.is_some(),
            paused: survey.paused.is_some(),
            waits_for_start: waiting.is_some_and(|waiting| waiting.reason == campaign::schedule::WaitingFor::Start),
        }
    }

    fn producer(&self) -> Producer {
        let Some(job) = &self.observed.children.producer else { return Producer::Absent };
        if job.metadata.deletion_timestamp.is_some() {
            return Producer::Ending;
        }
        if condition(job, "Complete").is_some() {
            return Producer::Done;
        }
        let is_other = |annotation: &str| {
            self.producer.is_some_and(|wanted| {
                annotation_of(&job.metadata, annotation) != annotation_of(&wanted.metadata, annotation)
            })
        };
        match condition(job, "Failed") {
            Some(failed) => {
                let is_for_good = failed.reason.as_deref() == Some("PodFailurePolicy");
                let since = failed.last_transition_time.as_ref().map_or(self.now, |time| time.0);
                let retry = if is_for_good { self.retry_of_input() } else { Some(RETRY) };
                let may_pass = retry.is_some_and(|retry| self.now.duration_since(since) > retry);
                Producer::Failed { may_retry: may_pass || is_other(INPUTS) }
            }
            None => Producer::Running { outdated: is_other(MADE_OF) },
        }
    }

    /// After how long input that was of no use is looked at again; none: when it changes, which the cluster tells of what it keeps itself.
    pub fn retry_of_input(&self) -> Option<SignedDuration> {
        let is_in_volume = self.campaign.refers_to.iter().any(|named| named.kind == Kind::Claim);
        let is_on_web = self.valid.is_some_and(|valid| valid.spec.recipients.source.http.is_some());
        (is_in_volume || is_on_web).then_some(RETRY_OF_INPUT)
    }

    fn workers(&self) -> Workers {
        let children = &self.observed.children;
        let deployment = children.workers.as_ref().filter(|found| found.metadata.deletion_timestamp.is_none());
        let asked = deployment.and_then(|found| found.spec.replicas).unwrap_or(0);
        let asked = u32::try_from(asked).unwrap_or(0);
        let (has_foreign_autoscaler, wanted) = (children.has_foreign_autoscaler, self.wanted(asked));
        // It scales from one on, never from none.
        let is_others_to_say = has_foreign_autoscaler && self.may_work() && (asked > 0 || wanted == 0);
        Workers {
            exists: deployment.is_some(),
            asked,
            has_pods: children.pods.iter().any(|pod| is_alive(pod)) || deployment.is_some_and(|found| has_pods(found)),
            wanted: (!is_others_to_say).then_some(wanted),
            has_foreign_autoscaler,
        }
    }

    /// Whether its list is being published, or mails are on their way.
    pub fn is_under_way(&self) -> bool {
        let survey = self.observed.kafka.survey();
        survey.is_some_and(|survey| survey.pin.is_some() && (!survey.published || survey.in_flight > 0))
    }

    /// Whether there is any work for workers.
    fn may_work(&self) -> bool {
        let survey = self.observed.kafka.survey();
        survey.is_some_and(|survey| survey.pin.is_some() && !has_ended(survey)) && !self.is_held()
    }

    /// Whether nothing may be sent until a person says so.
    fn is_held(&self) -> bool {
        let paused = self.observed.kafka.survey().is_some_and(|survey| survey.paused.is_some());
        paused || self.valid.is_some_and(|valid| valid.spec.suspend)
    }

    fn wanted(&self, asked: u32) -> u32 {
        match (self.demand(), self.may_work()) {
            (Some(demand), true) => scaling::replicas(&demand, asked),
            _ => 0,
        }
    }

    /// What the workers have to do; none while nobody knows.
    pub fn demand(&self) -> Option<Demand> {
        let (valid, survey) = (self.valid?, self.observed.kafka.survey()?);
        let schedule = Schedule::of(valid);
        let waiting = schedule.waiting(self.now);
        let from_now = |at: Timestamp| Duration::try_from(at.duration_since(self.now)).unwrap_or_default();
        let is_open = waiting.is_none() && !self.is_held();
        let opens_in = waiting.and_then(|waiting| waiting.until).map(from_now);
        let partitions = valid.spec.kafka.partitions.max(survey.partitions);
        Some(Demand {
            due: due(survey, self.now),
            rate_per_second: valid.spec.delivery.rate.as_ref().and_then(|rate| rate.per_second),
            min: valid.spec.workers.min_replicas,
            max: valid.spec.workers.most(valid.spec.kafka.partitions),
            partitions,
            is_open,
            opens_in,
            next_due_in: survey.next_due.map(from_now),
            in_flight: survey.in_flight,
            capacity_per_worker: self.pace.per_worker,
        })
    }
}

/// Every mail has its end: none is waiting, on its way, or was left behind by a worker that died.
pub fn has_ended(survey: &Survey) -> bool {
    survey.published && survey.counts.unfinished() == 0 && survey.left_behind == 0
}

/// Messages that could be sent now and that nobody has claimed.
fn due(survey: &Survey, now: Timestamp) -> u64 {
    let unfinished = survey.counts.unfinished() + survey.left_behind;
    let waits = if survey.next_due.is_some_and(|due| due <= now) { 0 } else { survey.waiting };
    unfinished.saturating_sub(survey.in_flight).saturating_sub(waits)
}

/// Whether there may be pods of a Deployment that aren't seen yet.
fn has_pods(deployment: &Deployment) -> bool {
    let Some(status) = &deployment.status else { return true };
    status.replicas.unwrap_or(0) > 0 || status.observed_generation != deployment.metadata.generation
}

/// A condition of a Job that is true.
fn condition<'j>(job: &'j KeptJob, name: &str) -> Option<&'j JobCondition> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == name && condition.status == "True")
}

fn annotation_of<'j>(metadata: &'j ObjectMeta, name: &str) -> Option<&'j String> {
    metadata.annotations.as_ref()?.get(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    /// Whether a producer that gave up on its input so long ago may try again.
    fn may_retry(source: &serde_json::Value, minutes: i64) -> bool {
        let document = json!({
            "apiVersion": "mailcampaign.io/v1alpha1", "kind": "MailCampaign", "metadata": {"name": "offers", "namespace": "hr", "uid": "40cf1c37-5b0e-4c70-9d0f-6a3c1f1e2b11"},
            "spec": {
                "recipients": {"source": source, "emailColumn": "Email"},
                "message": {"from": "people@example.com", "subject": "Hello", "text": {"inline": "Hello"}},
                "delivery": {"backends": [{"name": "relay", "smtp": {"host": "relay.example.com", "tls": "None"}}]},
            },
        });
        let campaign: Campaign = serde_json::from_value(document).expect("a campaign");
        let valid = campaign::rules::parse(&campaign.document()).expect("no mistake");
        let job: KeptJob = serde_json::from_value(json!({"status": {"conditions": [{
            "type": "Failed", "status": "True", "reason": "PodFailurePolicy", "lastTransitionTime": "2027-03-01T08:00:00Z",
        }]}}))
        .expect("a Job");
        let mut observed = Observed::default();
        observed.children.producer = Some(Arc::new(job));
        let since: Timestamp = "2027-03-01T08:00:00Z".parse().expect("a time");
        let look = Look {
            campaign: &campaign,
            valid: Some(&valid),
            observed: &observed,
            producer: None,
            pace: Pace::default(),
            deletion_deadline: SignedDuration::from_mins(1),
            now: since + SignedDuration::from_mins(minutes),
        };
        look.producer() == Producer::Failed { may_retry: true }
    }

    #[test]
    fn bad_input_is_looked_at_again_by_the_clock_only_where_the_cluster_does_not_tell_of_a_change() {
        let config_map = json!({"configMap": {"name": "list", "key": "list.csv"}});
        let volume = json!({"persistentVolumeClaim": {"claimName": "lists", "path": "list.csv"}});
        let web = json!({"http": {"url": "https://lists.example.com/list.csv", "sha256": "0".repeat(64)}});
        assert_eq!([4, 6, 600].map(|minutes| may_retry(&config_map, minutes)), [false; 3]);
        for source in [volume, web] {
            assert_eq!([4, 6].map(|minutes| may_retry(&source, minutes)), [false, true], "{source}");
        }
    }
}
