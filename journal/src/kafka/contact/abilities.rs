//! What a cluster can do, by the versions of the requests that its brokers take (`ApiVersions`, KIP-35).

use crate::Error;
use std::collections::BTreeMap;

/// By the number of a request: the highest version that every broker asked so far speaks.
pub(super) type Versions = BTreeMap<i16, i16>;

/// `TxnOffsetCommit`; version 3 brought the check of the group's generation (KIP-447, Kafka 2.5), without which two workers can claim one row.
const TXN_OFFSET_COMMIT: i16 = 28;
/// Whether the campaign's protocol can be kept with brokers that speak these. About one that says nothing, opening a transaction will tell.
///
/// # Errors
/// [`Error::Unsuitable`]: no transactions, or older than 2.5.
pub(super) fn suffice(versions: &Versions) -> Result<(), Error> {
    let why = match versions.get(&TXN_OFFSET_COMMIT) {
        Some(3..) => return Ok(()),
        // The list comes line by line, in the order of the numbers: only what comes behind tells that it is missing.
        None if versions.range(TXN_OFFSET_COMMIT..).next().is_none() => return Ok(()),
        None => "the broker has no transactions; Apache Kafka 2.5 or later is needed, or a service that has them",
        Some(_) => "the broker is older than 2.5; Apache Kafka 2.5 or later is needed",
    };
    Err(Error::Unsuitable { why: why.to_owned() })
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

    fn judged(lines: &[&str]) -> Result<(), Error> {
        let mut versions = Versions::new();
        for line in lines {
            note(&mut versions, line);
        }
        suffice(&versions)
    }

    #[test]
    fn a_broker_without_transactions_or_older_than_2_5_is_refused() {
        let produce = "[thrd:x]: 127.0.0.1:9092/1:   ApiKey Produce (0) Versions 0..9";
        let old = "127.0.0.1:9092/1:   ApiKey TxnOffsetCommit (28) Versions 0..2";
        let good = "127.0.0.1:9092/1:   ApiKey TxnOffsetCommit (28) Versions 0..3";
        assert!(judged(&[produce, good]).is_ok());
        let next = "127.0.0.1:9092/1:   ApiKey DescribeAcls (29) Versions 0..3";
        let none = judged(&[produce, next]).expect_err("refused").to_string();
        assert!(none.contains("no transactions"), "{none}");
        for lines in [[produce, old], [good, old], [old, good]] {
            let error = judged(&lines).expect_err("refused").to_string();
            assert!(error.contains("older than 2.5"), "{error}");
        }
    }

    #[test]
    fn a_list_that_is_heard_in_part_is_not_judged() {
        assert!(judged(&["x:1/1:   ApiKey Produce (0) Versions 0..9"]).is_ok());
    }

    #[test]
    fn a_broker_that_says_nothing_is_not_judged() {
        assert!(judged(&["Broker API support:", "ApiKey (x) Versions", ""]).is_ok());
    }
}
