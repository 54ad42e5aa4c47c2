//! From nothing to a connection that takes mail: connect, TLS, greeting, EHLO, STARTTLS, AUTH.

use super::{
    Failure, Kind, Phase, Settings, auth,
    features::Features,
    tls::{Trust, explain},
    wire::{Broken, Wire},
};
use campaign::spec::{SmtpTimeouts, Tls};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    net::{TcpStream, lookup_host},
    time::{Instant, timeout},
};

/// A connection that is ready for MAIL.
pub(super) struct Connection {
    pub(super) wire: Wire,
    pub(super) features: Features,
    pub(super) timeouts: SmtpTimeouts,
    /// A mail was left half-way, and RSET must come before the next.
    pub(super) reset: bool,
}

impl Connection {
    /// Opens one.
    ///
    /// # Errors
    /// What went wrong, in a phase before MAIL.
    pub(super) async fn open(settings: &Settings, trust: Option<&Trust>) -> Result<Self, Failure> {
        let deadline = Instant::now() + settings.timeouts.connect.0;
        let tcp = connect(settings, deadline).await?;
        let failed = |phase| move |broken| failure(phase, broken, settings);
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let (wire, timeouts) = (Wire::new(tcp, left), settings.timeouts);
        let mut connection = Self { wire, features: Features::default(), timeouts, reset: false };
        if let (Tls::Tls, Some(trust)) = (settings.tls, trust) {
            connection.wire.encrypt(trust).await.map_err(failed(Phase::Connect))?;
        }
        let greeting = connection.hear(timeouts.command.0).await.map_err(failed(Phase::Greeting))?;
        greeting.expect(220).map_err(|broken| failure(Phase::Greeting, broken, settings))?;
        connection.ehlo(settings).await?;
        if let (Tls::StartTls, Some(trust)) = (settings.tls, trust) {
            connection.start_tls(settings, trust, left).await?;
            connection.ehlo(settings).await?;
        }
        if let Some(credentials) = &settings.credentials {
            auth::log_in(&mut connection, credentials, settings).await?;
        }
        Ok(connection)
    }

    /// EHLO, or HELO where that is not understood.
    async fn ehlo(&mut self, settings: &Settings) -> Result<(), Failure> {
        let limit = self.timeouts.command.0;
        let failed = |broken| failure(Phase::Ehlo, broken, settings);
        let line = format!("EHLO {}\r\n", settings.helo);
        let (heard, bytes) = self.command_in_full(line.as_bytes(), limit).await.map_err(failed)?;
        if heard.code == 250 {
            self.features = Features::read(&bytes);
            return Ok(());
        }
        if heard.code < 500 {
            return heard.expect(250).map_err(failed);
        }
        let heard = self.command(format!("HELO {}\r\n", settings.helo).as_bytes(), limit).await.map_err(failed)?;
        heard.expect(250).map_err(failed)
    }

    async fn start_tls(&mut self, settings: &Settings, trust: &Trust, handshake: Duration) -> Result<(), Failure> {
        let failed = |broken| failure(Phase::StartTls, broken, settings);
        if !self.features.starttls {
            let text = "the server does not offer STARTTLS; set smtp.tls to Tls if the port speaks TLS from the first byte, or to None";
            return Err(Failure::unsupported(Phase::StartTls, "5.7.4", text));
        }
        let heard = self.command(b"STARTTLS\r\n", self.timeouts.command.0).await.map_err(failed)?;
        heard.expect(220).map_err(failed)?;
        if !self.wire.input().is_empty() {
            // Somebody on the way could have put it there, to be taken for a reply inside TLS (CVE-2011-0411).
            return Err(failed(Broken::Confused(
                "it sent more after its reply to STARTTLS, before TLS began".to_owned(),
            )));
        }
        self.wire.set_limit(handshake);
        self.features = Features::default();
        self.wire.encrypt(trust).await.map_err(failed)
    }
}

/// Connects to the first address that answers.
async fn connect(settings: &Settings, deadline: Instant) -> Result<TcpStream, Failure> {
    let (host, port) = (settings.host.as_str(), settings.port);
    let unreachable = |why: String| Failure::new(Phase::Connect, Kind::Unreachable, format!("{host}:{port}: {why}"));
    let late = || {
        let limit = settings.timeouts.connect;
        Failure::new(Phase::Connect, Kind::TimedOut, format!("{host}:{port}: no connection within {limit}"))
    };
    let left = || deadline.saturating_duration_since(Instant::now());
    let found = timeout(left(), lookup_host((host, port))).await.map_err(|_| late())?;
    let addresses: Vec<SocketAddr> =
        found.map_err(|error| unreachable(format!("the name can't be resolved: {error}; check smtp.host")))?.collect();
    let mut last = unreachable("the name has no address; check smtp.host".to_owned());
    for (index, address) in addresses.iter().enumerate() {
        // Each gets its share of what is left, so that one that doesn't answer leaves time for the others.
        let share = left() / u32::try_from(addresses.len() - index).unwrap_or(1);
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Without it every mail waits for a delayed ACK.
                stream.set_nodelay(true).map_err(|error| unreachable(error.to_string()))?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = unreachable(error.to_string()),
            Err(_) => last = late(),
        }
    }
    Err(last)
}

/// Why a connection that can't go on has failed a mail in this phase.
pub(super) fn failure(phase: Phase, broken: Broken, settings: &Settings) -> Failure {
    let (name, host) = (phase.name(), &settings.host);
    let (kind, text) = match broken {
        Broken::Closing(reply) => return Failure::refused(phase, reply),
        Broken::Io(error) => (Kind::Lost, format!("the connection to {host} was lost at {name}: {error}")),
        Broken::Closed => (Kind::Lost, format!("{host} closed the connection at {name}")),
        Broken::TimedOut(limit) if phase == Phase::Greeting => {
            let hint = if settings.tls == Tls::Tls {
                ""
            } else {
                "; if the port speaks TLS from the first byte, set smtp.tls to Tls"
            };
            (Kind::TimedOut, format!("no greeting from {host} within {limit:?}{hint}"))
        }
        Broken::TimedOut(limit) => (Kind::TimedOut, format!("no answer from {host} at {name} within {limit:?}")),
        Broken::Tls(error) => (Kind::Tls, explain(&error, host)),
        Broken::Junk(junk) => (Kind::Protocol, format!("{host} at {name}: {junk}")),
        Broken::Confused(what) => (Kind::Protocol, format!("{host} broke the protocol at {name}: {what}")),
        Broken::Stopped => (Kind::Stopped, "stopped before its end was written; it was not sent".to_owned()),
    };
    Failure::new(phase, kind, text)
}
