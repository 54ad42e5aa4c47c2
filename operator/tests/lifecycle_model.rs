//! `lifecycle::next` under a model checker: an operator that may die between any two steps and sees the cluster late, with a Kafka that goes away, people who
//! delete and suspend, and pods that do their work or fail. Pure: no cluster, no clock.

use campaign::spec::DeletionPolicy;
use operator::lifecycle::{Account, Asked, Deletion, Journal, Producer, Seen, Step, WaitsFor, Workers, next};
use stateright::{Checker, Model, Property};

/// What may still go wrong or be asked for, each once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Event {
    Crash,
    KafkaGoes,
    UserDeletes,
    UserSuspends,
    GuardPauses,
    InputIsBad,
    JobIsDeleted,
    DeploymentIsDeleted,
    TopicsAreLost,
    /// Somebody makes them anew.
    TopicsAreEmptied,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Action {
    /// The operator looks and decides.
    Decide,
    /// It does the next step.
    Do,
    /// Its caches come up to date.
    Sync,
    Happens(Event),
    KafkaReturns,
    UserUnsuspends,
    UserResumes,
    InputIsMended,
    ProducerPins,
    ProducerPublishes,
    ProducerEnds,
    WorkersStart,
    WorkersStop,
    WorkersFinish,
}

/// The objects in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Objects {
    job: Producer,
    deployment: bool,
    asked: u32,
    pods: bool,
}

/// What is on Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Topics {
    exist: bool,
    account: Account,
}

/// What was so when the plan was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Planned {
    is_published: bool,
    had_job: bool,
    /// The topics of a campaign that was begun were empty.
    was_emptied: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct World {
    /// None: the resource is gone.
    resource: Option<Asked>,
    held: bool,
    was_pinned: bool,
    kafka_is_up: bool,
    topics: Topics,
    /// What the operator remembers of them.
    known: Option<Account>,
    objects: Objects,
    /// The same, as the operator's caches have it.
    cached: Objects,
    planned: Planned,
    bad_input: bool,
    plan: Vec<Step>,
    left: Vec<Event>,
    /// What must never happen, and did.
    broken: Option<&'static str>,
}

/// The decisions of a real operator, or of one that was broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mind {
    Sound,
    /// Publishes whenever there is no Job.
    TrustsJobs,
    /// Deletes topics by what its caches say.
    Hasty,
    /// Makes topics whenever there are none.
    Forgetful,
    /// Begins with empty topics, whatever was.
    Credulous,
    /// Never lets go of a deletion.
    Clinging,
}

struct Life {
    mind: Mind,
    policy: DeletionPolicy,
    events: Vec<Event>,
}

fn absent() -> Objects {
    Objects { job: Producer::Absent, deployment: false, asked: 0, pods: false }
}

impl World {
    fn seen(&self) -> Option<Seen> {
        let asked = self.resource?;
        let (topics, cached) = (&self.topics, &self.cached);
        let journal = match (self.kafka_is_up, topics.exist) {
            (false, _) => Journal::Silent(self.known),
            (true, true) => Journal::There(topics.account),
            (true, false) => Journal::Absent { already_sent: false },
        };
        let may_work = match &journal {
            Journal::There(account) | Journal::Silent(Some(account)) => {
                account.pinned && !account.ended && !account.paused && !asked.suspend
            }
            _ => false,
        };
        Some(Seen {
            asked: Asked { resume: asked.resume && topics.account.paused, ..asked },
            held: self.held,
            has_references: true,
            has_leftovers: false,
            was_pinned: self.was_pinned,
            journal,
            producer: cached.job,
            workers: Workers {
                exists: cached.deployment,
                asked: cached.asked,
                has_pods: cached.pods,
                wanted: Some(u32::from(may_work)),
                has_foreign_autoscaler: false,
            },
        })
    }

    fn decide(&mut self, mind: Mind) {
        let Some(seen) = self.seen() else { return };
        if let Journal::There(account) = &seen.journal {
            self.known = Some(*account);
            self.planned = Planned {
                is_published: account.published,
                had_job: seen.producer != Producer::Absent,
                was_emptied: self.was_pinned && !account.pinned,
            };
            self.was_pinned |= account.pinned;
        } else {
            self.planned = Planned { had_job: seen.producer != Producer::Absent, ..Planned::default() };
        }
        self.plan = next(&seen).steps;
        match mind {
            Mind::TrustsJobs if seen.producer == Producer::Absent && seen.asked.deletion.is_none() => {
                self.plan.push(Step::Publish);
            }
            Mind::Forgetful if matches!(seen.journal, Journal::Absent { .. }) && seen.asked.deletion.is_none() => {
                self.plan = vec![Step::EnsureTopics, Step::Publish];
            }
            Mind::Credulous if matches!(&seen.journal, Journal::There(account) if !account.pinned) => {
                self.plan = vec![Step::Publish];
            }
            _ => {}
        }
        if mind == Mind::Clinging {
            self.plan.retain(|step| *step != Step::Release);
        }
    }

