//! Judges what was seen. Pure: every rule of the account, with the row and its events where one is broken.

use crate::evidence::{Dot, Evidence, Happening};
use campaign::Outcome;
use journal::kafka::wire::{Happened, Why};
use std::fmt;

/// A claim may be sent this long after the start of a committed tick of its partition.
const LEASE: i64 = 20_000;
/// The time from the look at the lease to the mail server's look at its clock, on a busy machine.
const TOLERANCE: i64 = 1_000;

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The row, if it is about one.
    pub row: Option<u64>,
    /// What is wrong.
    pub what: String,
    /// What happened to the row, one a line.
    pub events: Vec<String>,
}

impl Violation {
    /// One that is about no row.
    pub fn of_all(what: impl Into<String>) -> Self {
        Self { row: None, what: what.into(), events: Vec::new() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(row) = self.row {
            write!(f, "row {row}: ")?;
        }
        f.write_str(&self.what)?;
        self.events.iter().try_for_each(|event| write!(f, "\n    {event}"))
    }
}

/// Rows by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Delivered, says the report.
    pub delivered: u64,
    /// Unknown, says the report.
    pub unknown: u64,
    /// Rows of which the servers have more than one.
    pub twice: u64,
    /// Claims that were called unknown because their owner was gone.
    pub orphans: u64,
    /// Evidence of owners who had lost the row.
    pub late: u64,
}

/// The broken rules, and the tally.
pub fn check(evidence: &Evidence) -> (Vec<Violation>, Tally) {
    let (mut violations, mut tally) = (Vec::new(), Tally::default());
    for row in 2..evidence.rows + 2 {
        let judged = Row::of(evidence, row);
        judged.count(&mut tally);
        violations.extend(judged.violations().into_iter().map(|what| judged.tell(what)));
    }
    for row in evidence.listed.keys().chain(evidence.dots.keys()).filter(|row| !(2..evidence.rows + 2).contains(row)) {
        violations.push(Violation::of_all(format!("row {row} is not in the list")));
    }
    violations.extend(of_status(evidence, &tally));
    (violations, tally)
}

/// What `status` says is what the report says.
fn of_status(evidence: &Evidence, tally: &Tally) -> Vec<Violation> {
    let expected = [
        ("total", evidence.rows),
        ("published", evidence.rows),
        ("delivered", tally.delivered),
        ("unknown", tally.unknown),
        ("backlog", 0),
    ];
    let wrong = expected.into_iter().filter(|(name, count)| evidence.status[name].as_u64() != Some(*count));
    wrong
        .map(|(name, count)| {
            let said = &evidence.status[name];
            Violation::of_all(format!("status says {name} {said}, and row by row it is {count}"))
        })
        .collect()
}

struct Row<'a> {
    number: u64,
    evidence: &'a Evidence,
    events: &'a [Happening],
    dots: &'a [Dot],
    status: &'a str,
}

impl<'a> Row<'a> {
    fn of(evidence: &'a Evidence, row: u64) -> Self {
        let events = evidence.events.get(&row).map_or(&[][..], Vec::as_slice);
        let dots = evidence.dots.get(&row).map_or(&[][..], Vec::as_slice);
        let status = evidence.report.get(&row).map_or("", |reported| reported.status.as_str());
        Self { number: row, evidence, events, dots, status }
    }

    fn count(&self, tally: &mut Tally) {
        tally.delivered += u64::from(self.status == "Delivered");
        tally.unknown += u64::from(self.status == "Unknown");
        tally.twice += u64::from(self.dots.len() > 1);
        tally.orphans += self.events.iter().filter(|happening| is_orphan(happening)).count() as u64;
        let is_late = |happening: &&Happening| matches!(happening.event.happened, Happened::Late { .. });
        tally.late += self.events.iter().filter(is_late).count() as u64;
    }

    fn violations(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let times = self.evidence.listed.get(&self.number).copied().unwrap_or(0);
        if times != 1 {
            wrong.push(format!("it was published {times} times"));
        }
        match (self.status, self.dots.len()) {
            ("Delivered", 0) => wrong.push("it is lost: delivered, says the report, and no server has it".to_owned()),
            ("Delivered" | "Unknown", _) => {}
            (status, dots) => {
                wrong.push(format!("it is {status:?} in the report, and the servers have it {dots} times"));
            }
        }
        if self.evidence.holds && self.dots.len() > 1 {
            wrong.push(format!("under Hold it was sent {} times", self.dots.len()));
        }
        for (number, dot) in self.dots.iter().enumerate() {
            wrong.extend(self.wrong_with(dot));
            if let Some(next) = self.dots.get(number + 1)
                && !self.events.iter().any(|event| called_unknown(event) && within(event, dot.millis, next.millis))
            {
                wrong.push("it was sent again, and nobody had called it unknown in between".to_owned());
            }
        }
        wrong
    }

