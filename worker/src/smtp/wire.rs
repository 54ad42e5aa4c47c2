//! Bytes to and from a server, in the clear or through TLS, never later than they may be.
//!
//! TLS is driven here by hand, so that the two kinds share one way to write: what lies in a buffer of a TLS library might leave the machine long
//! after the gate was asked. Here every write(2) that may carry the end of a mail is preceded by the question.

use super::{
    alarm::Alarm,
    job::{Progress, Stage},
    reply::{Junk, MAX_REPLY},
    tls::Trust,
};
use crate::Gate;
use campaign::Reply;
use rustls::ClientConnection;
use std::{
    future::poll_fn,
    io::{self, IoSlice, Read, Write},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Bytes read at a time, at first.
const INPUT: usize = 4096;
/// Encrypted bytes read at a time: less than rustls holds decrypted.
const ENCRYPTED_INPUT: usize = 8192;

/// Why a connection can't go on.
#[derive(Debug)]
pub(super) enum Broken {
    Io(io::Error),
    /// The server closed it.
    Closed,
    TimedOut(Duration),
    Tls(rustls::Error),
    Junk(Junk),
    /// The server sent a reply that doesn't fit the command.
    Confused(String),
    /// The server said 421, or refused something that the connection can't do without.
    Closing(Reply),
    /// The gate is closed.
    Stopped,
}

impl From<Junk> for Broken {
    fn from(junk: Junk) -> Self {
        Self::Junk(junk)
    }
}

/// The end of a mail, within what is written: whoever has got it may deliver the mail.
pub(super) struct Commit<'a> {
    pub(super) gate: &'a Gate,
    pub(super) progress: &'a Progress,
}

impl Commit<'_> {
    /// Before a write(2) that may commit. In this order: whoever closes the gate or withdraws the mail first, and then looks at the progress, sees the
    /// truth. The lease is asked here, once for every write(2): what is frozen after this question and before the write is all that is left open.
    fn begins(&self) -> bool {
        self.progress.set(Stage::Committing);
        let open = self.gate.may_finish() && !self.progress.is_withdrawn();
        if !open {
            self.progress.set(Stage::Begun);
        }
        open
    }

    /// After it.
    fn ends(&self, committed: bool) {
        self.progress.set(if committed { Stage::Committed } else { Stage::Begun });
    }
}

pub(super) struct Wire {
    tcp: TcpStream,
    tls: Option<Box<Tls>>,
    alarm: Alarm,
    limit: Duration,
    input: Vec<u8>,
    start: usize,
    end: usize,
}

struct Tls {
    session: ClientConnection,
    received: Box<[u8]>,
    encrypted: Vec<u8>,
}

impl Wire {
    pub(super) fn new(tcp: TcpStream, limit: Duration) -> Self {
        Self { tcp, tls: None, alarm: Alarm::new(limit), limit, input: vec![0; INPUT], start: 0, end: 0 }
    }