    fn take(&mut self, step: Step, mind: Mind) {
        let needs_kafka =
            matches!(step, Step::EnsureTopics | Step::Suspend | Step::Unsuspend | Step::Resume | Step::DeleteTopics);
        if needs_kafka && !self.kafka_is_up {
            self.plan.clear();
            return;
        }
        let (topics, objects) = (&mut self.topics, &mut self.objects);
        let may_work = objects.pods || objects.asked > 0 || objects.job != Producer::Absent;
        if step == Step::DeleteTopics && may_work {
            if mind == Mind::Hasty {
                self.broken = Some("topics are deleted while somebody may work");
            }
            // The API server itself is asked first.
            self.plan.clear();
            return;
        }
        match step {
            Step::Hold => self.held = true,
            Step::Release => {
                self.held = false;
                if self.resource.is_some_and(|asked| asked.deletion.is_some()) {
                    self.resource = None;
                }
            }
            Step::WriteFile | Step::Autoscale | Step::RemoveAutoscaler => {}
            Step::EnsureTopics => {
                if !topics.exist && self.was_pinned {
                    self.broken = Some("topics of a campaign that was begun are made anew");
                }
                topics.exist = true;
                topics.account.is_as_declared = true;
            }
            Step::Publish => {
                // A Job that was seen is changed, not made. Made late, it finds its checkpoint, and publishes nothing.
                if objects.job == Producer::Absent && !self.planned.had_job {
                    if self.planned.is_published {
                        self.broken = Some("a published list is published again");
                    }
                    if self.planned.was_emptied {
                        self.broken = Some("a campaign that was begun is begun anew");
                    }
                    objects.job = Producer::Running { outdated: false };
                }
            }
            Step::RemoveProducer => objects.job = Producer::Absent,
            Step::Send => {
                if !objects.deployment {
                    (objects.deployment, objects.asked) = (true, 1);
                }
            }
            Step::Scale(workers) if objects.deployment => objects.asked = workers,
            Step::Scale(_) => self.plan.clear(),
            Step::Suspend => topics.account.suspended = true,
            Step::Unsuspend => topics.account.suspended = false,
            Step::Resume => topics.account.paused = false,
            Step::DeleteTopics => {
                if self.resource.is_none_or(|asked| asked.deletion.is_none()) {
                    self.broken = Some("topics of a campaign that goes on are deleted");
                }
                *topics = Topics::default();
            }
            Step::DeleteCampaign => self.resource = None,
        }
    }

    /// The operator goes on alone until nothing changes any more. None: it never comes to rest.
    fn settled(&self, mind: Mind) -> Option<Self> {
        let mut world = self.clone();
        world.plan.clear();
        for _ in 0..20 {
            let before = world.clone();
            world.cached = world.objects;
            world.decide(mind);
            for step in std::mem::take(&mut world.plan) {
                world.take(step, mind);
            }
            // Pods follow by themselves.
            world.objects.pods = world.objects.asked > 0 && world.objects.deployment;
            if world == before {
                return Some(world);
            }
        }
        None
    }

    /// Whether what is waited for is really missing.
    fn waits_for_what_is_missing(&self) -> bool {
        let Some(seen) = self.seen() else { return true };
        let (account, kafka) = (&self.topics.account, self.kafka_is_up);
        match next(&seen).waits_for {
            WaitsFor::Kafka => !kafka,
            WaitsFor::Topics => !self.topics.exist || !account.pinned,
            WaitsFor::Producer => {
                matches!(self.objects.job, Producer::Running { .. } | Producer::Done) || account.published
            }
            WaitsFor::Content => self.bad_input,
            WaitsFor::Resume => account.paused,
            WaitsFor::Unsuspension => seen.asked.suspend,
            WaitsFor::Workers => self.objects.asked > 0,
            WaitsFor::Pods => self.objects.pods,
            WaitsFor::Nothing if seen.asked.deletion.is_some() => !self.held || !kafka,
            WaitsFor::Nothing => account.ended && self.objects.asked == 0,
            WaitsFor::ValidSpec
            | WaitsFor::References
            | WaitsFor::Leftovers
            | WaitsFor::SendAgain
            | WaitsFor::Start => false,
        }
    }