    /// What is wrong with a final dot, by its claim and the ticks of its partition.
    fn wrong_with(&self, dot: &Dot) -> Vec<String> {
        let is_claim = |happening: &Happening| matches!(happening.event.happened, Happened::Claimed { .. });
        let before = |happening: &Happening| happening.millis <= dot.millis;
        let Some(place) = self.events.iter().rposition(|happening| is_claim(happening) && before(happening)) else {
            return vec![format!("its final dot at {} came before any claim", time(dot.millis))];
        };
        let (claim, after) = (&self.events[place], &self.events[place + 1..]);
        let mut wrong = Vec::new();
        let ended = after.iter().find(|happening| !matches!(happening.event.happened, Happened::Late { .. }));
        if let Some(ended) = ended {
            let was_released = matches!(ended.event.happened, Happened::Queued { why: Why::Released | Why::Paced, .. });
            if was_released {
                wrong.push("it was sent, and then handed back as not begun".to_owned());
            } else if let Happened::Settled { backend: Some(backend), .. } = &ended.event.happened
                && *backend != format!("slot-{}", dot.slot)
            {
                wrong.push(format!("slot {} has sent what was claimed and settled by {backend}", dot.slot));
            } else if ended.millis < dot.millis {
                wrong.push(format!("its final dot at {} came after its claim had ended", time(dot.millis)));
            }
        }
        let ticks = self.evidence.ticks.get(&claim.partition).map_or(&[][..], Vec::as_slice);
        let last = ticks[..ticks.partition_point(|tick| *tick <= dot.millis)].last();
        if last.is_none_or(|last| dot.millis - last > LEASE + TOLERANCE) {
            let last = last.map_or("none".to_owned(), |last| time(*last));
            let dot = time(dot.millis);
            wrong.push(format!("its final dot at {dot} came after its lease; the last tick before began at {last}"));
        }
        wrong
    }

    fn tell(&self, what: String) -> Violation {
        let events = self.events.iter().map(|happening| {
            let text = serde_json::to_string(&happening.event).unwrap_or_default();
            (happening.millis, format!("outcomes-{}@{} {text}", happening.partition, happening.offset))
        });
        let dots = self.dots.iter().map(|dot| (dot.millis, format!("final dot, from slot {}", dot.slot)));
        let mut all: Vec<_> = events.chain(dots).collect();
        all.sort_by_key(|(millis, _)| *millis);
        let events = all.into_iter().map(|(millis, text)| format!("{} {text}", time(millis))).collect();
        Violation { row: Some(self.number), what, events }
    }
}

/// Its owner was gone, and a new one has said so.
fn is_orphan(happening: &Happening) -> bool {
    matches!(
        &happening.event.happened,
        Happened::Queued { why: Why::Resent, .. }
            | Happened::Settled { backend: None, outcome: Outcome::Unknown { .. } }
    )
}

/// Somebody has said that nobody knows whether it was sent: a new owner, or the worker itself, whose connection was lost between dot and reply.
fn called_unknown(happening: &Happening) -> bool {
    let is_lost = |outcome: &Outcome| matches!(outcome, Outcome::Unknown { .. } | Outcome::Deferred { .. });
    is_orphan(happening) || matches!(&happening.event.happened, Happened::Settled { outcome, .. } if is_lost(outcome) )
}

fn within(happening: &Happening, from: i64, to: i64) -> bool {
    (from..=to).contains(&happening.millis)
}