    /// From now on nothing is waited for longer than this.
    pub(super) fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
        self.alarm.set(limit);
    }

    /// What was read and not consumed yet.
    pub(super) fn input(&self) -> &[u8] {
        &self.input[self.start..self.end]
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.start += count;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Waits for more input.
    pub(super) async fn fill(&mut self) -> Result<(), Broken> {
        poll_fn(|context| match self.poll_fill(context) {
            Poll::Pending => self.alarm.poll(context).map(|()| Err(Broken::TimedOut(self.limit))),
            ready @ Poll::Ready(_) => ready,
        })
        .await
    }

    /// Waits for input, or the end of the connection, for as long as it takes.
    pub(super) async fn readable(&mut self) -> Result<(), Broken> {
        poll_fn(|context| self.poll_fill(context)).await
    }

    /// Reads what has come already, without waiting: true if there is input.
    pub(super) async fn arrived(&mut self) -> Result<bool, Broken> {
        if self.start < self.end {
            return Ok(true);
        }
        match poll_fn(|context| Poll::Ready(self.poll_fill(context))).await {
            Poll::Pending => Ok(false),
            Poll::Ready(filled) => filled.map(|()| true),
        }
    }

    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if self.end == self.input.len() {
            if self.start > 0 {
                self.input.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            } else if self.end >= MAX_REPLY {
                return Poll::Ready(Err(Junk::TooLong.into()));
            } else {
                self.input.resize(self.end * 2, 0);
            }
        }
        let space = &mut self.input[self.end..];
        let count = match &mut self.tls {
            None => ready!(poll_read(&mut self.tcp, context, space))?,
            Some(tls) => ready!(tls.poll_read(&mut self.tcp, context, space))?,
        };
        self.end += count;
        Poll::Ready(if count == 0 { Err(Broken::Closed) } else { Ok(()) })
    }

    /// Begins TLS.
    pub(super) async fn encrypt(&mut self, trust: &Trust) -> Result<(), Broken> {
        let mut session = ClientConnection::new(trust.config.clone(), trust.name.clone()).map_err(Broken::Tls)?;
        session.set_buffer_limit(None);
        let received = vec![0; ENCRYPTED_INPUT].into_boxed_slice();
        let mut tls = Box::new(Tls { session, received, encrypted: Vec::new() });
        loop {
            tls.collect();
            let bytes = std::mem::take(&mut tls.encrypted);
            write_out(&mut self.tcp, &mut self.alarm, self.limit, &mut [IoSlice::new(&bytes)], None).await?;
            if !tls.session.is_handshaking() {
                break;
            }
            let step = poll_fn(|context| match tls.poll_receive(&mut self.tcp, context) {
                Poll::Pending => self.alarm.poll(context).map(|()| Err(Broken::TimedOut(self.limit))),
                ready @ Poll::Ready(_) => ready,
            });
            if let Err(error) = step.await {
                // Tell the server why, if it will listen.
                tls.collect();
                let _ = self.tcp.try_write(&tls.encrypted);
                return Err(error);
            }
        }
        self.tls = Some(tls);
        Ok(())
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// Writes commands.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let Some(tls) = &mut self.tls else {
            return write_out(&mut self.tcp, &mut self.alarm, self.limit, &mut [IoSlice::new(bytes)], None).await;
        };
        tls.encrypt([IoSlice::new(bytes)].into_iter());
        let written =
            write_out(&mut self.tcp, &mut self.alarm, self.limit, &mut [IoSlice::new(&tls.encrypted)], None).await;
        tls.encrypted.clear();
        written
    }

    /// Writes content: `body`, and then `end`, whose first byte may make the mail deliverable. Every block may take as long as `block`.
    pub(super) async fn write_content<'a>(
        &mut self,
        body: impl Iterator<Item = IoSlice<'a>>,
        end: &'a [u8],
        block: Duration,
        commit: Commit<'_>,
    ) -> Result<(), Broken> {
        let Some(tls) = &mut self.tls else {
            let mut slices: Vec<IoSlice<'_>> = body.collect();
            let before = slices.iter().map(|slice| slice.len()).sum();
            slices.push(IoSlice::new(end));
            return write_out(&mut self.tcp, &mut self.alarm, block, &mut slices, Some((before, commit))).await;
        };
        tls.encrypt(body);
        let before = tls.encrypted.len();
        tls.encrypt([IoSlice::new(end)].into_iter());
        let slices = &mut [IoSlice::new(&tls.encrypted)];
        let written = write_out(&mut self.tcp, &mut self.alarm, block, slices, Some((before, commit))).await;
        tls.encrypted.clear();
        written
    }

    /// Says goodbye at the level of TLS, if that costs no waiting.
    pub(super) fn close_notify(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.session.send_close_notify();
            tls.collect();
            let _ = self.tcp.try_write(&tls.encrypted);
        }
    }
}

