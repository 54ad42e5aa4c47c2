//! The window by the clock: on ordinary days, over midnight, and when clocks are set.

use super::*;
use proptest::prelude::*;

fn window(zone: &str, days: &[Day], from: &str, to: &str) -> DeliveryWindow {
    let time = |text: &str| text.parse().expect("a time of day");
    let window = Window { time_zone: zone.to_owned(), days: days.to_vec(), from: time(from), to: time(to) };
    DeliveryWindow::new(&window).expect("a time zone")
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

const WORKDAYS: [Day; 5] = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri];

#[test]
fn office_hours_are_open_from_the_first_minute_to_the_last_on_workdays() {
    let office = window("Europe/Berlin", &WORKDAYS, "08:00", "17:30");
    for (time, open) in [
        ("2027-03-01T07:59:59.999+01:00", false),
        ("2027-03-01T08:00:00+01:00", true),
        ("2027-03-01T17:29:59.999+01:00", true),
        ("2027-03-01T17:30:00+01:00", false),
        ("2027-03-06T12:00:00+01:00", false),
    ] {
        assert_eq!(office.is_open(at(time)), open, "{time}");
    }
    assert_eq!(office.next_open(at("2027-03-05T17:30:00+01:00")), Some(at("2027-03-08T08:00:00+01:00")));
    assert_eq!(office.next_close(at("2027-03-05T12:00:00+01:00")), Some(at("2027-03-05T17:30:00+01:00")));
    let now = at("2027-03-05T12:00:00.5+01:00");
    assert_eq!(office.next_open(now), Some(now));
}

#[test]
fn a_window_over_midnight_belongs_to_the_day_on_which_it_begins() {
    let night = window("UTC", &[Day::Fri], "22:00", "06:00");
    for (time, open) in [
        ("2027-03-05T05:00:00Z", false),
        ("2027-03-05T22:00:00Z", true),
        ("2027-03-06T05:59:59Z", true),
        ("2027-03-06T06:00:00Z", false),
        ("2027-03-06T22:00:00Z", false),
    ] {
        assert_eq!(night.is_open(at(time)), open, "{time}");
    }
    assert_eq!(night.next_close(at("2027-03-05T23:00:00Z")), Some(at("2027-03-06T06:00:00Z")));
    assert_eq!(night.next_open(at("2027-03-06T06:00:00Z")), Some(at("2027-03-12T22:00:00Z")));
}

#[test]
fn whole_days_are_open_over_midnight_and_a_whole_week_is_always_open() {
    let weekend = window("UTC", &[Day::Sat, Day::Sun], "00:00", "24:00");
    assert_eq!(weekend.next_open(at("2027-03-05T12:00:00Z")), Some(at("2027-03-06T00:00:00Z")));
    assert_eq!(weekend.next_close(at("2027-03-06T12:00:00Z")), Some(at("2027-03-08T00:00:00Z")));
    let always = window("Europe/Berlin", &Day::ALL, "00:00", "24:00");
    assert_eq!(always.next_close(at("2027-03-26T12:00:00Z")), None);
}

#[test]
fn where_clocks_are_set_forward_over_its_beginning_it_opens_then() {
    // In Berlin, 28 March 2027: 02:00 +01:00 becomes 03:00 +02:00.
    let early = window("Europe/Berlin", &[Day::Sun], "02:30", "05:00");
    assert_eq!(early.next_open(at("2027-03-28T00:00:00+01:00")), Some(at("2027-03-28T03:00:00+02:00")));
    let late = window("Europe/Berlin", &[Day::Sun], "01:00", "02:30");
    assert_eq!(late.next_close(at("2027-03-28T01:30:00+01:00")), Some(at("2027-03-28T03:00:00+02:00")));
    let swallowed = window("Europe/Berlin", &[Day::Sun], "02:10", "02:50");
    assert_eq!(swallowed.next_open(at("2027-03-28T00:00:00+01:00")), Some(at("2027-04-04T02:10:00+02:00")));
}

