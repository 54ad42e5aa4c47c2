//! What a sink offers and how it behaves.

use super::Received;
use rustls::ServerConfig;
use std::{sync::Arc, time::Duration};

/// How a sink behaves. `SinkOptions::default()` is a server that takes everything.
#[derive(Clone)]
pub struct SinkOptions {
    pub(super) listen: String,
    pub(super) keywords: Vec<String>,
    pub(super) ehlo: bool,
    pub(super) tls: SinkTls,
    pub(super) users: Vec<(String, String)>,
    pub(super) keep: Keep,
    pub(super) script: Option<Script>,
    pub(super) observer: Option<Observer>,
}

pub(super) type Script = Arc<dyn Fn(&Moment<'_>) -> Action + Send + Sync>;
pub(super) type Observer = Arc<dyn Fn(&Received) + Send + Sync>;

/// The sink's encryption.
#[derive(Clone, Default)]
pub enum SinkTls {
    /// None.
    #[default]
    None,
    /// STARTTLS is announced (RFC 3207).
    StartTls(Arc<ServerConfig>),
    /// TLS from the first byte.
    Implicit(Arc<ServerConfig>),
}

/// What a sink remembers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Keep {
    /// Mails with their content, every command, and violations of the protocol.
    #[default]
    Everything,
    /// Recipients and Message-IDs only: fast, for 100,000 mails.
    Recipients,
}

/// A point of a conversation at which the script decides what happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// A connection was opened.
    Greeting,
    /// EHLO or HELO.
    Ehlo,
    /// STARTTLS.
    StartTls,
    /// AUTH.
    Auth,
    /// MAIL FROM.
    Mail,
    /// RCPT TO.
    Rcpt,
    /// DATA, or BDAT before its content is read.
    Data,
    /// The first bytes of the content have been read, the rest has not.
    Body,
    /// All of the content has been read, the mail is not recorded yet.
    FinalDot,
    /// RSET.
    Reset,
    /// QUIT.
    Quit,
}

/// Where in which conversation something happens.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// The phase.
    pub phase: Phase,
    /// The recipient: from Rcpt to FinalDot; empty before.
    pub recipient: &'a str,
    /// How often this recipient has been named so far in all connections, from 1.
    pub attempt: u64,
    /// The message's number in its connection, from 1.
    pub message: u64,
    /// The connection's number, from 1.
    pub connection: u64,
}

/// What a sink does at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// What a good server does.
    Accept,
    /// Answers with this code and text (lines parted by `\n`). 421 closes the connection; a 2xx to the final dot records the mail;
    /// a 354 to DATA takes content even if there is no recipient. In the phase Body: answers at once, then reads
    /// the content to its end and says no more about it.
    Reply(u16, String),
    /// Sends these bytes in place of a reply.
    Raw(Vec<u8>),
    /// Closes the connection without an answer.
    Drop,
    /// At the final dot: records the mail, then closes the connection without an answer.
    RecordAndDrop,
    /// Neither answers nor reads on until [`super::Sink::release`], then accepts.
    Stall,
    /// At the final dot: records the mail, then stalls.
    RecordAndStall,
    /// Waits first.
    Delay(Duration, Box<Action>),
}

impl Action {
    /// Answers with this code and text.
    pub fn reply(code: u16, text: &str) -> Self {
        Self::Reply(code, text.to_owned())
    }

    /// Waits, then accepts.
    pub fn delay(time: Duration) -> Self {
        Self::Delay(time, Box::new(Self::Accept))
    }
}

impl Default for SinkOptions {
    fn default() -> Self {
        let keywords = ["PIPELINING", "SIZE 52428800", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"];
        Self {
            listen: "127.0.0.1:0".to_owned(),
            keywords: keywords.map(str::to_owned).to_vec(),
            ehlo: true,
            tls: SinkTls::None,
            users: Vec::new(),
            keep: Keep::Everything,
            script: None,
            observer: None,
        }
    }
}

impl SinkOptions {
    /// Listens on this `host:port` in place of a free port of 127.0.0.1.
    #[must_use]
    pub fn listen(mut self, address: &str) -> Self {
        address.clone_into(&mut self.listen);
        self
    }

    /// The EHLO keywords, in place of `PIPELINING`, `SIZE 52428800`, `8BITMIME`, `SMTPUTF8`, `ENHANCEDSTATUSCODES`.
    /// STARTTLS and AUTH are added by [`Self::tls`] and [`Self::user`], unless an AUTH keyword stands here.
    #[must_use]
    pub fn keywords(mut self, keywords: &[&str]) -> Self {
        self.keywords = keywords.iter().map(|&keyword| keyword.to_owned()).collect();
        self
    }

    /// Adds one EHLO keyword.
    #[must_use]
    pub fn keyword(mut self, keyword: &str) -> Self {
        self.keywords.push(keyword.to_owned());
        self
    }

    /// Answers EHLO with 502: a server from before 1995.
    #[must_use]
    pub fn without_ehlo(mut self) -> Self {
        self.ehlo = false;
        self
    }

    /// Encryption.
    #[must_use]
    pub fn tls(mut self, tls: SinkTls) -> Self {
        self.tls = tls;
        self
    }

    /// Requires authentication, as this user or another that was added.
    #[must_use]
    pub fn user(mut self, name: &str, password: &str) -> Self {
        self.users.push((name.to_owned(), password.to_owned()));
        self
    }

    /// What is remembered.
    #[must_use]
    pub fn keep(mut self, keep: Keep) -> Self {
        self.keep = keep;
        self
    }

    /// Decides at every moment what happens.
    #[must_use]
    pub fn script(mut self, script: impl Fn(&Moment<'_>) -> Action + Send + Sync + 'static) -> Self {
        self.script = Some(Arc::new(script));
        self
    }

    /// Is called with every mail before its final dot is answered.
    #[must_use]
    pub fn on_mail(mut self, observer: impl Fn(&Received) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    pub(super) fn offers(&self, keyword: &str) -> bool {
        self.ehlo && self.keywords.iter().any(|line| line.split(' ').next() == Some(keyword))
    }
}
