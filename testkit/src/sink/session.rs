//! One conversation: reads commands, asks the script, answers.

use super::{Action, Keep, Moment, Phase, Received, Shared, SinkTls, command::Command, content, lock};
use bytes::{Bytes, BytesMut};
use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::SystemTime,
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

type Step = Result<(), Ended>;

pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    stream: Box<dyn Stream>,
    pub(super) input: BytesMut,
    output: Vec<u8>,
    number: u64,
    helo: String,
    pub(super) encrypted: bool,
    pub(super) user: Option<String>,
    message: u64,
    mail: Option<Envelope>,
}

#[derive(Default)]
struct Envelope {
    from: String,
    parameters: Vec<String>,
    to: Vec<(String, u64)>,
    refused: Option<(String, u64)>,
    chunks: Vec<u8>,
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
                    self.violation(&format!("{command:?} was followed by more before its reply; PIPELINING is not offered"));
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

    async fn begin(&mut self, from: String, parameters: Vec<String>) -> Step {
        self.message += 1;
        for (parameter, keyword) in [("SIZE=", "SIZE"), ("BODY=", "8BITMIME"), ("SMTPUTF8", "SMTPUTF8")] {
            if parameters.iter().any(|found| found.starts_with(parameter)) && !self.shared.options.offers(keyword) {
                self.violation(&format!("MAIL with {parameter} but {keyword} is not offered"));
            }
        }
        if self.mail.is_some() {
            return self.reply(503, "5.5.1 nested MAIL");
        }
        if !self.shared.options.users.is_empty() && self.user.is_none() {
            return self.reply(530, "5.7.0 authentication required");
        }
        if self.act(Phase::Mail, 250, "2.1.0 Ok").await? {
            self.mail = Some(Envelope { from, parameters, ..Envelope::default() });
        }
        Ok(())
    }

    async fn recipient(&mut self, to: String) -> Step {
        let Some(mail) = &mut self.mail else { return self.reply(503, "5.5.1 need MAIL first") };
        if !to.is_ascii() && !mail.parameters.iter().any(|parameter| parameter == "SMTPUTF8") {
            self.violation("an address that is not ASCII without SMTPUTF8");
        }
        let attempt = self.attempt(&to);
        let who = (to, attempt);
        let accepted = self.act_for(Phase::Rcpt, &who, 250, "2.1.5 Ok").await?;
        if let Some(mail) = &mut self.mail {
            if accepted {
                mail.to.push(who);
            } else {
                mail.refused = Some(who);
            }
        }
        Ok(())
    }

    /// How often this recipient has been named; counted only for a script.
    fn attempt(&self, to: &str) -> u64 {
        if self.shared.options.script.is_none() {
            return 1;
        }
        let mut attempts = lock(&self.shared.attempts);
        let count = attempts.entry(to.to_owned()).or_insert(0);
        *count += 1;
        *count
    }

    /// The first recipient of the mail, or the one that was refused.
    fn who(&self) -> (String, u64) {
        self.mail.as_ref().and_then(|mail| mail.to.first().or(mail.refused.as_ref()).cloned()).unwrap_or_default()
    }

    fn has_recipients(&self) -> bool {
        self.mail.as_ref().is_some_and(|mail| !mail.to.is_empty())
    }

    async fn data(&mut self) -> Step {
        let who = self.who();
        let action = self.decide(Phase::Data, &who).await?;
        let takes_content = match &action {
            Action::Accept => self.has_recipients(),
            Action::Reply(code, _) => *code == 354,
            _ => false,
        };
        match action {
            Action::Accept if takes_content => self.reply(354, "end with a dot")?,
            Action::Accept if self.mail.is_none() => return self.reply(503, "5.5.1 need MAIL first"),
            Action::Accept => return self.reply(554, "5.5.1 no valid recipients"),
            other => drop(self.perform(other, 354, "").await?),
        }
        if !takes_content {
            return Ok(());
        }
        self.flush().await?;
        if self.input.is_empty() {
            self.fill().await?;
        }
        let answered = self.act_in_body(&who).await?;
        let content = self.content().await?;
        self.log(".");
        if answered {
            self.mail = None;
            return Ok(());
        }
        if !self.has_recipients() && !content.is_empty() {
            self.violation("content was sent although there is no recipient");
        }
        let keeps_all = self.shared.options.keep == Keep::Everything;
        if keeps_all {
            content::faults(&content).into_iter().for_each(|fault| self.violation(fault));
        }
        let needed = keeps_all || self.shared.options.observer.is_some();
        let plain = if needed { Bytes::from(content::unstuffed(&content)) } else { content.freeze() };
        self.finish(plain).await
    }

