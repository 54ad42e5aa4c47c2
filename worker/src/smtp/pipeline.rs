//! Mail after mail over one connection.
//!
//! With PIPELINING (RFC 2920) an *opening* (RSET if the last mail left one to do, MAIL, RCPT and, without CHUNKING, DATA) is one write, and the opening
//! of the next mail follows the end of this one's content in the same write. Replies come in the order of the commands, so each opening knows which
//! replies are its own. With CHUNKING (RFC 3030) content goes as one `BDAT n LAST`, but never before the recipient is accepted: content that was written
//! blindly to a connection that is just being closed would make the outcome unknown for nothing.

use super::{
    Failure, Phase,
    connection::{Connection, failure},
    exchange::Heard,
    features::Size,
    job::{Job, Stage},
    opening::{Opening, Verdict},
    pool::{Pool, Woken},
    stuffing::{Stuffed, normal},
    wire::{Broken, Commit},
};
use std::{io::IoSlice, sync::Arc, time::Duration};
use tokio::time::Instant;

/// A server that takes longer than this for a final dot gets no opening in advance: another connection may be free sooner.
const SLOW: Duration = Duration::from_secs(1);
/// A mail whose opening was sent in advance goes elsewhere when the one before it has taken this part of the time for a final dot: 6 s of 10 min.
const PATIENCE: u32 = 100;
/// How long QUIT may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// Sends mails of the pool until the connection ends.
pub(super) async fn serve(connection: Connection, pool: &Arc<Pool>) {
    let mut session = Session { connection, pool, mails: 0, used: false, slow: false, spent: false };
    let mut ahead = None;
    loop {
        let next = match ahead.take() {
            Some(next) => next,
            None => match session.next().await {
                Some(job) => Current { job, opened: None },
                None => return session.quit().await,
            },
        };
        match session.deliver(next).await {
            Ok(next) => ahead = next,
            Err(Ended) => return,
        }
    }
}

struct Session<'a> {
    connection: Connection,
    pool: &'a Arc<Pool>,
    /// Mails that were begun.
    mails: u32,
    /// It has served or waited: the server may have closed it meanwhile.
    used: bool,
    /// The last final dot took long.
    slow: bool,
    /// An opening was given up, and its replies will still come: no further mail.
    spent: bool,
}

/// The mail that is being delivered, and what of its opening was written.
struct Current {
    job: Job,
    opened: Option<Opening>,
}

/// The connection has ended.
struct Ended;

