//! Durations as people and Kubernetes write them: `30s`, `1h30m`, `250ms`.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

/// A duration written like `metav1.Duration`: numbers with the units `h`, `m`, `s`, `ms`, largest first. Always positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanDuration(pub Duration);

/// Why a text is not a duration.
#[derive(Debug, thiserror::Error)]
#[error("\"{0}\" is not a duration; write it like 30s, 5m or 1h30m")]
pub struct NotADuration(String);

const RULE: &str =
    "self.matches('^([0-9]{1,6}h)?([0-9]{1,8}m)?([0-9]{1,9}s)?([0-9]{1,9}ms)?$') && self.matches('[1-9]')";
const UNITS: [(&str, u64); 4] = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];

impl FromStr for HumanDuration {
    type Err = NotADuration;

    fn from_str(text: &str) -> Result<Self, NotADuration> {
        let wrong = || NotADuration(text.to_owned());
        let (mut rest, mut millis, mut last) = (text, 0_u64, u64::MAX);
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
            rest = &rest[digits..];
            let (unit, scale) = UNITS.iter().find(|(unit, _)| rest.starts_with(unit)).ok_or_else(wrong)?;
            if *scale >= last {
                return Err(wrong());
            }
            last = *scale;
            rest = &rest[unit.len()..];
            millis = number.checked_mul(*scale).and_then(|part| millis.checked_add(part)).ok_or_else(wrong)?;
        }
        if millis == 0 { Err(wrong()) } else { Ok(Self(Duration::from_millis(millis))) }
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        for (unit, scale) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
            if millis >= scale {
                write!(f, "{}{unit}", millis / scale)?;
                millis %= scale;
            }
        }
        Ok(())
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for HumanDuration {
    fn schema_name() -> Cow<'static, str> {
        "HumanDuration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "maxLength": 32,
            "x-kubernetes-validations": [
                {"rule": RULE, "message": "write a duration, longer than nothing, like 30s, 5m or 1h30m"},
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_back_the_same() {
        for (text, millis) in
            [("30s", 30_000), ("1h30m", 5_400_000), ("250ms", 250), ("1m5s", 65_000), ("24h", 86_400_000)]
        {
            let read: HumanDuration = text.parse().unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(read.0.as_millis(), millis);
            assert_eq!(read.to_string(), text);
        }
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in ["", "0s", "30", "s", "5m1h", "1.5h", "-3s", "99999999999999999999h", "3 s"] {
            assert!(text.parse::<HumanDuration>().is_err(), "{text}");
        }
    }
}
