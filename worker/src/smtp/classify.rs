//! What a reply says about the mail: by enhanced status code (RFC 3463 and the IANA registry) first, then by basic code (RFC 5321 §4.2.3).
//!
//! Pure and total. The rules, in this order:
//!
//! | reply | class |
//! |---|---|
//! | 2xx at the final dot | Delivered |
//! | 4xx; anything that is neither 2xx nor 5xx; 2xx elsewhere | Transient |
//! | 5xx up to MAIL FROM (greeting, EHLO, STARTTLS, AUTH, MAIL) | Refused |
//! | 5.1.7, 5.1.8 (sender's address) | Refused |
//! | 5.1.x (recipient's address) | Rejected |
//! | 5.2.2 (mailbox full), 5.3.1 (system full), 5.4.3 (directory failed), 5.5.3 (too many recipients) | Transient: they pass |
//! | 5.2.x (mailbox), 5.4.x (no way to its domain) | Rejected |
//! | 5.3.x (system; too big) | Refused |
//! | 5.5.2, 5.5.4 at RCPT (the address can't be read) | Rejected |
//! | 5.5.0 | by basic code; other 5.5.x (protocol) Refused |
//! | 5.6.7, 5.6.9 (international address) | Rejected |
//! | 5.6.x (content) | Refused |
//! | 5.7.17, 5.7.18 (the mailbox or domain has a new owner, RFC 7293) | Rejected |
//! | 5.7.x (policy, authentication) | Refused |
//! | 5.0.x, or none: 552 (storage) | Transient |
//! | … 550, 551, 553, 556, 510, 511, 501 at RCPT | Rejected |
//! | … everything else | Refused |
//!
//! An enhanced code whose class differs from the basic code's first digit is ignored: RFC 5321 lets clients act on that digit. A failure that
//! was found on this side has code 0 and counts by its enhanced code.

use super::Phase;
use campaign::Reply;

/// What a reply says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The server took responsibility for the mail.
    Delivered,
    /// It may work later.
    Transient,
    /// The recipient's address is bad. Final.
    Rejected,
    /// The sender or the mail is refused; it says nothing about the address.
    Refused,
}

/// What `reply` says, when it was given in `phase`.
pub fn classify(reply: &Reply, phase: Phase) -> Class {
    let status = reply.enhanced.as_deref().and_then(subject_and_detail);
    match (reply.code / 100, status) {
        (2, _) if phase == Phase::FinalDot => Class::Delivered,
        (0, Some((5, subject, detail))) => permanent(Some((subject, detail)), 0, phase),
        (5, Some((5, subject, detail))) => permanent(Some((subject, detail)), reply.code, phase),
        (5, _) => permanent(None, reply.code, phase),
        _ => Class::Transient,
    }
}

fn permanent(status: Option<(u16, u16)>, code: u16, phase: Phase) -> Class {
    // Before there is a recipient nothing can be his fault. What is found on this side before that (code 0) is about this mail.
    if code > 0 && phase < Phase::Rcpt {
        return Class::Refused;
    }
    match status {
        None | Some((0, _) | (5, 0)) => by_basic_code(code, phase),
        Some((1, 7 | 8)) => Class::Refused,
        Some((2, 2) | (3, 1) | (4 | 5, 3)) => Class::Transient,
        Some((1 | 2 | 4, _) | (6, 7 | 9) | (7, 17 | 18)) => Class::Rejected,
        Some((5, 2 | 4)) if phase == Phase::Rcpt => Class::Rejected,
        Some(_) => Class::Refused,
    }
}

fn by_basic_code(code: u16, phase: Phase) -> Class {
    match code {
        552 => Class::Transient,
        550 | 551 | 553 | 556 | 510 | 511 | 501 if phase == Phase::Rcpt => Class::Rejected,
        _ => Class::Refused,
    }
}