    /// Reads to the final dot; returns what was before it.
    async fn content(&mut self) -> Result<BytesMut, Ended> {
        let mut seen = 0;
        loop {
            if let Some((length, with_dot)) = content::end(&self.input, seen) {
                let mut content = self.input.split_to(with_dot);
                content.truncate(length);
                if !self.input.is_empty() && !self.shared.options.offers("PIPELINING") {
                    self.violation("commands after the final dot; PIPELINING is not offered");
                }
                return Ok(content);
            }
            seen = self.input.len().saturating_sub(4);
            self.fill().await?;
        }
    }

    async fn bdat(&mut self, size: usize, last: bool) -> Step {
        if !self.shared.options.offers("CHUNKING") {
            self.violation("BDAT although CHUNKING is not offered");
        }
        let who = self.who();
        let action = self.decide(Phase::Data, &who).await?;
        if action == Action::Drop {
            return Err(Ended::Closed);
        }
        let answered = self.act_in_body(&who).await?;
        while self.input.len() < size {
            self.fill().await?;
        }
        let chunk = self.input.split_to(size);
        if !self.input.is_empty() && !self.shared.options.offers("PIPELINING") {
            self.violation("commands after a chunk; PIPELINING is not offered");
        }
        if last {
            self.log(".");
        }
        if answered {
            self.mail = None;
            return Ok(());
        }
        if let Action::Reply(..) | Action::Raw(_) = action {
            return self.perform(action, 250, "").await.map(drop);
        }
        match &mut self.mail {
            Some(mail) if !mail.to.is_empty() => mail.chunks.extend_from_slice(&chunk),
            Some(_) => return self.reply(554, "5.5.1 no valid recipients"),
            None => return self.reply(503, "5.5.1 need MAIL first"),
        }
        if !last {
            return self.reply(250, "2.0.0 Ok");
        }
        let content = self.mail.as_mut().map(|mail| std::mem::take(&mut mail.chunks)).unwrap_or_default();
        self.finish(content.into()).await
    }

    /// Returns whether the content has been answered already.
    async fn act_in_body(&mut self, who: &(String, u64)) -> Result<bool, Ended> {
        match self.decide(Phase::Body, who).await? {
            Action::Accept => Ok(false),
            other => {
                self.perform(other, 250, "").await?;
                self.flush().await.map(|()| true)
            }
        }
    }

    /// The content is complete: records it if the script lets it, and answers.
    async fn finish(&mut self, content: Bytes) -> Step {
        let who = self.who();
        let action = self.decide(Phase::FinalDot, &who).await?;
        let mail = self.mail.take().unwrap_or_default();
        if mail.to.is_empty() && action == Action::Accept {
            return self.reply(554, "5.5.1 no valid recipients");
        }
        let recorded = match &action {
            Action::Accept | Action::RecordAndDrop | Action::RecordAndStall => true,
            Action::Reply(code, _) => (200..300).contains(code),
            _ => false,
        };
        if recorded {
            self.record(mail, &content);
        }
        let text = if self.shared.options.script.is_some() || self.shared.options.keep == Keep::Everything {
            format!("2.0.0 Ok: queued as {}.{}", self.number, self.message)
        } else {
            "2.0.0 Ok: queued".to_owned()
        };
        self.perform(action, 250, &text).await.map(drop)
    }

    fn record(&self, mail: Envelope, content: &Bytes) {
        let message_id = content::message_id(content);
        let Envelope { from, parameters, to, .. } = mail;
        let received = to.into_iter().map(|(to, _)| Received {
            from: from.clone(),
            to,
            message_id: message_id.clone(),
            data: content.clone(),
            parameters: parameters.clone(),
            at: SystemTime::now(),
            connection: self.number,
            helo: self.helo.clone(),
            encrypted: self.encrypted,
            user: self.user.clone(),
        });
        self.shared.record(received.collect());
    }

    /// What the script says about this moment, after its delay or stall.
    async fn decide(&mut self, phase: Phase, who: &(String, u64)) -> Result<Action, Ended> {
        let Some(script) = &self.shared.options.script else { return Ok(Action::Accept) };
        let (recipient, attempt) = (who.0.as_str(), who.1);
        let mut action =
            script(&Moment { phase, recipient, attempt, message: self.message, connection: self.number });
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
    async fn act_for(&mut self, phase: Phase, who: &(String, u64), code: u16, text: &str) -> Result<bool, Ended> {
        let action = self.decide(phase, who).await?;
        self.perform(action, code, text).await
    }

    async fn perform(&mut self, action: Action, code: u16, text: &str) -> Result<bool, Ended> {
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

    async fn fill(&mut self) -> Step {
        self.flush().await?;
        self.input.reserve(16 * 1024);
        if self.stream.read_buf(&mut self.input).await? == 0 { Err(Ended::Failed) } else { Ok(()) }
    }

    async fn flush(&mut self) -> Step {
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

    fn log(&self, line: &str) {
        if self.shared.options.keep == Keep::Everything {
            lock(&self.shared.log).commands.push((self.number, line.to_owned()));
        }
    }
}
