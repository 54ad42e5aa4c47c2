//! One claimed mail: rendered, handed to a backend, and what became of it. Failover happens here, within the attempt.

use crate::{
    Gate,
    backend::{
        Failure, Kind, Mail,
        choose::{Choice, Pool, Tried},
    },
    clock::Clock,
    gate::Hold,
    metrics::Phases,
    outcome::{Attempt, Policy},
};
use bytes::Bytes;
use campaign::{Reply, Settlement};
use journal::Claimed;
use letter::Letters;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How often a mail that no backend would begin is offered again within one attempt, and how long after. Breakers open long before, unless the
/// server takes other mails: then it is only busy.
const ROUNDS: u32 = 20;
const BETWEEN_ROUNDS: Duration = Duration::from_millis(250);

/// What the deliveries of a run share.
pub(crate) struct Desk {
    pub(crate) letters: Arc<Letters>,
    pub(crate) pool: Pool,
    pub(crate) policy: Policy,
    pub(crate) gate: Gate,
    pub(crate) phases: Phases,
    pub(crate) clock: Clock,
}

/// The result of one delivery.
#[derive(Debug)]
pub(crate) struct Delivered {
    pub(crate) settlement: Settlement,
    /// The sender as such was refused: no other mail would fare better.
    pub(crate) sender_refused: bool,
}

/// The result of trying backends.
struct Handed {
    backend: Option<Arc<str>>,
    result: Result<Reply, Failure>,
}

impl Desk {
    /// Delivers one mail.
    pub(crate) async fn deliver(&self, claimed: &Claimed) -> Delivered {
        let gate = self.gate.with(claimed.lease());
        if !gate.may_begin() {
            return self.settle(claimed, "", Handed { backend: None, result: Err(Failure::stopped()) });
        }
        let started = Instant::now();
        let mut letter = match self.letters.render(claimed.message(), self.clock.time()) {
            Ok(letter) => letter,
            Err(error) => {
                let reply = Reply { code: 0, enhanced: None, text: error.to_string() };
                let result = Err(Failure::of_mail(Kind::Unsendable, reply));
                return self.settle(claimed, "", Handed { backend: None, result });
            }
        };
        self.phases.render.observe(started.elapsed().as_secs_f64());
        let content = Bytes::from(std::mem::take(&mut letter.bytes));
        let mail = Mail { letter: &letter, content: &content, fields: &claimed.message().fields };
        let handed = self.hand_over(mail, &gate).await;
        self.settle(claimed, &letter.message_id, handed)
    }

    /// Offers a mail to one backend after the other until one takes it, or says something about the mail itself.
    async fn hand_over(&self, mail: Mail<'_>, gate: &Gate) -> Handed {
        let mut tried = Tried::default();
        let mut last: Option<Handed> = None;
        let mut rounds = 0;
        loop {
            let Some(choice) = self.pool.choose(&tried, self.clock.now()) else {
                let failed = last.take().unwrap_or_else(no_backend);
                let not_begun = failed.kind() == Some(Kind::NotBegun);
                if !not_begun || tried.is_empty() || rounds == ROUNDS || !gate.may_begin() {
                    return failed;
                }
                last = Some(failed);
                rounds += 1;
                tried = Tried::default();
                tokio::time::sleep(BETWEEN_ROUNDS).await;
                continue;
            };
            tried.add(choice.index);
            let handed = self.offer(choice, mail, gate).await;
            if !matches!(handed.kind(), Some(Kind::NotBegun | Kind::Cut)) {
                return handed;
            }
            // That it was begun somewhere counts more than that it was not begun elsewhere.
            if last.as_ref().is_none_or(|last| last.kind() == Some(Kind::NotBegun)) {
                last = Some(handed);
            }
        }
    }

    /// Gives a mail to one backend, and tells its breaker how it went.
    async fn offer(&self, choice: Choice<'_>, mail: Mail<'_>, gate: &Gate) -> Handed {
        let Choice { member, pass, .. } = choice;
        let result = member.backend.send(mail, gate).await;
        match &result {
            Err(failure) if failure.backend_failed => {
                pass.failed(self.clock.now(), &failure.reply, failure.retry_after);
            }
            Err(failure) if matches!(failure.kind, Kind::Stopped | Kind::Unsendable) => drop(pass),
            Err(failure) if failure.kind == Kind::SenderRefused => {
                self.gate.hold(Hold::Refused);
                pass.succeeded();
            }
            Ok(_) | Err(_) => pass.succeeded(),
        }
        Handed { backend: Some(Arc::clone(&member.name)), result }
    }

    fn settle(&self, claimed: &Claimed, message_id: &str, handed: Handed) -> Delivered {
        let at = self.clock.time();
        let attempt = Attempt { message_id, number: claimed.attempt(), first: claimed.first_attempt(), at };
        let sender_refused = handed.kind() == Some(Kind::SenderRefused);
        let settlement = Settlement {
            row: claimed.message().row,
            attempt: claimed.attempt(),
            at,
            backend: handed.backend.map(|name| name.to_string()),
            outcome: self.policy.outcome(&attempt, handed.result),
        };
        Delivered { settlement, sender_refused }
    }

    /// The result of a delivery that failed by a fault of this program: nobody knows how far it came.
    pub(crate) fn lost(&self, claimed: &Claimed) -> Delivered {
        let reply = Reply { code: 0, enhanced: None, text: "a fault in this program ended the delivery".to_owned() };
        let result = Err(Failure::of_mail(Kind::Unknown, reply));
        self.settle(claimed, "", Handed { backend: None, result })
    }
}

impl Handed {
    fn kind(&self) -> Option<Kind> {
        self.result.as_ref().err().map(|failure| failure.kind)
    }
}

fn no_backend() -> Handed {
    let reply = Reply { code: 0, enhanced: None, text: "no backend can be used".to_owned() };
    Handed { backend: None, result: Err(Failure::of_backend(Kind::NotBegun, reply)) }
}
