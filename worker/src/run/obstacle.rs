//! What keeps this worker from sending, told to those who look at the campaign: that no backend can be used is the result of no mail, so that nothing else
//! in the journal says it. Only a worker that stays tells it; another ends with it.

use super::Run;
use crate::{StopLevel, backend::choose::Availability, pacing::Moment};
use campaign::status::without_addresses;
use journal::{Obstacle, Sighting, Tick};
use std::time::Duration;

/// How often an obstacle is told anew while it lasts: well within [`Obstacle::GOOD_FOR`].
const AGAIN: Duration = Duration::from_mins(1);
/// Characters of a reason, at most.
const LONGEST: usize = 1_000;
/// How long a run that ends waits until what it told is taken back.
const LAST_WORD: Duration = Duration::from_secs(1);

/// What is known of the backends as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    /// At least one takes mails.
    Open,
    /// None does, and they are left alone for a while.
    Shut,
    /// None did, and one is being tried or about to be.
    Tried,
    /// Nothing is being tried, so that nothing is known.
    Unknown,
}

/// What there is to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    Met,
    Gone,
}

/// When there is something to tell. Pure.
#[derive(Debug)]
pub(super) struct Lookout {
    /// How long it must have been so.
    after: Duration,
    /// Since when no backend has taken mails.
    since: Option<Moment>,
    /// When it was told last, until that is taken back.
    told: Option<Moment>,
}

impl Lookout {
    pub(super) fn new(after: Duration) -> Self {
        Self { after, since: None, told: None }
    }

    /// Takes note of how things stand; what is to be told now, until that was done.
    fn news(&mut self, view: View, now: Moment) -> Option<News> {
        match view {
            View::Open => {
                self.since = None;
                self.told.map(|_| News::Gone)
            }
            View::Shut => {
                let since = *self.since.get_or_insert(now);
                let is_fresh = self.told.is_some_and(|told| now.since(told) < AGAIN);
                (now.since(since) >= self.after && !is_fresh).then_some(News::Met)
            }
            View::Tried => None,
            View::Unknown => {
                self.since = None;
                None
            }
        }
    }

    /// It was told.
    pub(super) fn told(&mut self, sighting: Option<&Sighting>, now: Moment) {
        match sighting {
            Some(Sighting::Met(_)) => self.told = Some(now),
            Some(Sighting::Gone) => self.told = None,
            None => {}
        }
    }
}

impl<W: journal::Worker> Run<W> {
    /// What the next tick says of an obstacle, if there is something to say.
    pub(super) fn sighting(&mut self, now: Moment) -> Option<Sighting> {
        if !self.stays() || self.ending.is_some() {
            return None;
        }
        let view = self.view(now);
        self.lookout.news(view, now).map(|news| match news {
            News::Gone => Sighting::Gone,
            News::Met => {
                let desk = &self.floor.desk;
                Sighting::Met(Obstacle { reason: for_all_to_read(&desk.pool.reasons()), at: desk.clock.time() })
            }
        })
    }

    fn view(&self, now: Moment) -> View {
        let is_something_left = || self.floor.under_way() > 0 || !self.worker.exhausted();
        let tries = !self.floor.desk.gate.is_held() && self.worker.share().owned > 0 && is_something_left();
        match self.floor.desk.pool.availability(now) {
            Availability::Open => View::Open,
            _ if !tries => View::Unknown,
            Availability::Closed(Some(_)) => View::Shut,
            Availability::Closed(None) | Availability::Probe => View::Tried,
        }
    }

    /// Leaves journal and backends in an orderly way, unless there is no time for it: nobody is told any more that this run meets an obstacle. If that
    /// can't be written at once it is soon too old to count.
    pub(super) async fn say_goodbye(&mut self) {
        if self.floor.stopping.level() == StopLevel::Now {
            return;
        }
        let (worker, floor) = (&mut self.worker, &self.floor);
        let has_told = self.lookout.told.is_some() && !floor.link.is_down();
        let take_back = async {
            if has_told {
                let tick = Tick { obstacle: Some(Sighting::Gone), at: floor.desk.clock.time(), ..Tick::default() };
                // Nothing is claimed with it, so that nothing is lost if it is not waited for.
                let _ = tokio::time::timeout(LAST_WORD, worker.commit(tick)).await;
            }
        };
        tokio::join!(take_back, floor.desk.pool.close());
    }
}

