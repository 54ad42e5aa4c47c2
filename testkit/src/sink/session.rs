//! One conversation: reads commands, asks the script, answers.

use super::{Action, Keep, Moment, Phase, Shared, SinkTls, command::Command, lock, transaction::Envelope};
use bytes::BytesMut;
use std::{
    io,
    sync::{Arc, atomic::Ordering},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsAcceptor;

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The conversation is over, by plan or by a lost connection.
pub(super) enum Ended {
    Closed,
    Failed,
}

impl From<io::Error> for Ended {
    fn from(_: io::Error) -> Self {
        Self::Failed
    }
}

pub(super) type Step = Result<(), Ended>;

pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    stream: Box<dyn Stream>,
    pub(super) input: BytesMut,
    output: Vec<u8>,
    pub(super) number: u64,
    pub(super) helo: String,
    pub(super) encrypted: bool,
    pub(super) user: Option<String>,
    pub(super) message: u64,
    pub(super) mail: Option<Envelope>,
}

pub(super) async fn run(shared: Arc<Shared>, stream: TcpStream, number: u64) {
    let _ = stream.set_nodelay(true);
    let tls = match &shared.options.tls {
        SinkTls::Implicit(config) => Some(Arc::clone(config)),
        _ => None,
    };
    let encrypted = tls.is_some();
    let stream: Option<Box<dyn Stream>> = match tls {
        None => Some(Box::new(stream)),
        Some(config) => match TlsAcceptor::from(config).accept(stream).await {
            Ok(stream) => Some(Box::new(stream)),
            Err(_) => None,
        },
    };
    if let Some(stream) = stream {
        let mut session = Session {
            stream,
            input: BytesMut::with_capacity(16 * 1024),
            output: Vec::new(),
            number,
            helo: String::new(),
            encrypted,
            user: None,
            message: 0,
            mail: None,
            shared: Arc::clone(&shared),
        };
        if let Ok(()) | Err(Ended::Closed) = session.converse().await {
            let _ = session.flush().await;
            let _ = session.stream.shutdown().await;
        }
    }
    shared.open.fetch_sub(1, Ordering::SeqCst);
}

impl Session {
    async fn converse(&mut self) -> Step {
        self.act(Phase::Greeting, 220, "sink ESMTP").await?;
        loop {
            let line = self.line().await?;
            self.log(&line);
            let command = Command::parse(&line);
            if !self.input.is_empty() && !matches!(command, Command::Bdat { .. }) {
                if !self.shared.options.offers("PIPELINING") {
                    self.violation(&format!(
                        "{command:?} was followed by more before its reply; PIPELINING is not offered"
                    ));
                } else if command.ends_a_group() {
                    self.violation(&format!("{command:?} was followed by more before its reply"));
                }
            }
            self.obey(command).await?;
        }
    }

    async fn obey(&mut self, command: Command) -> Step {
        match command {
            Command::Ehlo(name) => self.ehlo(name).await,
            Command::Helo(name) => {
                self.helo = name;
                self.act(Phase::Ehlo, 250, "sink").await.map(drop)
            }
            Command::StartTls => self.start_tls().await,
            Command::Auth(arguments) => self.auth(&arguments).await,
            Command::Mail { from, parameters } => self.begin(from, parameters).await,
            Command::Rcpt(to) => self.recipient(to).await,
            Command::Data => self.data().await,
            Command::Bdat { size, last } => self.bdat(size, last).await,
            Command::Reset => {
                self.mail = None;
                self.act(Phase::Reset, 250, "2.0.0 Ok").await.map(drop)
            }
            Command::Noop => self.reply(250, "2.0.0 Ok"),
            Command::Quit => {
                self.act(Phase::Quit, 221, "2.0.0 Bye").await?;
                Err(Ended::Closed)
            }
            Command::Unknown => {
                self.violation("an unknown command or wrong arguments");
                self.reply(500, "5.5.2 unknown command")
            }
        }
    }

    async fn ehlo(&mut self, name: String) -> Step {
        self.helo = name;
        self.mail = None;
        let options = &self.shared.options;
        if !options.ehlo {
            return self.reply(502, "5.5.1 not implemented");
        }
        let mut lines = vec!["sink".to_owned()];
        lines.extend(options.keywords.iter().cloned());
        if matches!(options.tls, SinkTls::StartTls(_)) && !self.encrypted {
            lines.push("STARTTLS".to_owned());
        }
        if !options.users.is_empty() && !options.offers("AUTH") {
            lines.push("AUTH PLAIN LOGIN".to_owned());
        }
        self.act(Phase::Ehlo, 250, &lines.join("\n")).await.map(drop)
    }

