//! Pods of the operator, of producers and of workers that are deleted by force all the time; leaders that die and freeze.

use crate::campaign::Campaign;
use crate::cluster::{SYSTEM, Use};
use crate::world::{PATIENCE, World, kill, until};
use campaign::MailCampaignStatus;
use campaign::status::{ConditionType, Phase};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use serde_json::json;
use std::process::Command;
use std::time::{Duration, Instant};

const SEED: u64 = 20_270_301;
const ROWS: u64 = 20_000;

/// splitmix64: the same moments for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

fn operators(world: &World) -> Api<Pod> {
    Api::namespaced(world.client.clone(), SYSTEM)
}

async fn operator_pods(world: &World) -> Vec<Pod> {
    let labels = "app.kubernetes.io/instance=mc,app.kubernetes.io/component=operator";
    let listed = operators(world).list(&ListParams::default().labels(labels)).await.expect("pods are listed");
    listed.items
}

#[tokio::test]
async fn e2e_a_campaign_of_20_000_is_exact_though_pods_are_deleted_by_force_all_the_time() {
    let _alone = Use::alone().await;
    let world = World::new("storm").await;
    world.put_list(ROWS).await;
    let differs = json!({
        "delivery": {"rate": {"perSecond": 500}}, "producer": {"shards": 2},
        "workers": {"minReplicas": 3, "maxReplicas": 4}, "kafka": {"partitions": 8},
    });
    let campaign = world.campaign("notices", differs).await;
    let job =
        until("the Job", PATIENCE, async || world.api::<Job>().get_opt("notices-producer").await.expect("an answer"))
            .await;
    let killed = storm(&world, &campaign).await;
    let [operators, producers, workers, at_once] = killed;
    println!(
        "deleted by force: {operators} operators, {producers} producers, {workers} workers; {at_once} workers killed"
    );
    assert!(killed[..3].iter().all(|count| *count > 0), "nobody of a kind was deleted: {killed:?}");
    let counts = campaign.ends_exactly(ROWS).await;
    if at_once > 0 {
        // As it declares, nobody gets those again: a person decides. First it may be told that workers were killed.
        let is_told = |status: &MailCampaignStatus| {
            status.condition(ConditionType::Degraded).is_some_and(|one| one.reason == "UnknownRecipients")
        };
        if counts.unknown > 0 {
            campaign.status_until("Degraded: UnknownRecipients", is_told).await;
        }
    }
    println!("{} delivered, {} unknown, {} mails", counts.delivered, counts.unknown, campaign.mails().len());
    let still = world.api::<Job>().get("notices-producer").await.expect("the Job");
    assert_eq!(still.uid(), job.uid(), "the list was published by one Job");
    world.leave().await;
}

/// Deletes pods at random moments as long as less than nine of ten mails were sent, and kills workers: how many of each kind. A pod that is deleted hears
/// of it and hands back what it has claimed; one that is killed leaves it behind.
async fn storm(world: &World, campaign: &Campaign<'_>) -> [usize; 4] {
    let mut dice = Dice(SEED);
    let mut killed = [0; 4];
    let deadline = Instant::now() + PATIENCE;
    while (campaign.mails().len() as u64) < ROWS * 9 / 10 {
        assert!(Instant::now() < deadline, "it doesn't get on: {} mails", campaign.mails().len());
        tokio::time::sleep(Duration::from_millis(300 + dice.below(1_500))).await;
        let producers = world.pods_of("notices", "producer").await;
        // They live for a few seconds only.
        let kind = if !producers.is_empty() && dice.below(2) == 0 {
            1
        } else {
            [0, 2, 2][usize::try_from(dice.below(3)).expect("small")]
        };
        let (pods, api) = match kind {
            0 => (operator_pods(world).await, operators(world)),
            1 => (producers, world.api()),
            _ => (world.pods_of("notices", "worker").await, world.api()),
        };
        if pods.is_empty() {
            continue;
        }
        let pod = &pods[usize::try_from(dice.below(pods.len() as u64)).expect("small")];
        let processes = if kind == 2 && dice.below(2) == 0 { processes_of(pod) } else { Vec::new() };
        if processes.is_empty() {
            kill(&api, &pod.name_any()).await;
            killed[kind] += 1;
        } else {
            // Who has just ended can't be killed.
            killed[3] += usize::from(signalled("-KILL", &processes));
        }
    }
    killed
}

/// Who holds the Lease: pod, identity, and how often it has changed hands.
async fn leader(world: &World) -> (String, String, i32) {
    let lease =
        Api::<Lease>::namespaced(world.client.clone(), SYSTEM).get("mailcampaign-operator").await.expect("the Lease");
    let spec = lease.spec.unwrap_or_default();
    let identity = spec.holder_identity.unwrap_or_default();
    let pod = identity.split('_').next().unwrap_or_default().to_owned();
    (pod, identity, spec.lease_transitions.unwrap_or_default())
}

