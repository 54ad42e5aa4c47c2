//! When a campaign's mails may leave: not before `spec.startAt`, and in `spec.delivery.window`. Pure.

use crate::{DeliveryWindow, ValidCampaign};
use jiff::{Timestamp, tz::TimeZone};
use std::fmt;

/// When mails may leave; by default always.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Schedule {
    /// Not before this time.
    pub start_at: Option<Timestamp>,
    /// Only while this is open.
    pub window: Option<DeliveryWindow>,
}

/// Mails may not leave for now. Its text is for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// For what.
    pub reason: WaitingFor,
    /// When they may leave next; none if that is beyond the end of time.
    pub until: Option<Timestamp>,
    /// The time zone in which that is told: the window's; UTC without one.
    pub zone: TimeZone,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitingFor {
    /// `spec.startAt`.
    Start,
    /// `spec.delivery.window`.
    Window,
}

impl Schedule {
    /// That of a campaign.
    pub fn of(campaign: &ValidCampaign) -> Self {
        Self { start_at: campaign.spec.start_at, window: campaign.window.clone() }
    }

    /// What mails wait for at this time; none: they may leave.
    pub fn waiting(&self, now: Timestamp) -> Option<Waiting> {
        let start = self.start_at.filter(|start| *start > now);
        let closed = |window: &&DeliveryWindow| start.is_some() || !window.is_open(now);
        let until = match (self.window.as_ref().filter(closed), start) {
            (None, None) => return None,
            (None, start) => start,
            (Some(window), start) => window.next_open(start.unwrap_or(now)),
        };
        let reason = if start.is_some() { WaitingFor::Start } else { WaitingFor::Window };
        Some(Waiting { reason, until, zone: self.zone() })
    }

    /// Until when they may leave, if they may at this time; none: for ever.
    pub fn open_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.window.as_ref().and_then(|window| window.next_close(now))
    }

    /// A time as people there read it: `Mon 2027-03-01 08:00 Europe/Berlin`.
    pub fn local(&self, at: Timestamp) -> String {
        local(at, self.zone())
    }

    fn zone(&self) -> TimeZone {
        self.window.as_ref().map_or(TimeZone::UTC, |window| window.zone().clone())
    }
}

fn local(at: Timestamp, zone: TimeZone) -> String {
    let at = at.to_zoned(zone);
    let format = if at.second() == 0 { "%a %Y-%m-%d %H:%M %Q" } else { "%a %Y-%m-%d %H:%M:%S %Q" };
    at.strftime(format).to_string()
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, happens) = match self.reason {
            WaitingFor::Start => ("startAt", "begins"),
            WaitingFor::Window => ("the window", "opens"),
        };
        write!(f, "waiting for {what}")?;
        match self.until {
            Some(until) => write!(f, ", {happens} {}", local(until, self.zone.clone())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Day, Window};

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn office() -> DeliveryWindow {
        let time = |text: &str| text.parse().expect("a time of day");
        let days = vec![Day::Mon, Day::Fri];
        let window = Window { time_zone: "Europe/Berlin".to_owned(), days, from: time("08:00"), to: time("17:30") };
        DeliveryWindow::new(&window).expect("a time zone")
    }

    /// What is said at a time, and when that changes.
    fn said(schedule: &Schedule, now: &str) -> (Option<String>, Option<Timestamp>) {
        let now = at(now);
        match schedule.waiting(now) {
            Some(waiting) => (Some(waiting.to_string()), waiting.until),
            None => (None, schedule.open_until(now)),
        }
    }

    #[test]
    fn without_start_and_window_mails_may_always_leave() {
        assert_eq!(said(&Schedule::default(), "2027-03-01T08:00:00Z"), (None, None));
    }

    #[test]
    fn a_closed_window_is_waited_for_by_the_clock_of_its_zone() {
        let schedule = Schedule { start_at: None, window: Some(office()) };
        assert_eq!(said(&schedule, "2027-03-01T12:00:00Z"), (None, Some(at("2027-03-01T17:30:00+01:00"))));
        let monday = "waiting for the window, opens Fri 2027-03-05 08:00 Europe/Berlin".to_owned();
        assert_eq!(said(&schedule, "2027-03-01T16:30:00Z"), (Some(monday), Some(at("2027-03-05T08:00:00+01:00"))));
    }

    #[test]
    fn a_start_is_waited_for_up_to_its_second() {
        let schedule = Schedule { start_at: Some(at("2027-03-01T09:00:30+01:00")), window: None };
        let begins = "waiting for startAt, begins Mon 2027-03-01 08:00:30 UTC".to_owned();
        assert_eq!(said(&schedule, "2027-03-01T08:00:29.9Z"), (Some(begins), schedule.start_at));
        assert_eq!(said(&schedule, "2027-03-01T08:00:30Z"), (None, None));
    }

    #[test]
    fn a_start_outside_of_the_window_begins_when_it_opens() {
        let schedule = Schedule { start_at: Some(at("2027-03-01T20:00:00+01:00")), window: Some(office()) };
        let friday = Some(at("2027-03-05T08:00:00+01:00"));
        let (text, change) = said(&schedule, "2027-03-01T12:00:00+01:00");
        assert_eq!(text.as_deref(), Some("waiting for startAt, begins Fri 2027-03-05 08:00 Europe/Berlin"));
        assert_eq!(change, friday);
        let (text, change) = said(&schedule, "2027-03-01T20:00:00+01:00");
        assert_eq!(text.as_deref(), Some("waiting for the window, opens Fri 2027-03-05 08:00 Europe/Berlin"));
        assert_eq!(change, friday);
        assert_eq!(said(&schedule, "2027-03-05T08:00:00+01:00").0, None);
    }
}