impl Tls {
    /// Encrypts bytes into `encrypted`.
    fn encrypt<'a>(&mut self, slices: impl Iterator<Item = IoSlice<'a>>) {
        for slice in slices {
            // Without a buffer limit it takes everything and can't fail.
            let _ = self.session.writer().write_all(&slice);
        }
        self.collect();
    }

    /// Moves what the session wants to send into `encrypted`.
    fn collect(&mut self) {
        while self.session.wants_write() {
            // A Vec takes everything.
            let _ = self.session.write_tls(&mut self.encrypted);
        }
    }

    fn poll_read(
        &mut self,
        tcp: &mut TcpStream,
        context: &mut Context<'_>,
        space: &mut [u8],
    ) -> Poll<Result<usize, Broken>> {
        loop {
            match self.session.reader().read(space) {
                Ok(count) => return Poll::Ready(Ok(count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(Broken::Io(error))),
            }
            ready!(self.poll_receive(tcp, context))?;
        }
    }

    /// Reads encrypted bytes into the session.
    fn poll_receive(&mut self, tcp: &mut TcpStream, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let count = ready!(poll_read(tcp, context, &mut self.received))?;
        if count == 0 {
            return Poll::Ready(Err(Broken::Closed));
        }
        let mut bytes = &self.received[..count];
        while !bytes.is_empty() {
            self.session.read_tls(&mut bytes).map_err(Broken::Io)?;
            self.session.process_new_packets().map_err(Broken::Tls)?;
        }
        Poll::Ready(Ok(()))
    }
}

fn poll_read(tcp: &mut TcpStream, context: &mut Context<'_>, space: &mut [u8]) -> Poll<Result<usize, Broken>> {
    let mut buffer = ReadBuf::new(space);
    ready!(Pin::new(tcp).poll_read(context, &mut buffer)).map_err(Broken::Io)?;
    Poll::Ready(Ok(buffer.filled().len()))
}

/// Writes everything, no block of it slower than `limit`. With a commit, its gate is asked before every write(2) until the bytes from the given
/// place on have begun to leave.
async fn write_out(
    tcp: &mut TcpStream,
    alarm: &mut Alarm,
    limit: Duration,
    mut slices: &mut [IoSlice<'_>],
    commit: Option<(usize, Commit<'_>)>,
) -> Result<(), Broken> {
    let mut written = 0;
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        alarm.set(limit);
        let count = poll_fn(|context| {
            let open = commit.as_ref().filter(|(from, _)| written <= *from);
            if open.is_some_and(|(_, commit)| !commit.begins()) {
                return Poll::Ready(Err(Broken::Stopped));
            }
            let step = match Pin::new(&mut *tcp).poll_write_vectored(context, slices) {
                Poll::Ready(Ok(0)) => Poll::Ready(Err(Broken::Closed)),
                Poll::Ready(result) => Poll::Ready(result.map_err(Broken::Io)),
                Poll::Pending => alarm.poll(context).map(|()| Err(Broken::TimedOut(limit))),
            };
            if let Some((from, commit)) = open {
                let count = if let Poll::Ready(Ok(count)) = &step { *count } else { 0 };
                commit.ends(written + count > *from);
            }
            step
        })
        .await?;
        written += count;
        IoSlice::advance_slices(&mut slices, count);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::{Mail, job::Job};
    use bytes::Bytes;
    use campaign::EmailAddress;

    #[test]
    fn the_end_of_a_mail_that_was_given_up_is_not_written_though_its_gate_is_open() {
        let address = || EmailAddress::parse("a@example.org").expect("an address");
        let (job, _answer) = Job::new(Mail { from: address(), to: address(), data: Bytes::new() }, Gate::open());
        let commit = Commit { gate: &job.gate, progress: &job.progress };
        assert!(commit.begins());
        commit.ends(false);
        assert!(job.progress.withdraw(), "its end is not on the way");
        assert!(!commit.begins());
    }
}
