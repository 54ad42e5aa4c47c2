//! The opening of a mail: MAIL, RCPT and, without CHUNKING, DATA; and what the server says to it.

use super::{Mail, Phase, connection::Connection, exchange::Heard, features::Size, wire::Broken};
use campaign::Reply;
use std::io::Write;

/// A connection that can't go on, and in which phase of a mail.
type Lost = (Phase, Broken);

/// The commands of an opening besides MAIL and RCPT.
#[derive(Clone, Copy)]
pub(super) struct Opening {
    reset: bool,
    data: bool,
}

/// What an opening came to.
pub(super) enum Verdict {
    Accepted,
    Refused(Phase, Reply),
}

impl Connection {
    /// Opens a mail, in one write if the server lets us. `heard` becomes true when the server has said anything about this mail.
    pub(super) async fn open_mail(&mut self, mail: &Mail, heard: &mut bool) -> Result<Verdict, Lost> {
        if !self.features.pipelining {
            return self.open_step_by_step(mail, heard).await;
        }
        let mut commands = Vec::with_capacity(256);
        let opening = self.write_opening(mail, &mut commands);
        self.wire.set_limit(self.timeouts.command.0);
        self.wire.write(&commands).await.map_err(|broken| (Phase::Mail, broken))?;
        self.hear_opening(opening, heard).await
    }

    /// The replies to an opening that was written at once.
    pub(super) async fn hear_opening(&mut self, opening: Opening, heard: &mut bool) -> Result<Verdict, Lost> {
        let timeouts = self.timeouts;
        let at = |phase| move |broken| (phase, broken);
        if opening.reset {
            let reset = self.hear(timeouts.command.0).await.map_err(at(Phase::Mail))?;
            check_reset(&reset)?;
        }
        let mail = self.hear(timeouts.command.0).await.map_err(at(Phase::Mail))?;
        *heard = true;
        let rcpt = match self.hear(timeouts.command.0).await {
            Ok(rcpt) => rcpt,
            // It is known already that this mail is refused, and why.
            Err(broken) => {
                return Err(mail
                    .refusal()
                    .map_or((Phase::Rcpt, broken), |reply| (Phase::Mail, Broken::Closing(reply))));
            }
        };
        let (mail_good, rcpt_good) = (mail.is_good(), rcpt.is_good());
        let refusal = refusal(Phase::Mail, mail)?.or(refusal(Phase::Rcpt, rcpt)?);
        if !opening.data {
            self.reset = mail_good != rcpt_good;
            return Ok(refusal.map_or(Verdict::Accepted, |(phase, reply)| Verdict::Refused(phase, reply)));
        }
        let data = match (self.hear(timeouts.data.0).await, refusal) {
            (Ok(data), None) => data,
            (Ok(data), Some((phase, reply))) => {
                self.abandon(&data, mail_good, rcpt_good).await.map_err(|_| (phase, Broken::Closing(reply.clone())))?;
                return Ok(Verdict::Refused(phase, reply));
            }
            (Err(broken), None) => return Err((Phase::Data, broken)),
            (Err(_), Some((phase, reply))) => return Err((phase, Broken::Closing(reply))),
        };
        self.data_verdict(data)
    }

    /// Leaves a mail whose sender or recipient was refused. A server that said 354 all the same gets a lone dot (RFC 2920 §3.1): there is
    /// nobody whom it could deliver that to.
    async fn abandon(&mut self, data: &Heard, mail_good: bool, rcpt_good: bool) -> Result<(), Broken> {
        if data.code != 354 {
            self.reset = mail_good || rcpt_good;
            return Ok(());
        }
        if rcpt_good {
            return Err(Broken::Confused("it took a recipient and DATA although it had refused MAIL".to_owned()));
        }
        self.command(b".\r\n", self.timeouts.final_dot.0).await?;
        self.reset = false;
        Ok(())
    }

