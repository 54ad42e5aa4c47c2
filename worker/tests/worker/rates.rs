//! The rate of the campaign and of its domains, in real time. The law itself is tested in `pacing`, where time is a number.

use crate::support::{Campaign, Scripted, counts, options, people};
use campaign::spec::{PerDomain, Rate};
use std::{collections::BTreeMap, time::Duration};
use worker::{Backends, Ended, Options};

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_keeps_its_rate() {
    let campaign = Campaign::to(people(600, "example.com")).await;
    let backend = Scripted::that_takes_everything();
    let options = Options { rate: Some(Rate { per_second: Some(200.0), per_domain: None }), ..options() };
    let finished = campaign.run(Backends::new("relay", "here", 4, backend.clone()), options).await;
    assert_eq!((finished.ended, finished.counts), (Ended::Done, counts(600, |counts| counts.delivered = 600)));
    let calls = backend.calls();
    let took = calls[599].1.duration_since(calls[0].1);
    // 600 at 200 a second are 3 s. A busy machine may be late, but never early.
    assert!(took >= Duration::from_millis(2_850) && took < Duration::from_secs(4), "{took:?}");
    let most = (0..calls.len())
        .map(|from| {
            calls[from..]
                .iter()
                .take_while(|call| call.1.duration_since(calls[from].1) < Duration::from_secs(1))
                .count()
        })
        .max();
    assert!(most <= Some(225), "{most:?} in one second");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_domain_comes_at_its_rate_and_holds_up_no_other() {
    let mut addresses = people(100, "slow.test");
    addresses.extend(people(1000, "fast.test"));
    let campaign = Campaign::to(addresses).await;
    let backend = Scripted::that_takes_everything();
    let domains = BTreeMap::from([("SLOW.test".to_owned(), 40.0)]);
    let rate = Rate { per_second: None, per_domain: Some(PerDomain { default: None, domains }) };
    let finished = campaign
        .run(Backends::new("relay", "here", 4, backend.clone()), Options { rate: Some(rate), ..options() })
        .await;
    assert_eq!((finished.ended, finished.counts), (Ended::Done, counts(1100, |counts| counts.delivered = 1100)));
    let calls = backend.calls();
    let start = calls[0].1;
    let last = |domain: &str| {
        calls.iter().filter(|(to, _)| to.ends_with(domain)).map(|(_, at)| at.duration_since(start)).max().expect("some")
    };
    let (slow, fast) = (last("slow.test"), last("fast.test"));
    assert!(slow >= Duration::from_millis(2_300) && slow < Duration::from_secs(4), "{slow:?}");
    assert!(fast < slow / 2, "{fast:?} of {slow:?}");
    assert!(campaign.settlements().await.iter().all(|settlement| settlement.attempt == 1));
}
