//! The clock that leadership is measured by: a machine's own, never the time of day.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Time since the machine started. Only differences mean anything.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// CLOCK_BOOTTIME: nobody sets it, and it counts on while the machine is suspended.
    #[default]
    Boot,
    /// Moved by [`Hands`]: for tests.
    ByHand(watch::Receiver<Duration>),
}

/// Moves a [`Clock::ByHand`] and all its clones.
#[derive(Debug)]
pub struct Hands(Arc<watch::Sender<Duration>>);

impl Clock {
    /// A clock that stands at `start` until it is moved.
    pub fn by_hand(start: Duration) -> (Self, Hands) {
        let (hands, time) = watch::channel(start);
        (Self::ByHand(time), Hands(Arc::new(hands)))
    }

    /// What it shows.
    pub fn now(&self) -> Duration {
        match self {
            Self::Boot => journal::boottime(),
            Self::ByHand(time) => *time.borrow(),
        }
    }

    /// Resolves when it shows `time` or more.
    pub async fn reaches(&self, time: Duration) {
        match self {
            Self::Boot => {
                // Timers stand still while the machine is suspended, this clock doesn't: no sleep is so long that it would matter.
                while let Some(left) = time.checked_sub(self.now()).filter(|left| !left.is_zero()) {
                    tokio::time::sleep(left).await;
                }
            }
            Self::ByHand(shown) => {
                let mut shown = shown.clone();
                if shown.wait_for(|shown| *shown >= time).await.is_err() {
                    // Nobody moves it any more.
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}

impl Hands {
    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        self.0.send_modify(|time| *time += by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_clock_by_hand_stands_still_until_it_is_moved() {
        let (clock, hands) = Clock::by_hand(Duration::from_secs(100));
        let waiting = tokio::spawn({
            let clock = clock.clone();
            async move { clock.reaches(Duration::from_secs(103)).await }
        });
        hands.advance(Duration::from_secs(2));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        hands.advance(Duration::from_secs(1));
        waiting.await.expect("it is reached");
        assert_eq!(clock.now(), Duration::from_secs(103));
    }

    #[tokio::test]
    async fn the_clock_of_the_machine_goes_on() {
        let clock = Clock::default();
        let soon = clock.now() + Duration::from_millis(5);
        clock.reaches(soon).await;
        assert!(clock.now() >= soon);
    }
}
