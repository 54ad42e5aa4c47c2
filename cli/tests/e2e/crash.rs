//! kill -9, ten times, and run again: nobody is lost, and what a person is told agrees with what the server saw.

use crate::rig::{Rig, campaign, number};
use std::collections::HashMap;
use std::process::Child;
use std::time::{Duration, Instant};
use testkit::{Keep, Sink, SinkOptions};

const ROWS: u64 = 20_000;
const KILLS: u64 = 10;
const IN_FLIGHT: u64 = 200;
const SEND: [&str; 4] = ["run", "campaign.yaml", "--send", "--json"];

/// A fixed sequence that looks random (Knuth's 64-bit linear congruential generator): a failure can be repeated.
struct Moments(u64);

impl Moments {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Kills the program soon after its start: while it reads the list, publishes, or sends its first mails.
fn kill_early(mut program: Child, moments: &mut Moments) -> bool {
    std::thread::sleep(Duration::from_millis(moments.below(150)));
    let _ = program.kill();
    program.wait().expect("it ended").code().is_none()
}

/// Kills the program once the server has some more mails than now. False if it had ended by itself.
fn kill_at_some_moment(mut program: Child, sink: &Sink, moments: &mut Moments) -> bool {
    let enough = sink.count() + usize::try_from(moments.below(ROWS / KILLS)).expect("a small number");
    let patience = Instant::now() + Duration::from_mins(1);
    while sink.count() < enough && program.try_wait().expect("its state").is_none() {
        assert!(Instant::now() < patience, "no progress");
        std::thread::sleep(Duration::from_micros(moments.below(3_000)));
    }
    let _ = program.kill();
    program.wait().expect("it ended").code().is_none()
}

/// A campaign that was killed ten times and then ran to its end.
struct Survivor {
    rig: Rig,
    sink: Sink,
    code: i32,
    unknown: u64,
}

fn survive(policy: &str, seed: u64) -> Survivor {
    let rig = Rig::new();
    let sink = Sink::start(SinkOptions::default().keep(Keep::Recipients));
    rig.write_list(ROWS);
    rig.write("campaign.yaml", campaign(&sink, &format!("    onUnknown: {policy}\n    maxInFlight: {IN_FLIGHT}\n")));
    let mut moments = Moments(seed);
    for kill in 1..=KILLS {
        let program = rig.start(&SEND);
        let killed = match kill {
            1..=3 => kill_early(program, &mut moments),
            _ => kill_at_some_moment(program, &sink, &mut moments),
        };
        assert!(killed, "it had ended before kill {kill}");
    }
    let done = rig.run(&SEND);
    let account = done.account();
    assert_eq!(number(&account, "total"), ROWS, "{}", done.stderr);
    let unknown = number(&account, "unknown");
    assert_eq!(number(&account, "delivered") + unknown, ROWS, "{}", done.stdout);
    Survivor { rig, sink, code: done.code, unknown }
}

/// What the server saw: the Message-IDs by recipient.
fn seen(sink: &Sink) -> HashMap<String, Vec<String>> {
    let mut seen: HashMap<String, Vec<String>> = HashMap::new();
    for mail in sink.received() {
        seen.entry(mail.to).or_default().push(mail.message_id);
    }
    seen
}

#[test]
fn e2e_killed_ten_times_under_hold_nobody_is_lost_and_nobody_gets_two() {
    let Survivor { rig, sink, code, unknown } = survive("Hold", 2027);
    assert_eq!(code, i32::from(unknown > 0));
    assert!(unknown <= KILLS * IN_FLIGHT, "{unknown} are unknown");
    let seen = seen(&sink);
    assert!(seen.values().all(|mails| mails.len() == 1), "somebody got two");
    let report = rig.report();
    assert_eq!(report.len() as u64, ROWS);
    for row in report {
        let got = seen.get(&row["Email"]).and_then(|mails| mails.first());
        match (row["Status"].as_str(), got) {
            ("Delivered" | "Unknown", Some(message_id)) => {
                assert_eq!(row["Message-ID"], format!("<{message_id}>"));
            }
            ("Unknown", None) => {}
            (status, got) => panic!("{} is {status}, and the server saw {got:?}", row["Email"]),
        }
    }
}

#[test]
fn e2e_killed_ten_times_under_resend_everybody_has_it_and_only_the_unknown_may_have_two() {
    let Survivor { rig, sink, code, unknown } = survive("Resend", 4711);
    assert_eq!((code, unknown), (0, 0));
    let seen = seen(&sink);
    let doubled: u64 = seen.values().map(|mails| mails.len() as u64 - 1).sum();
    assert!(doubled <= KILLS * IN_FLIGHT, "{doubled} second copies");
    let report = rig.report();
    assert_eq!(report.len() as u64, ROWS);
    for row in report {
        let got = seen.get(&row["Email"]).map_or(&[][..], Vec::as_slice);
        assert!(!got.is_empty(), "{} is lost", row["Email"]);
        let attempts: usize = row["Attempts"].parse().expect("a number of attempts");
        assert!(got.len() <= attempts, "{} got {} mails in {attempts} attempts", row["Email"], got.len());
        assert!(
            got.iter().all(|message_id| row["Message-ID"] == format!("<{message_id}>")),
            "{}: {got:?}",
            row["Email"]
        );
    }
}
