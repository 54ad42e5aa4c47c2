//! What the client needs to know about a server.

use campaign::spec::{SmtpTimeouts, Tls};
use rustls::pki_types::CertificateDer;
use std::fmt;

/// A server and how to speak to it. One per backend.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Host name or IP address; the certificate must be for it.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Encryption.
    pub tls: Tls,
    /// Logs in with these, if given.
    pub credentials: Option<Credentials>,
    /// The name given in EHLO.
    pub helo: String,
    /// Connections at most; at least one is used.
    pub connections: u32,
    /// Mails on one connection before it is closed; at least one.
    pub messages_per_connection: u32,
    /// How long to wait, by phase.
    pub timeouts: SmtpTimeouts,
    /// Certificates to trust besides the system's.
    pub extra_roots: Vec<CertificateDer<'static>>,
}

impl Settings {
    /// The port that is meant when none is given: 25, 587 for STARTTLS, 465 for TLS.
    pub fn default_port(tls: Tls) -> u16 {
        match tls {
            Tls::None => 25,
            Tls::StartTls => 587,
            Tls::Tls => 465,
        }
    }

    /// Whether a password would go over the network in the clear: worth a warning.
    pub fn sends_password_in_clear(&self) -> bool {
        let loopback =
            self.host == "localhost" || self.host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        self.credentials.is_some() && self.tls == Tls::None && !loopback
    }
}

/// A user of a server. Its debug text hides the secret.
#[derive(Clone)]
pub struct Credentials {
    pub(super) username: String,
    pub(super) secret: Secret,
}

#[derive(Clone)]
pub(super) enum Secret {
    Password(String),
    Token(String),
}

impl Credentials {
    /// For AUTH PLAIN (RFC 4616), or LOGIN where the server offers no PLAIN.
    pub fn password(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self { username: username.into(), secret: Secret::Password(password.into()) }
    }

    /// For AUTH XOAUTH2: an OAuth 2.0 access token.
    pub fn token(username: impl Into<String>, token: impl Into<String>) -> Self {
        Self { username: username.into(), secret: Secret::Token(token.into()) }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}
