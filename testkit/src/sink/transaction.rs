//! One mail from MAIL to the reply to its end.

use super::{
    Action, Keep, Phase, Received, content, lock,
    session::{Ended, Session, Step},
};
use bytes::{Bytes, BytesMut};
use std::time::SystemTime;

#[derive(Default)]
pub(super) struct Envelope {
    from: String,
    parameters: Vec<String>,
    to: Vec<(String, u64)>,
    refused: Option<(String, u64)>,
    chunks: Vec<u8>,
}

impl Session {
    pub(super) async fn begin(&mut self, from: String, parameters: Vec<String>) -> Step {
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

    pub(super) async fn recipient(&mut self, to: String) -> Step {
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

    pub(super) async fn data(&mut self) -> Step {
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
            for fault in content::faults(&content) {
                self.violation(fault);
            }
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

    pub(super) async fn bdat(&mut self, size: usize, last: bool) -> Step {
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
        let at = SystemTime::now();
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
            self.record(mail, &content, at);
        }
        let text = if self.shared.options.script.is_some() || self.shared.options.keep == Keep::Everything {
            format!("2.0.0 Ok: queued as {}.{}", self.number, self.message)
        } else {
            "2.0.0 Ok: queued".to_owned()
        };
        self.perform(action, 250, &text).await.map(drop)
    }

    fn record(&self, mail: Envelope, content: &Bytes, at: SystemTime) {
        let message_id = content::message_id(content);
        let Envelope { from, parameters, to, .. } = mail;
        let received = to.into_iter().map(|(to, _)| Received {
            from: from.clone(),
            to,
            message_id: message_id.clone(),
            data: content.clone(),
            parameters: parameters.clone(),
            at,
            connection: self.number,
            helo: self.helo.clone(),
            encrypted: self.encrypted,
            user: self.user.clone(),
        });
        self.shared.record(received.collect());
    }
}
