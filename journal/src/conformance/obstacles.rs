//! What keeps a worker from sending is told, and does nothing by itself.
#![expect(missing_docs, reason = "the names say it")]

use super::{Rig, account, at, claim, delivered, result, rows_of, settle, with_messages, worker};
use crate::{Journal, Obstacle, Sighting, Tick, Worker};
use campaign::spec::OnUnknown;

fn obstacle(seconds: i64) -> Obstacle {
    Obstacle { reason: "backend relay (mx.example.com:25): connection refused".to_owned(), at: at(seconds) }
}

fn met(seconds: i64) -> Tick {
    Tick { obstacle: Some(Sighting::Met(obstacle(seconds))), at: at(seconds), ..Tick::default() }
}

fn gone(seconds: i64) -> Tick {
    Tick { obstacle: Some(Sighting::Gone), at: at(seconds), ..Tick::default() }
}

async fn told<J: Journal>(journal: &J) -> Option<Obstacle> {
    journal.obstacle().await.expect("read")
}

pub async fn an_obstacle_is_told_until_it_is_gone_and_stops_nothing<R: Rig>() {
    let (mut rig, journal) = with_messages::<R>(2..9).await;
    assert_eq!(told(&journal).await, None);
    let mut sender = worker(&journal, OnUnknown::Hold, 0).await;
    let before = account(&journal).await;
    for seconds in [1, 61] {
        assert!(sender.commit(met(seconds)).await.expect("committed").is_empty());
        assert_eq!(told(&journal).await, Some(obstacle(seconds)), "the latest one stands");
    }
    assert_eq!(account(&journal).await, before);
    assert!(!sender.paused() && !sender.suspended() && !sender.exhausted());

    let claims = sender.take(2, at(62)).await.expect("taken");
    assert_eq!(sender.commit(Tick { claims, ..met(62) }).await.expect("committed").len(), 2, "it stops no mail");
    settle(&mut sender, 63, [result(2, 1, 63, delivered()), result(3, 1, 63, delivered())]).await;
    assert_eq!(told(&journal).await, Some(obstacle(62)), "who says nothing new changes nothing");
    assert_eq!(account(&journal).await.delivered, 2);

    let journal = rig.crash_and_reopen(journal).await;
    assert_eq!(told(&journal).await, Some(obstacle(62)), "until it is old it is believed");
    let mut sender = worker(&journal, OnUnknown::Hold, 70).await;
    sender.commit(met(70)).await.expect("committed");
    let claims = sender.take(2, at(71)).await.expect("taken");
    assert_eq!(rows_of(&claims), [4, 5]);
    assert_eq!(sender.commit(Tick { claims, ..gone(71) }).await.expect("committed").len(), 2);
    assert_eq!(told(&journal).await, None);
    assert!(sender.commit(gone(72)).await.expect("it is gone already").is_empty());
    settle(&mut sender, 73, [result(4, 1, 73, delivered()), result(5, 1, 73, delivered())]).await;
    assert_eq!(claim(&mut sender, 9, 74).await, [6, 7, 8]);
    assert_eq!((told(&journal).await, account(&journal).await.delivered), (None, 4));
}