/// Class, subject and detail of an enhanced status code.
fn subject_and_detail(text: &str) -> Option<(u16, u16, u16)> {
    let mut numbers = text.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PHASES: [Phase; 11] = [
        Phase::Queue,
        Phase::Connect,
        Phase::Greeting,
        Phase::Ehlo,
        Phase::StartTls,
        Phase::Auth,
        Phase::Mail,
        Phase::Rcpt,
        Phase::Data,
        Phase::Content,
        Phase::FinalDot,
    ];

    fn class(code: u16, enhanced: &str, phase: Phase) -> Class {
        let enhanced = (!enhanced.is_empty()).then(|| enhanced.to_owned());
        classify(&Reply { code, enhanced, text: String::new() }, phase)
    }

    #[test]
    fn the_table_holds() {
        use {Class::*, Phase::*};
        for (code, enhanced, phase, expected) in [
            (250, "2.0.0", FinalDot, Delivered),
            (250, "", FinalDot, Delivered),
            (250, "2.1.5", Rcpt, Transient),
            (354, "", FinalDot, Transient),
            (0, "", FinalDot, Transient),
            (421, "4.7.0", Greeting, Transient),
            (450, "4.2.1", Rcpt, Transient),
            (451, "", FinalDot, Transient),
            (454, "4.7.0", Auth, Transient),
            (450, "5.1.1", Rcpt, Transient),
            (554, "", Greeting, Refused),
            (554, "5.7.1", Ehlo, Refused),
            (535, "5.7.8", Auth, Refused),
            (550, "5.1.1", Mail, Refused),
            (553, "5.1.8", Mail, Refused),
            (552, "", Mail, Refused),
            (550, "5.1.1", Rcpt, Rejected),
            (550, "5.1.10", Rcpt, Rejected),
            (550, "5.1.6", Rcpt, Rejected),
            (550, "5.1.7", Rcpt, Refused),
            (550, "5.1.8", Rcpt, Refused),
            (550, "5.1.1", FinalDot, Rejected),
            (550, "5.2.1", Rcpt, Rejected),
            (552, "5.2.2", Rcpt, Transient),
            (552, "5.2.3", FinalDot, Rejected),
            (452, "4.5.3", Rcpt, Transient),
            (552, "5.3.4", FinalDot, Refused),
            (550, "5.3.1", Rcpt, Transient),
            (550, "5.4.1", Rcpt, Rejected),
            (550, "5.4.3", Rcpt, Transient),
            (550, "5.4.4", Rcpt, Rejected),
            (550, "5.5.0", Rcpt, Rejected),
            (501, "5.5.4", Rcpt, Rejected),
            (503, "5.5.1", Rcpt, Refused),
            (554, "5.5.1", Data, Refused),
            (554, "5.6.0", FinalDot, Refused),
            (553, "5.6.7", Rcpt, Rejected),
            (550, "5.7.1", Rcpt, Refused),
            (550, "5.7.17", Rcpt, Rejected),
            (554, "5.7.26", FinalDot, Refused),
            (550, "", Rcpt, Rejected),
            (550, "4.1.1", Rcpt, Rejected),
            (550, "2.1.5", Rcpt, Rejected),
            (550, "5.0.0", Rcpt, Rejected),
            (551, "", Rcpt, Rejected),
            (553, "", Rcpt, Rejected),
            (556, "", Rcpt, Rejected),
            (501, "", Rcpt, Rejected),
            (552, "", Rcpt, Transient),
            (552, "", FinalDot, Transient),
            (554, "", Rcpt, Refused),
            (530, "5.7.0", Rcpt, Refused),
            (503, "", Rcpt, Refused),
            (550, "", FinalDot, Refused),
            (554, "", Data, Refused),
            (0, "5.3.4", Queue, Refused),
            (0, "5.6.7", Queue, Rejected),
            (0, "5.7.4", Auth, Refused),
        ] {
            assert_eq!(class(code, enhanced, phase), expected, "{code} {enhanced} at {phase:?}");
        }
    }

    proptest! {
        #[test]
        fn every_reply_has_a_class_and_only_a_2xx_to_the_final_dot_is_delivered(
            code: u16, enhanced in proptest::option::of("[0-9.]{0,12}|[245]\\.[0-9]\\.[0-9]{1,2}"), phase in 0_usize..11
        ) {
            let phase = PHASES[phase];
            let class = classify(&Reply { code, enhanced, text: String::new() }, phase);
            prop_assert_eq!(class == Class::Delivered, code / 100 == 2 && phase == Phase::FinalDot);
            prop_assert!(code / 100 != 4 || class == Class::Transient);
            prop_assert!(class != Class::Rejected || phase >= Phase::Rcpt || code == 0);
        }
    }
}