/// The processes of a pod on this machine.
fn processes_of(pod: &Pod) -> Vec<String> {
    let group = format!("pod{}", pod.uid().expect("a uid"));
    let is_of_pod = |process: &String| {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/{process}/{name}")).unwrap_or_default();
        let groups = read("cgroup");
        (groups.contains(&group) || groups.contains(&group.replace('-', "_")))
            && read("comm").starts_with("mailcampaign")
    };
    let entries = std::fs::read_dir("/proc").expect("processes").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).filter(is_of_pod).collect()
}

async fn processes_of_pod(world: &World, name: &str) -> Vec<String> {
    let processes = processes_of(&operators(world).get(name).await.expect("the pod"));
    assert!(!processes.is_empty(), "{name}: its process is not on this machine");
    processes
}

/// Processes that stand still as long as this is there.
struct Frozen(Vec<String>);

impl Frozen {
    fn new(processes: Vec<String>) -> Self {
        signal("-STOP", &processes);
        Self(processes)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        signal("-CONT", &self.0);
    }
}

fn signal(name: &str, processes: &[String]) {
    assert!(signalled(name, processes), "kill {name} {processes:?}");
}

fn signalled(name: &str, processes: &[String]) -> bool {
    Command::new("kill").arg(name).args(processes).status().expect("kill").success()
}

#[tokio::test]
async fn e2e_a_leader_that_dies_or_freezes_is_followed_within_15_seconds_and_nothing_is_made_twice() {
    let _alone = Use::alone().await;
    let world = World::new("leader").await;
    world.put_list(1_000).await;
    all_operators_are_ready(&world).await;

    let (pod, identity, transitions) = leader(&world).await;
    let begun = Instant::now();
    // Deleted by force alone it would hear of it in time to give the Lease back.
    signal("-KILL", &processes_of_pod(&world, &pod).await);
    kill(&operators(&world), &pod).await;
    let first = world.campaign("first", json!({"producer": {"shards": 2}})).await;
    let followed = followed_by(&world, &identity, begun).await;
    assert_eq!(followed, transitions + 1, "it changed hands once");
    first
        .status_within(Duration::from_secs(15), "the new leader says something", |status| status.phase.is_some())
        .await;
    println!("killed: the other leads and has spoken after {:.1} s", begun.elapsed().as_secs_f64());
    first.delivers_all(1_000).await;
    all_operators_are_ready(&world).await;

    let (pod, identity, transitions) = leader(&world).await;
    let second =
        world.campaign("second", json!({"producer": {"shards": 2}, "delivery": {"rate": {"perSecond": 100}}})).await;
    second.reaches(Phase::Sending).await;
    let begun = Instant::now();
    let frozen = Frozen::new(processes_of_pod(&world, &pod).await);
    let third = world.campaign("third", json!({})).await;
    let followed = followed_by(&world, &identity, begun).await;
    assert_eq!(followed, transitions + 1, "it changed hands once");
    third
        .status_within(Duration::from_secs(15), "the new leader says something", |status| status.phase.is_some())
        .await;
    println!("frozen: the other leads and has spoken after {:.1} s", begun.elapsed().as_secs_f64());
    drop(frozen);
    second.delivers_all(1_000).await;
    third.delivers_all(1_000).await;
    let (_, _, at_the_end) = leader(&world).await;
    assert_eq!(at_the_end, followed, "the one that froze has not led again");
    for campaign in [&first, &second, &third] {
        assert_eq!(times_made(&world, &campaign.name).await, 1, "{}: the Job", campaign.name);
    }
    world.leave().await;
}

/// Waits until another leads; how often the Lease has changed hands by then.
async fn followed_by(world: &World, identity: &str, begun: Instant) -> i32 {
    let (_, _, transitions) = until("another leads", Duration::from_secs(15), async || {
        let now = leader(world).await;
        (now.1 != identity && !now.1.is_empty()).then_some(now)
    })
    .await;
    println!("another leads after {:.1} s", begun.elapsed().as_secs_f64());
    transitions
}

pub(crate) async fn all_operators_are_ready(world: &World) {
    until("two operators are ready", PATIENCE, async || {
        let pods = operator_pods(world).await;
        let ready = pods.iter().filter(|pod| {
            let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
            pod.metadata.deletion_timestamp.is_none()
                && conditions.iter().any(|one| one.type_ == "Ready" && one.status == "True")
        });
        (ready.count() == 2 && pods.len() == 2).then_some(())
    })
    .await;
}

/// How many producer Jobs a campaign has had: each made its pods, and an Event for each.
async fn times_made(world: &World, campaign: &str) -> usize {
    let about = ListParams::default().fields("involvedObject.kind=Job");
    let events = world.api::<k8s_openapi::api::core::v1::Event>().list(&about).await.expect("events");
    let jobs: std::collections::BTreeSet<_> = events
        .items
        .into_iter()
        .filter(|event| event.involved_object.name.as_deref() == Some(&format!("{campaign}-producer")))
        .filter_map(|event| event.involved_object.uid)
        .collect();
    jobs.len()
}