fn time(millis: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(millis).unwrap_or_default();
    time.strftime("%H:%M:%S%.3f").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Reported;
    use campaign::Reply;
    use journal::kafka::wire::{Counted, Event};

    const T: i64 = 1_800_000_000_000;

    fn event(offset: i64, millis: i64, happened: Happened) -> Happening {
        let event = Event { row: 2, attempt: 1, at: jiff::Timestamp::UNIX_EPOCH, outbox: 0, first: None, happened };
        Happening { partition: 0, offset, millis: T + millis, event }
    }

    fn claimed(offset: i64, millis: i64) -> Happening {
        event(offset, millis, Happened::Claimed { counted: Counted::Pending, due: None })
    }

    fn queued(offset: i64, millis: i64, why: Why) -> Happening {
        event(offset, millis, Happened::Queued { due: None, counted: Counted::Pending, why })
    }

    fn settled(offset: i64, millis: i64, backend: Option<&str>, outcome: Outcome) -> Happening {
        event(offset, millis, Happened::Settled { backend: backend.map(str::to_owned), outcome })
    }

    fn delivered(offset: i64, millis: i64) -> Happening {
        settled(offset, millis, Some("slot-0"), Outcome::Delivered { reply: Reply::default() })
    }

    fn orphaned(offset: i64, millis: i64) -> Happening {
        settled(offset, millis, None, Outcome::Unknown { reply: Reply::default() })
    }

    /// One row: its events, its final dots, its status; ticks at 0 s, 21 s and 42 s.
    fn evidence(events: Vec<Happening>, dots: &[i64], status: &str) -> Evidence {
        let count = |name: &str| u64::from(name == status);
        let status_of = serde_json::json!({
            "total": 1, "published": 1, "delivered": count("Delivered"), "unknown": count("Unknown"), "backlog": 0,
        });
        Evidence {
            rows: 1,
            holds: false,
            listed: [(2, 1)].into(),
            events: [(2, events)].into(),
            dots: [(2, dots.iter().map(|millis| Dot { millis: T + millis, slot: 0 }).collect())].into(),
            ticks: [(0, vec![T, T + 21_000, T + 42_000])].into(),
            report: [(2, Reported { status: status.to_owned(), attempts: 1 })].into(),
            status: status_of,
        }
    }

    fn found(evidence: &Evidence) -> Vec<String> {
        check(evidence).0.into_iter().map(|violation| violation.what).collect()
    }

    #[test]
    fn what_is_right_is_not_found_wrong() {
        let resent = vec![claimed(0, 0), queued(1, 30_000, Why::Resent), claimed(2, 42_000), delivered(3, 42_300)];
        let right = [
            evidence(vec![claimed(0, 0), delivered(1, 200)], &[100], "Delivered"),
            evidence(vec![claimed(0, 0), orphaned(1, 30_000)], &[100], "Unknown"),
            evidence(vec![claimed(0, 0), orphaned(1, 30_000)], &[], "Unknown"),
            evidence(resent, &[100, 42_100], "Delivered"),
            evidence(
                vec![claimed(0, 0), queued(1, 50, Why::Released), claimed(2, 60), delivered(3, 200)],
                &[100],
                "Delivered",
            ),
        ];
        for (number, evidence) in right.iter().enumerate() {
            assert_eq!(found(evidence), Vec::<String>::new(), "number {number}");
        }
        let (_, tally) = check(&right[3]);
        assert_eq!(tally, Tally { delivered: 1, unknown: 0, twice: 1, orphans: 1, late: 0 });
    }

    #[test]
    fn each_broken_rule_is_found() {
        let good = || vec![claimed(0, 0), delivered(1, 200)];
        let mut published_twice = evidence(good(), &[100], "Delivered");
        published_twice.listed.insert(2, 2);
        let mut twice_under_hold = evidence(
            vec![claimed(0, 0), orphaned(1, 22_000), claimed(2, 42_000), delivered(3, 42_300)],
            &[100, 42_100],
            "Delivered",
        );
        twice_under_hold.holds = true;
        let mut miscounted = evidence(good(), &[100], "Delivered");
        miscounted.status["delivered"] = 0.into();
        let mut unlisted = evidence(good(), &[100], "Delivered");
        unlisted.dots.insert(3, vec![Dot { millis: T, slot: 0 }]);
        let wrong = [
            (published_twice, "published 2 times"),
            (twice_under_hold, "under Hold it was sent 2 times"),
            (miscounted, "status says delivered 0"),
            (unlisted, "row 3 is not in the list"),
            (evidence(good(), &[], "Delivered"), "it is lost"),
            (evidence(Vec::new(), &[], "Pending"), "\"Pending\" in the report"),
            (evidence(good(), &[100, 150], "Delivered"), "nobody had called it unknown"),
            (evidence(good(), &[-5], "Delivered"), "before any claim"),
            (evidence(vec![claimed(0, 0), orphaned(1, 22_000)], &[22_100], "Unknown"), "after its claim had ended"),
            (evidence(vec![claimed(0, 0), queued(1, 200, Why::Released)], &[100], "Unknown"), "handed back"),
            (evidence(vec![claimed(0, 42_000), delivered(1, 64_000)], &[63_900], "Delivered"), "after its lease"),
        ];
        let mut by_another = evidence(good(), &[100], "Delivered");
        by_another.dots.insert(2, vec![Dot { millis: T + 100, slot: 1 }]);
        assert!(found(&by_another)[0].contains("slot 1 has sent"), "{:?}", found(&by_another));
        for (evidence, expected) in wrong {
            let found = found(&evidence);
            assert!(found.iter().any(|what| what.contains(expected)), "{expected}: {found:?}");
        }
    }
}