    /// What the reply to DATA comes to, when nothing was refused before.
    fn data_verdict(&mut self, data: Heard) -> Result<Verdict, Lost> {
        match data {
            Heard { code: 354, .. } => Ok(Verdict::Accepted),
            Heard { code: 400.., reply: Some(reply) } => {
                self.reset = true;
                Ok(Verdict::Refused(Phase::Data, reply))
            }
            Heard { code, .. } => Err((Phase::Data, Broken::Confused(format!("it answered {code} to DATA")))),
        }
    }

    /// For a server without PIPELINING.
    async fn open_step_by_step(&mut self, mail: &Mail, heard: &mut bool) -> Result<Verdict, Lost> {
        let timeouts = self.timeouts;
        let at = |phase| move |broken| (phase, broken);
        if std::mem::take(&mut self.reset) {
            let reset = self.command(b"RSET\r\n", timeouts.command.0).await.map_err(at(Phase::Mail))?;
            check_reset(&reset)?;
        }
        let mut line = Vec::with_capacity(128);
        self.write_mail(mail, &mut line);
        let said = self.command(&line, timeouts.command.0).await.map_err(at(Phase::Mail))?;
        *heard = true;
        if let Some((phase, reply)) = refusal(Phase::Mail, said)? {
            return Ok(Verdict::Refused(phase, reply));
        }
        line.clear();
        write_rcpt(mail, &mut line);
        let said = self.command(&line, timeouts.command.0).await.map_err(at(Phase::Rcpt))?;
        if let Some((phase, reply)) = refusal(Phase::Rcpt, said)? {
            self.reset = true;
            return Ok(Verdict::Refused(phase, reply));
        }
        if self.features.chunking {
            return Ok(Verdict::Accepted);
        }
        let said = self.command(b"DATA\r\n", timeouts.data.0).await.map_err(at(Phase::Data))?;
        self.data_verdict(said)
    }

    /// Appends an opening to what is to be written.
    pub(super) fn write_opening(&mut self, mail: &Mail, out: &mut Vec<u8>) -> Opening {
        let opening = Opening { reset: std::mem::take(&mut self.reset), data: !self.features.chunking };
        if opening.reset {
            out.extend_from_slice(b"RSET\r\n");
        }
        self.write_mail(mail, out);
        write_rcpt(mail, out);
        if opening.data {
            out.extend_from_slice(b"DATA\r\n");
        }
        opening
    }

    fn write_mail(&self, mail: &Mail, out: &mut Vec<u8>) {
        let features = &self.features;
        let utf8 = mail.from.needs_smtputf8() || mail.to.needs_smtputf8();
        // A Vec takes everything.
        let _ = write!(out, "MAIL FROM:<{}>", mail.from);
        if features.size != Size::NotOffered {
            let _ = write!(out, " SIZE={}", mail.data.len());
        }
        if features.eight_bit_mime && !mail.data.is_ascii() {
            out.extend_from_slice(b" BODY=8BITMIME");
        }
        if utf8 {
            out.extend_from_slice(b" SMTPUTF8");
        }
        out.extend_from_slice(b"\r\n");
    }
}

fn write_rcpt(mail: &Mail, out: &mut Vec<u8>) {
    let _ = write!(out, "RCPT TO:<{}>\r\n", mail.to);
}

/// The refusal of MAIL or RCPT; none if it was accepted.
fn refusal(phase: Phase, heard: Heard) -> Result<Option<(Phase, Reply)>, Lost> {
    match heard {
        heard if heard.is_good() => Ok(None),
        Heard { code: 400.., reply: Some(reply) } => Ok(Some((phase, reply))),
        Heard { code, .. } => Err((phase, Broken::Confused(format!("it answered {code}")))),
    }
}

/// A server that doesn't forget a mail gets the next one over another connection.
fn check_reset(reset: &Heard) -> Result<(), Lost> {
    let confused = || (Phase::Mail, Broken::Confused(format!("it answered {} to RSET", reset.code)));
    if reset.is_good() { Ok(()) } else { Err(confused()) }
}