    fn happens(&mut self, event: Event) {
        let asked = self.resource.as_mut();
        match event {
            Event::Crash => {
                self.plan.clear();
                self.known = None;
                self.cached = self.objects;
            }
            Event::KafkaGoes => self.kafka_is_up = false,
            Event::UserDeletes => {
                if self.held {
                    self.resource = asked.map(|asked| Asked { deletion: Some(Deletion { let_go: false }), ..*asked });
                } else {
                    // The cluster takes the objects along.
                    self.resource = None;
                    self.objects = absent();
                }
            }
            Event::UserSuspends => {
                if let Some(asked) = asked {
                    asked.suspend = true;
                }
            }
            Event::GuardPauses => self.topics.account.paused = true,
            Event::InputIsBad => {
                self.bad_input = true;
                self.objects.job = Producer::Failed { may_retry: false };
            }
            Event::JobIsDeleted => self.objects.job = Producer::Absent,
            Event::DeploymentIsDeleted => {
                (self.objects.deployment, self.objects.asked, self.objects.pods) = (false, 0, false);
            }
            Event::TopicsAreLost => self.topics = Topics::default(),
            Event::TopicsAreEmptied => {
                self.topics = Topics { exist: true, account: Account { is_as_declared: true, ..Account::default() } };
            }
        }
    }

    fn can_happen(&self, event: Event) -> bool {
        let account = &self.topics.account;
        match event {
            Event::Crash | Event::KafkaGoes => self.kafka_is_up,
            Event::UserDeletes | Event::UserSuspends => self.resource.is_some_and(|asked| asked.deletion.is_none()),
            Event::GuardPauses => self.objects.pods && account.pinned && !account.ended,
            Event::InputIsBad => matches!(self.objects.job, Producer::Running { .. }) && !account.pinned,
            Event::JobIsDeleted => self.objects.job != Producer::Absent,
            Event::DeploymentIsDeleted => self.objects.deployment,
            // Before anybody has said that it was pinned, it is as if it had never been.
            Event::TopicsAreLost | Event::TopicsAreEmptied => self.topics.exist && self.was_pinned,
        }
    }
}

impl Model for Life {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            resource: Some(Asked { policy: self.policy, ..Asked::default() }),
            held: false,
            was_pinned: false,
            kafka_is_up: true,
            topics: Topics::default(),
            known: None,
            objects: absent(),
            cached: absent(),
            planned: Planned::default(),
            bad_input: false,
            plan: Vec::new(),
            left: self.events.clone(),
            broken: None,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        let (account, objects) = (&world.topics.account, &world.objects);
        let runs = matches!(objects.job, Producer::Running { .. }) && world.topics.exist && world.kafka_is_up;
        let asked = world.resource.unwrap_or_default();
        let may = [
            (Action::Decide, world.plan.is_empty() && world.resource.is_some()),
            (Action::Do, !world.plan.is_empty()),
            (Action::Sync, world.cached != world.objects),
            (Action::KafkaReturns, !world.kafka_is_up),
            (Action::UserUnsuspends, asked.suspend),
            (Action::UserResumes, account.paused && !asked.resume && world.resource.is_some()),
            (Action::InputIsMended, world.bad_input),
            (Action::ProducerPins, runs && !account.pinned && !world.bad_input),
            (Action::ProducerPublishes, runs && account.pinned && !account.published),
            (Action::ProducerEnds, runs && account.published),
            (Action::WorkersStart, objects.asked > 0 && !objects.pods),
            (Action::WorkersStop, objects.asked == 0 && objects.pods),
            (
                Action::WorkersFinish,
                objects.pods
                    && world.kafka_is_up
                    && account.published
                    && !account.ended
                    && !account.paused
                    && !account.suspended,
            ),
        ];
        actions.extend(may.into_iter().filter(|(_, possible)| *possible).map(|(action, _)| action));
        let events = world.left.iter().copied().filter(|event| world.can_happen(*event));
        actions.extend(events.map(Action::Happens));
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut world = world.clone();
        match action {
            Action::Decide => world.decide(self.mind),
            Action::Do => {
                let step = world.plan.remove(0);
                world.take(step, self.mind);
            }
            Action::Sync => world.cached = world.objects,
            Action::Happens(event) => {
                world.left.retain(|left| *left != event);
                world.happens(event);
            }
            Action::KafkaReturns => world.kafka_is_up = true,
            Action::UserUnsuspends => world.resource.iter_mut().for_each(|asked| asked.suspend = false),
            Action::UserResumes => world.resource.iter_mut().for_each(|asked| asked.resume = true),
            Action::InputIsMended => {
                world.bad_input = false;
                if matches!(world.objects.job, Producer::Failed { .. }) {
                    world.objects.job = Producer::Failed { may_retry: true };
                }
            }
            Action::ProducerPins => world.topics.account.pinned = true,
            Action::ProducerPublishes => world.topics.account.published = true,
            Action::ProducerEnds => world.objects.job = Producer::Done,
            Action::WorkersStart => world.objects.pods = true,
            Action::WorkersStop => world.objects.pods = false,
            Action::WorkersFinish => world.topics.account.ended = true,
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("nothing happens that must never happen", |_, world: &World| world.broken.is_none()),
            Property::always(
                "the operator comes to rest, and what it waits for is really missing",
                |life: &Self, world: &World| {
                    world.settled(life.mind).is_some_and(|world| world.waits_for_what_is_missing())
                },
            ),
            Property::sometimes("a campaign ends", |_, world: &World| {
                world.topics.account.ended && world.objects.asked == 0 && world.plan.is_empty()
            }),
            Property::sometimes("a deleted campaign is gone", |life: &Self, world: &World| {
                world.resource.is_none() && (life.policy == DeletionPolicy::Retain || !world.topics.exist)
            }),
        ]
    }
}

