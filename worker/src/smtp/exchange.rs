//! Single steps of a conversation: one reply, one command.

use super::{connection::Connection, reply, wire::Broken};
use campaign::Reply;
use std::time::Duration;

/// How long a dead connection is listened to at most.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A reply that was heard.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) code: u16,
    /// The whole of it; left out where only the code matters.
    pub(super) reply: Option<Reply>,
}

impl Heard {
    pub(super) fn is_good(&self) -> bool {
        self.code / 100 == 2
    }

    /// The reply of a server that said no.
    pub(super) fn refusal(self) -> Option<Reply> {
        self.reply.filter(|_| self.code >= 400)
    }

    /// Good if it has this code.
    pub(super) fn expect(self, code: u16) -> Result<(), Broken> {
        match self {
            Self { code: found, .. } if found == code => Ok(()),
            Self { code: 400.., reply: Some(reply) } => Err(Broken::Closing(reply)),
            Self { code: found, .. } => Err(Broken::Confused(format!("it answered {found} in place of {code}"))),
        }
    }
}

impl Connection {
    /// The next reply. 421 ends the connection, whatever it answers.
    pub(super) async fn hear(&mut self, limit: Duration) -> Result<Heard, Broken> {
        let (code, length) = self.next_reply(limit).await?;
        self.take_reply(code, length, code >= 400)
    }

    /// The same, with its text whatever it says.
    pub(super) async fn hear_in_full(&mut self, limit: Duration) -> Result<Heard, Broken> {
        let (code, length) = self.next_reply(limit).await?;
        self.take_reply(code, length, true)
    }

    /// Waits for a whole reply; its code and length.
    async fn next_reply(&mut self, limit: Duration) -> Result<(u16, usize), Broken> {
        self.wire.set_limit(limit);
        loop {
            if let Some(found) = reply::scan(self.wire.input())? {
                return Ok(found);
            }
            self.wire.fill().await?;
        }
    }

    fn take_reply(&mut self, code: u16, length: usize, in_full: bool) -> Result<Heard, Broken> {
        let reply = in_full.then(|| reply::reply(code, &self.wire.input()[..length]));
        self.wire.consume(length);
        match reply {
            Some(reply) if code == 421 => Err(Broken::Closing(reply)),
            reply => Ok(Heard { code, reply }),
        }
    }

    /// A refusal that the server sends although nothing is outstanding; none if it is silent, as it should be.
    pub(super) async fn unasked(&mut self, limit: Duration) -> Result<Option<Reply>, Broken> {
        if !self.wire.arrived().await? {
            return Ok(None);
        }
        match self.hear_in_full(limit).await {
            Ok(Heard { code: 400.., reply }) => Ok(reply),
            Ok(Heard { code, .. }) => Err(Broken::Confused(format!("it said {code} although it was not asked"))),
            Err(Broken::Closing(reply)) => Ok(Some(reply)),
            Err(broken) => Err(broken),
        }
    }

    /// A refusal that has arrived on a connection that is lost: why the server has hung up.
    pub(super) async fn last_words(&mut self) -> Option<Reply> {
        // What has arrived is read at once; of a dead connection the end arrives at once too.
        match self.hear_in_full(LAST_WORDS).await {
            Ok(heard) => heard.refusal(),
            Err(Broken::Closing(reply)) => Some(reply),
            Err(_) => None,
        }
    }

    /// Writes a command and hears its reply.
    pub(super) async fn command(&mut self, line: &[u8], limit: Duration) -> Result<Heard, Broken> {
        self.wire.set_limit(limit);
        self.wire.write(line).await?;
        self.hear(limit).await
    }

    /// The same, with the reply's bytes.
    pub(super) async fn command_in_full(&mut self, line: &[u8], limit: Duration) -> Result<(Heard, Vec<u8>), Broken> {
        self.wire.set_limit(limit);
        self.wire.write(line).await?;
        let (code, length) = self.next_reply(limit).await?;
        let bytes = self.wire.input()[..length].to_vec();
        Ok((self.take_reply(code, length, code >= 400)?, bytes))
    }

    /// Ready when the server says something or closes the connection.
    pub(super) async fn speaks(&mut self) {
        if self.wire.input().is_empty() {
            // What it was, the next who reads will see.
            let _ = self.wire.readable().await;
        }
    }
}