/// Without addresses, which a server may have put into its reply, and not too long.
fn for_all_to_read(reasons: &str) -> String {
    let text = without_addresses(reasons);
    match text.char_indices().nth(LONGEST) {
        Some(_) => text.chars().take(LONGEST - 1).chain(['…']).collect(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Moment {
        Moment(0).plus(Duration::from_secs(seconds))
    }

    fn obstacle() -> Sighting {
        Sighting::Met(Obstacle { reason: String::new(), at: jiff::Timestamp::UNIX_EPOCH })
    }

    /// What is told from each second on for a second, all of it committed: the seconds of what is met and of what is gone.
    fn told(lookout: &mut Lookout, views: impl IntoIterator<Item = View>) -> (Vec<u64>, Vec<u64>) {
        let (mut met, mut gone) = (Vec::new(), Vec::new());
        for (view, second) in views.into_iter().zip(0..) {
            for _ in 0..3 {
                match lookout.news(view, at(second)) {
                    Some(News::Met) => {
                        met.push(second);
                        lookout.told(Some(&obstacle()), at(second));
                    }
                    Some(News::Gone) => {
                        gone.push(second);
                        lookout.told(Some(&Sighting::Gone), at(second));
                    }
                    None => {}
                }
            }
        }
        (met, gone)
    }

    fn for_seconds(seconds: usize, view: View) -> impl Iterator<Item = View> {
        std::iter::repeat_n(view, seconds)
    }

    #[test]
    fn an_obstacle_is_told_after_its_time_then_once_a_minute_and_once_that_it_is_gone() {
        let views = for_seconds(5, View::Open).chain(for_seconds(140, View::Shut)).chain(for_seconds(9, View::Open));
        assert_eq!(told(&mut Lookout::new(AFTER), views), (vec![15, 75, 135], vec![145]));
    }

    #[test]
    fn what_is_over_in_time_is_not_told_and_a_probe_in_between_changes_nothing() {
        let short = || for_seconds(9, View::Shut).chain([View::Tried, View::Open]);
        assert_eq!(told(&mut Lookout::new(AFTER), short().chain(short())), (vec![], vec![]));
        let probed = for_seconds(9, View::Shut).chain(for_seconds(9, View::Tried)).chain([View::Shut, View::Shut]);
        assert_eq!(told(&mut Lookout::new(AFTER), probed), (vec![18], vec![]), "when the probe has failed as well");
    }

    #[test]
    fn while_nothing_is_tried_what_was_told_is_neither_told_anew_nor_taken_back() {
        let met = || for_seconds(11, View::Shut);
        let views = met().chain(for_seconds(200, View::Unknown)).chain(met());
        assert_eq!(told(&mut Lookout::new(AFTER), views), (vec![10, 221], vec![]), "it must be so for its time again");
        let works = met().chain(for_seconds(3, View::Unknown)).chain([View::Open]);
        assert_eq!(told(&mut Lookout::new(AFTER), works), (vec![10], vec![14]));
    }

    #[test]
    fn what_could_not_be_written_is_told_again() {
        let mut lookout = Lookout::new(AFTER);
        for second in [0, 10, 11] {
            assert_eq!(lookout.news(View::Shut, at(second)), (second > 0).then_some(News::Met));
        }
        lookout.told(Some(&obstacle()), at(11));
        assert_eq!(lookout.news(View::Shut, at(12)), None);
    }

    #[test]
    fn a_reason_holds_no_address_and_at_most_a_thousand_characters() {
        assert_eq!(for_all_to_read("backend a (b:25): 421 <ann@example.com> later"), "backend a (b:25): 421 <…> later");
        assert_eq!(for_all_to_read(&"ä".repeat(1_000)), "ä".repeat(1_000));
        let long = for_all_to_read(&"ä".repeat(1_001));
        assert!(long.chars().count() == 1_000 && long.ends_with("ä…"), "{long}");
    }

    #[test]
    fn what_is_told_stays_fresh_though_a_telling_is_missed() {
        assert!(Obstacle::GOOD_FOR > (AGAIN * 2).try_into().expect("a length"));
    }
}