const EVENTS: [Event; 10] = [
    Event::Crash,
    Event::KafkaGoes,
    Event::UserDeletes,
    Event::UserSuspends,
    Event::GuardPauses,
    Event::InputIsBad,
    Event::JobIsDeleted,
    Event::DeploymentIsDeleted,
    Event::TopicsAreLost,
    Event::TopicsAreEmptied,
];

#[expect(clippy::print_stdout, reason = "how much was explored is what one wants to see of a model checker")]
fn explored(life: Life) -> Vec<(&'static str, Vec<Action>)> {
    let scene = format!("{:?}, {:?}, {:?}", life.mind, life.policy, life.events);
    let checker = life.checker().threads(2).spawn_bfs().join();
    println!("{scene}: {} states", checker.unique_state_count());
    let failed = checker.model().properties().into_iter().filter_map(|property| {
        let found = checker.discovery(property.name).map(stateright::Path::into_actions);
        let is_wrong = found.is_some() == property.expectation.discovery_is_failure();
        is_wrong.then(|| (property.name, found.unwrap_or_default()))
    });
    failed.collect()
}

/// A deletion, and every two of the rest.
fn scenes() -> Vec<Vec<Event>> {
    let mut scenes = vec![EVENTS[..3].to_vec()];
    let others: Vec<Event> = EVENTS.into_iter().filter(|event| *event != Event::UserDeletes).collect();
    for (index, one) in others.iter().enumerate() {
        scenes.extend(others[index + 1..].iter().map(|other| vec![Event::UserDeletes, *one, *other]));
    }
    scenes
}

#[test]
fn whatever_happens_nothing_is_published_twice_topics_go_last_and_every_wait_has_a_name() {
    for policy in [DeletionPolicy::Delete, DeletionPolicy::Retain] {
        for events in scenes() {
            let failed = explored(Life { mind: Mind::Sound, policy, events: events.clone() });
            assert!(failed.is_empty(), "{policy:?} {events:?}: {failed:#?}");
        }
    }
}

#[test]
fn an_operator_that_is_broken_on_purpose_is_found_out() {
    for (mind, events) in [
        (Mind::TrustsJobs, vec![Event::UserDeletes, Event::JobIsDeleted]),
        (Mind::Hasty, vec![Event::UserDeletes]),
        (Mind::Forgetful, vec![Event::UserDeletes, Event::TopicsAreLost]),
        (Mind::Credulous, vec![Event::UserDeletes, Event::TopicsAreEmptied, Event::JobIsDeleted]),
        (Mind::Clinging, vec![Event::UserDeletes]),
    ] {
        let failed = explored(Life { mind, policy: DeletionPolicy::Delete, events });
        assert!(!failed.is_empty(), "{mind:?}");
    }
}