impl Session<'_> {
    /// The next mail; none: the connection is to be closed.
    async fn next(&mut self) -> Option<Job> {
        loop {
            if self.mails >= self.pool.settings.messages_per_connection.max(1) {
                return None;
            }
            while let Some(job) = self.pool.take() {
                if let Some(job) = self.admit(job) {
                    return Some(job);
                }
            }
            match self.pool.rest(&mut self.connection).await {
                Woken::Work => self.used = true,
                Woken::Enough | Woken::Server => return None,
            }
        }
    }

    /// The mail, unless the server can't take it.
    fn admit(&self, job: Job) -> Option<Job> {
        let features = &self.connection.features;
        let size = job.mail.data.len();
        let refusal = match features.size {
            Size::Limited(limit) if size as u64 > limit => {
                Some(("5.3.4", format!("the mail has {size} bytes and the server takes {limit}; it was not sent")))
            }
            _ if job.mail.to.needs_smtputf8() || job.mail.from.needs_smtputf8() => (!features.smtputf8).then(|| {
                (
                    "5.6.7",
                    "the server does not take addresses that are not ASCII (SMTPUTF8); it was not sent".to_owned(),
                )
            }),
            _ => None,
        };
        match refusal {
            None => Some(job),
            Some((enhanced, text)) => {
                job.fail(Failure::unsupported(Phase::Queue, enhanced, text));
                None
            }
        }
    }

    /// Delivers one mail. Returns the next one, if its opening was written along with this one's content.
    async fn deliver(&mut self, current: Current) -> Result<Option<Current>, Ended> {
        let Current { job, opened } = current;
        self.mails += u32::from(opened.is_none());
        job.progress.set(Stage::Begun);
        let (mut heard, started) = (false, Instant::now());
        let verdict = match opened {
            Some(opening) => self.connection.hear_opening(opening, &mut heard).await,
            None => self.connection.open_mail(&job.mail, &mut heard).await,
        };
        let fresh = !std::mem::replace(&mut self.used, true);
        if let (Some(phases), Ok(_)) = (self.pool.phases(), &verdict) {
            phases.envelope.observe(started.elapsed().as_secs_f64());
        }
        match verdict {
            Ok(Verdict::Accepted) => self.send_content(job).await,
            Ok(Verdict::Refused(phase, reply)) => {
                job.fail(Failure::refused(phase, reply));
                Ok(None)
            }
            Err((phase, broken)) => {
                let gone = !matches!(broken, Broken::TimedOut(_));
                if gone && !heard && !fresh {
                    // The server had closed the connection, or was about to, before it saw this mail.
                    self.pool.give_back(job);
                } else {
                    job.fail(failure(phase, broken, &self.pool.settings));
                }
                Err(Ended)
            }
        }
    }

    /// The recipient is accepted: writes the content, with the opening of the next mail, and hears the reply.
    async fn send_content(&mut self, job: Job) -> Result<Option<Current>, Ended> {
        match self.connection.unasked(self.connection.timeouts.command.0).await {
            Ok(None) => {}
            Ok(Some(reply)) => return self.end(job, Failure::refused(Phase::Content, reply)),
            Err(broken) => return self.end(job, failure(Phase::Content, broken, &self.pool.settings)),
        }
        let mut next = self.look_ahead();
        let started = Instant::now();
        if let Err(broken) = self.write_content(&job, next.as_mut()).await
            && job.progress.stage() < Stage::Committed
        {
            // Perhaps the server has said why it hung up.
            let said = if matches!(broken, Broken::Io(_) | Broken::Closed) {
                self.connection.last_words().await
            } else {
                None
            };
            self.return_unserved(next);
            let failure = match said {
                Some(reply) => Failure::refused(Phase::Content, reply),
                None => failure(Phase::Content, broken, &self.pool.settings),
            };
            return self.end(job, failure);
        }
        let written = Instant::now();
        let heard = self.hear_final(&mut next).await;
        self.slow = started.elapsed() > SLOW;
        if let (Some(phases), Ok(_)) = (self.pool.phases(), &heard) {
            phases.data.observe(written.duration_since(started).as_secs_f64());
            phases.reply.observe(written.elapsed().as_secs_f64());
        }
        let broken = match heard {
            Ok(Heard { code: 200..300, reply: Some(reply) }) => {
                job.finish(Ok(reply));
                return if self.spent { Err(Ended) } else { Ok(next) };
            }
            Ok(Heard { code: 400.., reply: Some(reply) }) => {
                job.fail(Failure::refused(Phase::FinalDot, reply));
                return if self.spent { Err(Ended) } else { Ok(next) };
            }
            Ok(Heard { code, .. }) => Broken::Confused(format!("it answered {code} to the final dot")),
            Err(broken) => broken,
        };
        self.return_unserved(next);
        self.end(job, failure(Phase::FinalDot, broken, &self.pool.settings))
    }

    /// The connection can't go on, and the mail has failed with it.
    #[expect(clippy::unused_self, reason = "it says whose end it is")]
    fn end(&self, job: Job, failure: Failure) -> Result<Option<Current>, Ended> {
        job.fail(failure);
        Err(Ended)
    }

    /// The next mail, if its opening may travel with this one's content.
    fn look_ahead(&mut self) -> Option<Current> {
        let limit = self.pool.settings.messages_per_connection;
        if !self.connection.features.pipelining || self.slow || self.mails >= limit {
            return None;
        }
        loop {
            if let Some(job) = self.admit(self.pool.take_ahead()?) {
                return Some(Current { job, opened: None });
            }
        }
    }

    async fn write_content(&mut self, job: &Job, next: Option<&mut Current>) -> Result<(), Broken> {
        let block = self.connection.timeouts.block.0;
        let content = normal(&job.mail.data);
        let commit = Commit { gate: &job.gate, progress: &job.progress };
        let mut end = Vec::with_capacity(256);
        let write_next = |session: &mut Self, end: &mut Vec<u8>| {
            if let Some(next) = next {
                next.opened = Some(session.connection.write_opening(&next.job.mail, end));
                next.job.progress.set(Stage::Begun);
                session.mails += 1;
            }
        };
        if self.connection.features.chunking {
            let (most, last) = content.split_at(content.len() - 1);
            end.extend_from_slice(last);
            write_next(self, &mut end);
            let command = format!("BDAT {} LAST\r\n", content.len());
            let body = [IoSlice::new(command.as_bytes()), IoSlice::new(most)];
            self.connection.wire.write_content(body.into_iter(), &end, block, commit).await
        } else {
            end.extend_from_slice(b".\r\n");
            write_next(self, &mut end);
            let stuffed = Stuffed::new(&content);
            self.connection.wire.write_content(stuffed.slices(), &end, block, commit).await
        }
    }

    /// The reply to the final dot. A next mail that has waited too long for it is given back; then this connection ends with this mail,
    /// for it can't take back a DATA.
    async fn hear_final(&mut self, next: &mut Option<Current>) -> Result<Heard, Broken> {
        let limit = self.connection.timeouts.final_dot.0;
        if next.is_none() {
            return self.connection.hear_in_full(limit).await;
        }
        let patience = limit / PATIENCE;
        match self.connection.hear_in_full(patience).await {
            Err(Broken::TimedOut(_)) => {
                self.return_unserved(next.take());
                self.spent = true;
                self.connection.hear_in_full(limit.saturating_sub(patience)).await
            }
            heard => heard,
        }
    }

    fn return_unserved(&self, next: Option<Current>) {
        if let Some(next) = next {
            self.pool.give_back(next.job);
        }
    }

    async fn quit(mut self) {
        let _ = self.connection.command(b"QUIT\r\n", FAREWELL).await;
        self.connection.wire.close_notify();
    }
}