#[test]
fn where_clocks_are_set_back_the_hour_that_comes_twice_counts_twice() {
    // In Berlin, 31 October 2027: 03:00 +02:00 becomes 02:00 +01:00.
    let night = window("Europe/Berlin", &[Day::Sun], "01:00", "02:30");
    assert_eq!(night.next_close(at("2027-10-31T01:00:00+02:00")), Some(at("2027-10-31T02:30:00+02:00")));
    assert_eq!(night.next_open(at("2027-10-31T02:45:00+02:00")), Some(at("2027-10-31T02:00:00+01:00")));
    assert_eq!(night.next_close(at("2027-10-31T02:00:00+01:00")), Some(at("2027-10-31T02:30:00+01:00")));
}

#[test]
fn a_day_that_falls_out_of_the_calendar_is_waited_for_a_week_more() {
    // Samoa had no Friday, 30 December 2011.
    let fridays = window("Pacific/Apia", &[Day::Fri], "09:00", "10:00");
    let thursday = at("2011-12-29T12:00:00-10:00");
    assert_eq!(fridays.next_open(thursday), Some(at("2012-01-06T09:00:00+14:00")));
}

#[test]
fn a_time_zone_is_known_in_any_case_and_others_are_refused() {
    assert!(time_zone("europe/berlin").is_ok() && time_zone("UTC").is_ok());
    for name in ["", "Europe/Berln", "+01:00", "../etc/localtime", "CEST"] {
        assert_eq!(time_zone(name), Err(UnknownTimeZone(name.to_owned())));
    }
}

#[test]
fn the_end_of_time_is_no_problem() {
    let night = window("Pacific/Kiritimati", &[Day::Mon], "22:00", "06:00");
    for now in [Timestamp::MIN, Timestamp::MAX] {
        let _ = (night.is_open(now), night.next_open(now), night.next_close(now));
    }
}

const ZONES: [&str; 8] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Africa/Casablanca",
    "Pacific/Apia",
    "Asia/Kathmandu",
];

prop_compose! {
    fn any_window()(
        zone in prop::sample::select(&ZONES[..]),
        days in prop::collection::vec(prop::sample::select(&Day::ALL[..]), 1..5),
        from in 0_u16..DAY,
        to in 0_u16..=DAY,
    ) -> DeliveryWindow {
        let text = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        let to = if to == from { to + 1 } else { to };
        window(zone, &days, &text(from), &text(to))
    }
}

prop_compose! {
    /// Between 1990 and 2040, half of the times near the moment at which clocks are set somewhere.
    fn any_time()(seconds in 631_152_000_i64..2_208_988_800, near in any::<bool>(), minutes in -2000_i64..2000, zone in prop::sample::select(&ZONES[..]))
        -> Timestamp
    {
        let time = Timestamp::from_second(seconds).expect("a time");
        let zone = time_zone(zone).expect("a time zone");
        let set = zone.following(time).next().map_or(time, |transition| transition.timestamp());
        if near { set + SignedDuration::from_mins(minutes) } else { time }
    }
}

/// Looks at every minute, which is all that a window can name.
fn first_by_looking(window: &DeliveryWindow, now: Timestamp, open: bool) -> Option<Timestamp> {
    let next_minute = Timestamp::from_second((now.as_second().div_euclid(60) + 1) * 60).expect("a time");
    let minutes = (0..HORIZON_DAYS * 24 * 60).map(|minute| next_minute + SignedDuration::from_mins(minute));
    std::iter::once(now).chain(minutes).find(|time| window.is_open(*time) == open)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_next_opening_and_closing_are_those_that_one_finds_by_looking_at_every_minute(window in any_window(), now in any_time()) {
        for open in [true, false] {
            let found = window.next(now, open);
            let seen = first_by_looking(&window, now, open);
            prop_assert_eq!(found, seen);
        }
    }

    #[test]
    fn it_is_open_exactly_when_the_clock_shows_a_time_in_it(window in any_window(), now in any_time()) {
        let clock = window.zone.to_datetime(now);
        let minute = minute_of(clock.time());
        let length = if window.to > window.from { window.to - window.from } else { window.to + DAY - window.from };
        let opened = [clock.date(), clock.date().yesterday().expect("a day")].into_iter().zip([minute, minute + DAY]);
        let wanted = opened.into_iter().any(|(day, minute)| {
            window.opens_on(day.weekday()) && (window.from..window.from + length).contains(&minute)
        });
        prop_assert_eq!(window.is_open(now), wanted);
    }
}
