//! Settings of Kafka: what is wrong with them is said, each thing by its name, before and at the first contact.

#[path = "kafka_settings/contact.rs"]
mod contact;
#[path = "kafka_settings/given.rs"]
mod given;
#[path = "kafka_settings/rights.rs"]
mod rights;
#[path = "kafka_settings/token.rs"]
mod token;

use campaign::CampaignUid;
use journal::Pin;
use journal::kafka::{Given, Options, Timing, Which};
use std::collections::BTreeMap;

fn uid() -> CampaignUid {
    CampaignUid::alone("hr/offers", "list", "message", None)
}

/// How a campaign's journal is opened with what is given.
fn campaign(given: Given) -> Options {
    Options {
        settings: contact::settings(given),
        which: Which {
            prefix: "mailcampaign".to_owned(),
            namespace: "hr".to_owned(),
            name: "offers".to_owned(),
            uid: uid(),
        },
        partitions: 1,
        replication: None,
        timing: Timing::default(),
    }
}

fn pin() -> Pin {
    Pin { uid: uid(), contents: BTreeMap::new(), destination: "outbox".to_owned(), shards: 1 }
}
