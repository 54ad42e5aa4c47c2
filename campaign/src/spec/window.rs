//! `spec.delivery.window`: the hours in which mails may leave. [`crate::window`] says whether it is open.

use super::rules;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{borrow::Cow, fmt, str::FromStr};

/// The hours in which mails may leave, by the clock of a time zone. From 22:00 to 06:00 goes over midnight and belongs to the day on which it begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = rules::at(".to", "self.from != self.to", "is the same as from; leave out window to send at any time, or write from: \"00:00\" and to: \"24:00\" for whole days"))]
#[x_kube(validation = rules::at(".from", "self.from != '24:00'", "write 00:00 for the beginning of a day; 24:00 is the end of one"))]
pub struct Window {
    /// Time zone, a name of the IANA database like `Europe/Berlin`.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = rules::TIME_ZONE)]
    pub time_zone: String,
    /// Days on which it opens.
    #[serde(default = "every_day")]
    #[schemars(length(min = 1, max = 7))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub days: Vec<Day>,
    /// When it opens, HH:MM.
    pub from: TimeOfDay,
    /// When it closes, HH:MM; 24:00 is the end of the day.
    pub to: TimeOfDay,
}

fn every_day() -> Vec<Day> {
    Day::ALL.to_vec()
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Day {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

impl Day {
    /// The whole week, Monday first.
    pub const ALL: [Self; 7] = [Self::Mon, Self::Tue, Self::Wed, Self::Thu, Self::Fri, Self::Sat, Self::Sun];
}

/// A time of day, `HH:MM`, from 00:00 to 24:00.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay {
    minutes: u16,
}

/// Why a text is not a time of day.
#[derive(Debug, thiserror::Error)]
#[error("\"{0}\" is not a time of day; write it like 08:00 or 17:30")]
pub struct NotATime(String);

const RULE: &str = "self.matches('^([01][0-9]|2[0-3]):[0-5][0-9]$') || self == '24:00'";

impl TimeOfDay {
    /// Minutes since the day began, 1440 at most.
    pub fn minutes(self) -> u16 {
        self.minutes
    }
}

impl FromStr for TimeOfDay {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        let two = |digits: &str| {
            let right = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
            right.then(|| digits.parse::<u16>().ok()).flatten()
        };
        let parts = text.split_once(':').and_then(|(hours, minutes)| Some((two(hours)?, two(minutes)?)));
        match parts {
            Some((hours, minutes)) if (hours < 24 && minutes < 60) || (hours, minutes) == (24, 0) => {
                Ok(Self { minutes: hours * 60 + minutes })
            }
            _ => Err(NotATime(text.to_owned())),
        }
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.minutes / 60, self.minutes % 60)
    }
}

impl Serialize for TimeOfDay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for TimeOfDay {
    fn schema_name() -> Cow<'static, str> {
        "TimeOfDay".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "maxLength": 5,
            "x-kubernetes-validations": [
                {"rule": RULE, "message": "write a time of day in hours and minutes, like 08:00 or 17:30"},
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written_back_the_same() {
        for (text, minutes) in [("00:00", 0), ("06:05", 365), ("23:59", 1439), ("24:00", 1440)] {
            let read: TimeOfDay = text.parse().unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(read.minutes(), minutes);
            assert_eq!(read.to_string(), text);
        }
    }

    #[test]
    fn what_is_not_a_time_of_day_is_refused() {
        for text in ["", "8:00", "08:0", "24:01", "25:00", "08:60", "+8:00", "08:00:00", "0800", "8am", " 08:00"] {
            assert!(text.parse::<TimeOfDay>().is_err(), "{text}");
        }
    }
}
