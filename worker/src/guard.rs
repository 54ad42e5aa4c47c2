//! The guard against harm: a sender that is refused again and again is blocked, and every further mail makes it worse. Pure.

use campaign::{Outcome, Settlement};
use std::collections::VecDeque;

/// Settled mails that are looked back upon.
const WINDOW: usize = 200;
/// Refusals among them that stop the campaign.
const REFUSED: usize = 20;

/// Watches over the last settled mails.
#[derive(Debug, Default)]
pub struct Guard {
    last: VecDeque<bool>,
    refused: usize,
}

impl Guard {
    /// Takes note of a result; says why the campaign must stop, once it must.
    pub fn observe(&mut self, settlement: &Settlement) -> Option<String> {
        let reply = match &settlement.outcome {
            Outcome::Refused { reply } => Some(reply),
            Outcome::Released | Outcome::Deferred { .. } => return None,
            _ => None,
        };
        self.last.push_back(reply.is_some());
        self.refused += usize::from(reply.is_some());
        if self.last.len() > WINDOW {
            self.refused -= usize::from(self.last.pop_front().unwrap_or(false));
        }
        let reply = reply.filter(|_| self.refused >= REFUSED)?;
        Some(format!(
            "{} of the last {} mails were refused because of the sender, not the address; the last reply: {} {}",
            self.refused,
            self.last.len(),
            reply.code,
            reply.text
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use campaign::Reply;
    use jiff::Timestamp;

    fn settled(outcome: Outcome) -> Settlement {
        Settlement { row: 2, attempt: 1, at: Timestamp::UNIX_EPOCH, backend: None, outcome }
    }

    fn refused() -> Settlement {
        settled(Outcome::Refused {
            reply: Reply { code: 550, enhanced: Some("5.7.1".into()), text: "5.7.1 blocked".into() },
        })
    }

    fn delivered() -> Settlement {
        settled(Outcome::Delivered { reply: Reply::default() })
    }

    /// How many mails are seen before the guard stops.
    fn stops_after(mails: impl IntoIterator<Item = Settlement>) -> Option<usize> {
        let mut guard = Guard::default();
        mails.into_iter().position(|mail| guard.observe(&mail).is_some()).map(|index| index + 1)
    }

    #[test]
    fn twenty_refusals_in_a_row_stop_and_nineteen_do_not() {
        assert_eq!(stops_after((0..30).map(|_| refused())), Some(20));
        assert_eq!(stops_after((0..19).map(|_| refused())), None);
    }

    #[test]
    fn twenty_among_two_hundred_stop_and_fewer_do_not() {
        let every = |nth: usize| (1..2000).map(move |index| if index % nth == 0 { refused() } else { delivered() });
        assert_eq!(stops_after(every(10)), Some(200));
        assert_eq!(stops_after(every(11)), None);
    }

    #[test]
    fn deferred_and_released_mails_do_not_dilute_the_refused() {
        let released = || settled(Outcome::Released);
        assert_eq!(
            stops_after((0..8000).map(|index| if index % 200 == 0 { refused() } else { released() })),
            Some(3801)
        );
    }

    #[test]
    fn the_reason_holds_the_count_and_the_servers_words() {
        let mut guard = Guard::default();
        let reason = (0..20).find_map(|_| guard.observe(&refused())).expect("stopped");
        assert!(reason.contains("20 of the last 20") && reason.contains("550 5.7.1 blocked"), "{reason}");
    }
}
