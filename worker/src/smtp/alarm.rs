//! A deadline that is moved with every step and hardly ever comes.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that costs nothing to move later: it is only armed anew when it goes off too early. (A timer wheel's lock three times a mail is dear.)
pub(super) struct Alarm {
    sleep: Pin<Box<Sleep>>,
    deadline: Instant,
}

impl Alarm {
    pub(super) fn new(after: Duration) -> Self {
        let deadline = Instant::now() + after;
        Self { sleep: Box::pin(sleep_until(deadline)), deadline }
    }

    /// Moves the deadline to `after` from now.
    pub(super) fn set(&mut self, after: Duration) {
        self.deadline = Instant::now() + after;
        if self.deadline < self.sleep.deadline() {
            self.sleep.as_mut().reset(self.deadline);
        }
    }

    /// Ready when the deadline has passed.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.sleep.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            if Instant::now() >= self.deadline {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(self.deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_was_moved_counts_from_its_last_move() {
        let start = Instant::now();
        let mut alarm = Alarm::new(Duration::from_secs(5));
        alarm.set(Duration::from_mins(1));
        poll_fn(|context| alarm.poll(context)).await;
        assert_eq!(start.elapsed().as_secs(), 60);
        alarm.set(Duration::from_mins(5));
        alarm.set(Duration::from_secs(2));
        poll_fn(|context| alarm.poll(context)).await;
        assert_eq!(start.elapsed().as_secs(), 62);
    }
}
