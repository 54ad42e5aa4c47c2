//! The client as the rest of the worker sees it.

use super::{Failure, Settings, job::Job, pool::Pool, tls::BadCertificates};
use crate::{Gate, metrics::Phases};
use bytes::Bytes;
use campaign::{EmailAddress, Reply};
use std::{sync::Arc, time::Duration};

/// A mail with its envelope.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Envelope sender.
    pub from: EmailAddress,
    /// Envelope recipient.
    pub to: EmailAddress,
    /// Content (RFC 5322), not dot-stuffed. Line ends that are not CRLF are sent as CRLF.
    pub data: Bytes,
}

/// A client of one server: a pool of connections, opened when mails come and closed when they stay away.
/// Hand it many mails at a time: a mail costs a round trip, but the connections work side by side and each has its next mail ready.
pub struct Client {
    pool: Arc<Pool>,
}

impl Client {
    /// A client that has not connected yet. Needs a tokio runtime when it sends.
    ///
    /// # Errors
    /// If the settings ask for TLS, and the host is no host name or a certificate to trust can't be used.
    pub fn new(mut settings: Settings) -> Result<Self, BadCertificates> {
        // It goes into a command line, where a line break would begin another command.
        settings.helo.retain(|char| char.is_ascii_graphic());
        if settings.sends_password_in_clear() {
            tracing::warn!(
                host = settings.host,
                "smtp.tls is None: the password is sent over the network in the clear"
            );
        }
        Ok(Self { pool: Pool::new(settings)? })
    }

    /// Sends a mail and waits until the server has taken responsibility for it.
    ///
    /// The gate is asked before the mail is begun and right before its end is written. When it closes, this returns at once, unless the end was
    /// written already: then it waits for the reply, until the gate gives up on replies too. Once this has said that the mail was not sent, its end is
    /// never written.
    ///
    /// Dropping the future withdraws a mail that was not begun; one that was begun may still be delivered.
    ///
    /// # Errors
    /// What went wrong and how far the mail had come. Nothing is tried again here, except a mail of which a server that closed its connection
    /// has seen no content.
    pub async fn send(&self, mail: Mail, gate: &Gate) -> Result<Reply, Failure> {
        let (job, mut answer) = Job::new(mail, gate.clone());
        let progress = Arc::clone(&job.progress);
        self.pool.submit(job);
        let given_up = || Err(progress.interrupted());
        tokio::select! {
            biased;
            result = &mut answer => return result.unwrap_or_else(|_| given_up()),
            () = gate.finish_closed() => {}
        }
        if progress.withdraw() {
            return given_up();
        }
        tokio::select! {
            biased;
            result = answer => result.unwrap_or_else(|_| given_up()),
            () = gate.reply_closed() => given_up(),
        }
    }

    /// Ends: mails that were not begun are given back at once, the others have until `patience` is over; connections say QUIT.
    /// Whatever is sent afterwards is given back unbegun.
    pub async fn close(&self, patience: Duration) {
        self.pool.close(patience).await;
    }

    /// From now on tells how long connections and mails take.
    pub fn observe(&self, phases: Phases) {
        self.pool.observe(phases);
    }

    /// How many connections are open or being opened.
    pub fn connections(&self) -> usize {
        self.pool.connections()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.pool.retire();
    }
}
