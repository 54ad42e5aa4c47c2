//! What a person does with a campaign that is sending, and what the clock does: nothing leaves that may not, and at the end everybody has one mail.

use crate::cluster::Use;
use crate::world::{PATIENCE, World, until};
use campaign::MailCampaignStatus;
use campaign::status::Phase;
use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp, Unit};
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::json;
use std::time::{Duration, Instant};

/// The wall clock, as the mail server writes it down.
fn now() -> f64 {
    seconds(Timestamp::now())
}

fn seconds(time: Timestamp) -> f64 {
    time.as_duration().as_secs_f64()
}

#[tokio::test]
async fn e2e_suspended_nothing_is_sent_after_5_seconds_and_resumed_everybody_gets_one_mail() {
    let _installed = Use::shared().await;
    let world = World::new("suspend").await;
    world.put_list(2_000).await;
    let campaign = world.campaign("notices", json!({"delivery": {"rate": {"perSecond": 60}}})).await;
    campaign.has_sent(100).await;
    campaign.change(json!({"suspend": true})).await;
    let suspended = now();
    campaign.reaches(Phase::Paused).await;
    campaign.says("Progressing", "False", "Suspended", &["spec.suspend"]).await;
    // Without a worker nothing can be sent any more.
    until("no worker is left", PATIENCE, async || world.pods_of("notices", "worker").await.is_empty().then_some(()))
        .await;
    let last = campaign.mails().iter().map(|mail| mail.at).fold(0.0, f64::max);
    println!("suspended: the last mail {:.2} s later", last - suspended);
    assert!(last - suspended <= 5.0, "a mail {:.1} s after the suspension", last - suspended);
    let counts = campaign.status().await.recipients.expect("counts");
    assert_eq!((counts.unknown, counts.in_flight), (0, 0), "{counts:?}");
    campaign.change(json!({"suspend": false, "delivery": {"rate": {"perSecond": 1000}}})).await;
    campaign.delivers_all(2_000).await;
    world.leave().await;
}

#[tokio::test]
async fn e2e_nothing_leaves_before_the_window_opens_or_before_start_at() {
    let _installed = Use::shared().await;
    let world = World::new("window").await;
    world.put_list(100).await;
    // The list is published first, and the minute must not be over by then.
    let opens = (Timestamp::now() + SignedDuration::from_secs(20)).to_zoned(jiff::tz::TimeZone::UTC);
    let round = jiff::ZonedRound::new().smallest(Unit::Minute).mode(jiff::RoundMode::Ceil);
    let opens = opens.round(round).expect("a minute");
    let closes = opens.saturating_add(SignedDuration::from_hours(1));
    let time = |at: &jiff::Zoned| at.strftime("%H:%M").to_string();
    let window = json!({"timeZone": "UTC", "from": time(&opens), "to": time(&closes)});
    let hours = world.campaign("hours", json!({"delivery": {"window": window}})).await;
    let starts = Timestamp::now() + SignedDuration::from_secs(25);
    let later = world.campaign("later", json!({"startAt": starts.to_string()})).await;
    later.reaches(Phase::Scheduled).await;
    hours.says("Progressing", "False", "Waiting", &[]).await;
    assert_eq!((hours.mails().len(), later.mails().len()), (0, 0));
    later.delivers_all(100).await;
    hours.delivers_all(100).await;
    for (campaign, earliest) in [(&hours, seconds(opens.timestamp())), (&later, seconds(starts))] {
        let first = campaign.mails().iter().map(|mail| mail.at).fold(f64::MAX, f64::min);
        println!("{}: the first mail {:.2} s after it was allowed", campaign.name, first - earliest);
        assert!(first >= earliest, "{}: a mail {:.1} s too early", campaign.name, earliest - first);
    }
    world.leave().await;
}

#[tokio::test]
async fn e2e_a_window_that_closes_stops_sending_and_one_that_opens_goes_on() {
    let _installed = Use::shared().await;
    let world = World::new("closing").await;
    world.put_list(1_000).await;
    let campaign = world.campaign("notices", json!({"delivery": {"rate": {"perSecond": 30}}})).await;
    campaign.has_sent(60).await;
    // Open for an hour that is half a day away.
    let noon = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).saturating_add(SignedDuration::from_hours(12));
    let time = |at: jiff::Zoned| at.strftime("%H:00").to_string();
    let window = json!({"timeZone": "UTC", "from": time(noon.clone()), "to": time(noon.saturating_add(SignedDuration::from_hours(1)))});
    campaign.change(json!({"delivery": {"window": window}})).await;
    campaign.says("Progressing", "False", "Waiting", &[]).await;
    until("no worker is left", PATIENCE, async || world.pods_of("notices", "worker").await.is_empty().then_some(()))
        .await;
    assert!(campaign.mails().len() < 1_000, "the window closed too late to stop anything");
    campaign.change(json!({"delivery": {"window": null, "rate": {"perSecond": 1000}}})).await;
    campaign.status_within(Duration::from_mins(2), "it goes on", |status| status.phase == Some(Phase::Completed)).await;
    campaign.delivers_all(1_000).await;
    world.leave().await;
}

#[tokio::test]
async fn e2e_while_mails_are_sent_the_status_is_written_once_in_5_seconds_and_never_older_than_6() {
    let _alone = Use::alone().await;
    let world = World::new("pace").await;
    world.put_list(1_500).await;
    let campaign = world.campaign("notices", json!({"delivery": {"rate": {"perSecond": 60}}})).await;
    campaign.reaches(Phase::Sending).await;
    let only = watcher::Config::default().fields("metadata.name=notices");
    let changes = watcher(campaign.api(), only).default_backoff().applied_objects();
    let statuses = changes.filter_map(async |changed| changed.expect("it is watched").status);
    let mut written: Vec<(Instant, MailCampaignStatus)> = Vec::new();
    let mut statuses = std::pin::pin!(statuses);
    while let Some(status) = statuses.next().await.filter(|status| status.phase == Some(Phase::Sending)) {
        if written.last().is_none_or(|(_, before)| *before != status) {
            written.push((Instant::now(), status));
        }
    }
    // The first was there before it was watched.
    let mut gaps: Vec<f64> = written.windows(2).skip(1).map(|pair| (pair[1].0 - pair[0].0).as_secs_f64()).collect();
    println!("seconds between two statuses: {gaps:.2?}");
    assert!(gaps.len() >= 2, "too few statuses to say anything: {}", written.len());
    gaps.sort_by(f64::total_cmp);
    // What is seen of a write comes a moment later or sooner than the write; and a machine that does other things as well may miss one.
    assert!(gaps[0] >= 4.8 && gaps[gaps.len() / 2] <= 6.0, "{gaps:?}");
    campaign.delivers_all(1_500).await;
    world.leave().await;
}