    async fn start_tls(&mut self) -> Step {
        let SinkTls::StartTls(config) = self.shared.options.tls.clone() else {
            return self.reply(502, "5.5.1 not offered");
        };
        if !self.act(Phase::StartTls, 220, "2.0.0 go ahead").await? {
            return Ok(());
        }
        self.flush().await?;
        let plain = std::mem::replace(&mut self.stream, Box::new(tokio::io::empty()));
        self.stream = Box::new(TlsAcceptor::from(config).accept(plain).await?);
        (self.encrypted, self.user, self.mail) = (true, None, None);
        Ok(())
    }

    /// What the script says about this moment, after its delay or stall.
    pub(super) async fn decide(&mut self, phase: Phase, who: &(String, u64)) -> Result<Action, Ended> {
        let Some(script) = &self.shared.options.script else { return Ok(Action::Accept) };
        let (recipient, attempt) = (who.0.as_str(), who.1);
        let mut action = script(&Moment { phase, recipient, attempt, message: self.message, connection: self.number });
        while let Action::Delay(time, then) = action {
            self.flush().await?;
            tokio::time::sleep(time).await;
            action = *then;
        }
        if action == Action::Stall {
            self.stall().await?;
            action = Action::Accept;
        }
        Ok(action)
    }

    async fn stall(&mut self) -> Step {
        self.flush().await?;
        let mut released = self.shared.released.subscribe();
        released.wait_for(|&released| released).await.map(drop).map_err(|_| Ended::Failed)
    }

    pub(super) async fn act(&mut self, phase: Phase, code: u16, text: &str) -> Result<bool, Ended> {
        self.act_for(phase, &(String::new(), 0), code, text).await
    }

    /// Does what the script says; the answer of a good server is `code` and `text`. Returns whether the answer was good.
    pub(super) async fn act_for(
        &mut self,
        phase: Phase,
        who: &(String, u64),
        code: u16,
        text: &str,
    ) -> Result<bool, Ended> {
        let action = self.decide(phase, who).await?;
        self.perform(action, code, text).await
    }

    pub(super) async fn perform(&mut self, action: Action, code: u16, text: &str) -> Result<bool, Ended> {
        match action {
            Action::Accept | Action::Delay(..) | Action::Stall => self.reply(code, text).map(|()| true),
            Action::Reply(421, text) => {
                self.reply(421, &text)?;
                Err(Ended::Closed)
            }
            Action::Reply(code, text) => self.reply(code, &text).map(|()| code < 400),
            Action::Raw(bytes) => {
                self.output.extend_from_slice(&bytes);
                self.flush().await.map(|()| false)
            }
            Action::Drop | Action::RecordAndDrop => Err(Ended::Closed),
            Action::RecordAndStall => {
                self.stall().await?;
                self.reply(code, text).map(|()| true)
            }
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "most callers end with it")]
    pub(super) fn reply(&mut self, code: u16, text: &str) -> Step {
        let last = text.split('\n').count() - 1;
        for (number, line) in text.split('\n').enumerate() {
            let between = if number == last { ' ' } else { '-' };
            self.output.extend_from_slice(format!("{code}{between}{line}\r\n").as_bytes());
        }
        Ok(())
    }

    /// The next line, without its line end. What has been answered is sent before waiting for it.
    pub(super) async fn line(&mut self) -> Result<String, Ended> {
        let mut seen = 0;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.input[seen..]) {
                let line = self.input.split_to(seen + at + 1);
                let text = line.strip_suffix(b"\r\n");
                if text.is_none() {
                    self.violation("a command that ends with a bare LF");
                }
                let text = text.unwrap_or(&line[..line.len() - 1]);
                if text.len() > 2048 {
                    self.violation("a command longer than 2048 octets");
                }
                return Ok(String::from_utf8_lossy(text).into_owned());
            }
            seen = self.input.len();
            self.fill().await?;
        }
    }

    pub(super) async fn fill(&mut self) -> Step {
        self.flush().await?;
        self.input.reserve(16 * 1024);
        if self.stream.read_buf(&mut self.input).await? == 0 { Err(Ended::Failed) } else { Ok(()) }
    }

    pub(super) async fn flush(&mut self) -> Step {
        if !self.output.is_empty() {
            self.stream.write_all(&self.output).await?;
            self.stream.flush().await?;
            self.output.clear();
        }
        Ok(())
    }

    pub(super) fn violation(&self, text: &str) {
        self.shared.violation(self.number, text);
    }

    pub(super) fn log(&self, line: &str) {
        if self.shared.options.keep == Keep::Everything {
            lock(&self.shared.log).commands.push((self.number, line.to_owned()));
        }
    }
}
