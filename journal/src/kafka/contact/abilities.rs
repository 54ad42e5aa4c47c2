//! What a cluster can do, by the versions of the requests that its brokers take (`ApiVersions`, KIP-35).

use crate::Error;
use std::collections::BTreeMap;

/// By the number of a request: the highest version that every broker asked so far speaks.
pub(super) type Versions = BTreeMap<i16, i16>;

/// `TxnOffsetCommit`; version 3 brought the check of the group's generation (KIP-447, Kafka 2.5), without which two workers can claim one row.
const TXN_OFFSET_COMMIT: i16 = 28;
/// `ConsumerGroupHeartbeat` (KIP-848): `group.protocol=consumer`.
const CONSUMER_GROUP_HEARTBEAT: i16 = 68;

/// What a cluster can do beyond what is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kafka) struct Abilities {
    transactions: Transactions,
    /// Whether groups of `group.protocol=consumer` are offered (KIP-848; Kafka 4.0, unless it is switched off).
    pub(in crate::kafka) consumer_protocol: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transactions {
    /// Nothing was said about it, or not yet.
    Unknown,
    None,
    Old,
    Good,
}

impl Abilities {
    pub(super) fn of(versions: &Versions) -> Self {
        let transactions = match versions.get(&TXN_OFFSET_COMMIT) {
            // The list comes line by line, in the order of the numbers: only what comes behind tells that it is missing.
            None if versions.range(TXN_OFFSET_COMMIT..).next().is_none() => Transactions::Unknown,
            None => Transactions::None,
            Some(..3) => Transactions::Old,
            Some(_) => Transactions::Good,
        };
        // One that says nothing is tried; joining falls back.
        let consumer_protocol = versions.is_empty() || versions.contains_key(&CONSUMER_GROUP_HEARTBEAT);
        Self { transactions, consumer_protocol }
    }

    /// Whether the campaign's protocol can be kept with it.
    ///
    /// # Errors
    /// [`Error::Unsuitable`]: no transactions, or older than 2.5.
    pub(super) fn suffice(self) -> Result<(), Error> {
        let why = match self.transactions {
            // Opening a transaction will tell.
            Transactions::Unknown | Transactions::Good => return Ok(()),
            Transactions::None => {
                "the broker has no transactions; Apache Kafka 2.5 or later is needed, or a service that has them"
            }
            Transactions::Old => "the broker is older than 2.5; Apache Kafka 2.5 or later is needed",
        };
        Err(Error::Unsuitable { why: why.to_owned() })
    }
}

/// Takes a line of librdkafka's log: `ssl://host:9093/1:   ApiKey TxnOffsetCommit (28) Versions 0..5`.
pub(super) fn note(versions: &mut Versions, line: &str) {
    let found =
        line.split_once("ApiKey ").and_then(|(_, told)| told.split_once(") Versions ")).and_then(|(name, range)| {
            let number = name.rsplit_once('(')?.1.parse::<i16>().ok()?;
            let highest = range.split_once("..")?.1.trim().parse::<i16>().ok()?;
            Some((number, highest))
        });
    if let Some((number, highest)) = found {
        versions.entry(number).and_modify(|known| *known = highest.min(*known)).or_insert(highest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(lines: &[&str]) -> Abilities {
        let mut versions = Versions::new();
        for line in lines {
            note(&mut versions, line);
        }
        Abilities::of(&versions)
    }

    #[test]
    fn a_broker_without_transactions_or_older_than_2_5_is_refused() {
        let produce = "[thrd:x]: 127.0.0.1:9092/1:   ApiKey Produce (0) Versions 0..9";
        let old = "127.0.0.1:9092/1:   ApiKey TxnOffsetCommit (28) Versions 0..2";
        let good = "127.0.0.1:9092/1:   ApiKey TxnOffsetCommit (28) Versions 0..3";
        assert!(heard(&[produce, good]).suffice().is_ok());
        let next = "127.0.0.1:9092/1:   ApiKey DescribeAcls (29) Versions 0..3";
        let none = heard(&[produce, next]).suffice().expect_err("refused").to_string();
        assert!(none.contains("no transactions"), "{none}");
        for lines in [[produce, old], [good, old], [old, good]] {
            let error = heard(&lines).suffice().expect_err("refused").to_string();
            assert!(error.contains("older than 2.5"), "{error}");
        }
    }

    #[test]
    fn a_list_that_is_heard_in_part_is_not_judged() {
        assert!(heard(&["x:1/1:   ApiKey Produce (0) Versions 0..9"]).suffice().is_ok());
    }

    #[test]
    fn a_broker_that_says_nothing_is_not_judged() {
        let silent = heard(&["Broker API support:", "ApiKey (x) Versions", ""]);
        assert!(silent.suffice().is_ok() && silent.consumer_protocol);
    }

    #[test]
    fn the_new_group_protocol_is_seen_where_it_is_offered() {
        let new = "x:1/1:   ApiKey ConsumerGroupHeartbeat (68) Versions 0..1";
        assert!(heard(&[new]).consumer_protocol);
        assert!(!heard(&["x:1/1:   ApiKey Produce (0) Versions 0..9"]).consumer_protocol);
    }
}
