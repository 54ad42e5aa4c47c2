//! Why a mail was not delivered, and what may be done about it.

use super::{Class, classify};
use campaign::Reply;
use std::fmt;

/// How far a mail had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// It was waiting for a connection.
    Queue,
    /// Resolving the name, connecting, TLS from the first byte.
    Connect,
    /// The server's greeting.
    Greeting,
    /// EHLO or HELO.
    Ehlo,
    /// STARTTLS and its handshake.
    StartTls,
    /// AUTH.
    Auth,
    /// MAIL FROM.
    Mail,
    /// RCPT TO.
    Rcpt,
    /// DATA.
    Data,
    /// The content was being written, without its end.
    Content,
    /// The final dot (or the last octet of the last BDAT) may have reached the server.
    FinalDot,
}

impl Phase {
    /// The phase as a sentence names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queue => "the queue",
            Self::Connect => "connecting",
            Self::Greeting => "the greeting",
            Self::Ehlo => "EHLO",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
            Self::Mail => "MAIL FROM",
            Self::Rcpt => "RCPT TO",
            Self::Data => "DATA",
            Self::Content => "the content",
            Self::FinalDot => "the final dot",
        }
    }
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The server answered 4xx or 5xx.
    Refused,
    /// The server can't be reached.
    Unreachable,
    /// The connection was lost.
    Lost,
    /// The server did not answer in time.
    TimedOut,
    /// The server broke the protocol.
    Protocol,
    /// The certificate was not accepted, or another failure of TLS.
    Tls,
    /// The server lacks what this mail or the settings need.
    Unsupported,
    /// It was stopped on this side: the gate is closed, or the client.
    Stopped,
}

/// A mail that was not delivered, or of which nobody knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub(super) phase: Phase,
    pub(super) kind: Kind,
    pub(super) reply: Reply,
    pub(super) begun: bool,
}

impl Failure {
    /// A reply of the server: of this mail if `begun`.
    pub(super) fn refused(phase: Phase, reply: Reply) -> Self {
        Self { phase, kind: Kind::Refused, reply, begun: phase >= Phase::Mail }
    }

    /// Something else than a reply; `text` is for people.
    pub(super) fn new(phase: Phase, kind: Kind, text: impl Into<String>) -> Self {
        let reply = Reply { code: 0, enhanced: None, text: text.into() };
        Self { phase, kind, reply, begun: phase >= Phase::Mail }
    }

    /// The server lacks something; the enhanced code says what.
    pub(super) fn unsupported(phase: Phase, enhanced: &str, text: impl Into<String>) -> Self {
        let reply = Reply { code: 0, enhanced: Some(enhanced.to_owned()), text: text.into() };
        Self { phase, kind: Kind::Unsupported, reply, begun: false }
    }

    /// How far it had come.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// What went wrong.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The evidence for the journal: what the server said; if it said nothing, code 0 and a sentence about it.
    pub fn reply(&self) -> &Reply {
        &self.reply
    }

    /// Whether the server may have delivered it: the connection was lost, or no sensible reply came, after the final dot (RFC 1047).
    pub fn outcome_is_unknown(&self) -> bool {
        self.phase == Phase::FinalDot && self.kind != Kind::Refused
    }

    /// Whether anything about this mail was written to a server. If not, it is as if it had never been tried.
    pub fn begun(&self) -> bool {
        self.begun
    }

    /// What this says about mail and sender. Meaningless if the outcome is unknown.
    pub fn class(&self) -> Class {
        classify(&self.reply, self.phase)
    }

    /// Whether another try may succeed, and can't deliver twice.
    pub fn is_transient(&self) -> bool {
        !self.outcome_is_unknown() && self.class() == Class::Transient
    }

    /// Whether it is about the server and not about this mail: a reason to use another server for a while.
    pub fn is_about_the_server(&self) -> bool {
        match self.kind {
            Kind::Unreachable | Kind::Lost | Kind::TimedOut | Kind::Protocol | Kind::Tls => true,
            Kind::Refused => self.phase < Phase::Mail || self.reply.code == 421,
            Kind::Unsupported => self.phase < Phase::Mail && self.phase > Phase::Queue,
            Kind::Stopped => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reply { code, enhanced, text } = &self.reply;
        write!(f, "{}: ", self.phase.name())?;
        if *code > 0 {
            write!(f, "{code} ")?;
        }
        if let Some(enhanced) = enhanced {
            write!(f, "{enhanced} ")?;
        }
        f.write_str(text)
    }
}

impl std::error::Error for Failure {}
