//! Mails by HTTP: one POST a mail.
//!
//! 2xx Delivered · 408, 425, 429, 5xx to be tried again (Retry-After obeyed) · 401, 403 Refused (401 like a
//! refusal at AUTH) · other 4xx Rejected · no answer after the body was
//! written: Unknown, or tried again where the server knows a repeated request by its idempotency header.

use super::{Backend, Failure, Kind, Mail};
use crate::{Gate, metrics::Phases};
use bytes::Bytes;
use campaign::Reply;
use futures::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};
use jiff::Timestamp;
use letter::RequestBody;
use reqwest::{
    Client, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
};
use std::{
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// An HTTP API.
pub(crate) struct Http {
    client: Client,
    url: reqwest::Url,
    /// Without the idempotency header, which differs from mail to mail.
    headers: HeaderMap,
    body: Option<RequestBody>,
    idempotency_header: Option<HeaderName>,
    repeatable: bool,
    timeout: Duration,
    connections: Semaphore,
    phases: OnceLock<Phases>,
}

/// How an API is reached; everything was checked.
pub(crate) struct Settings {
    pub(crate) client: Client,
    pub(crate) url: reqwest::Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<RequestBody>,
    pub(crate) idempotency_header: Option<HeaderName>,
    /// Whether a repeated request is sure to come back here, where its idempotency header is known.
    pub(crate) sole: bool,
    pub(crate) timeout: Duration,
    pub(crate) connections: usize,
}

impl Http {
    pub(crate) fn new(settings: Settings) -> Self {
        let Settings { client, url, mut headers, body, idempotency_header, sole, timeout, connections } = settings;
        let content_type = if body.is_some() { "application/json" } else { "message/rfc822" };
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(content_type));
        let repeatable = sole && idempotency_header.is_some();
        Self {
            client,
            url,
            headers,
            body,
            idempotency_header,
            repeatable,
            timeout,
            connections: Semaphore::new(connections),
            phases: OnceLock::new(),
        }
    }

    /// Makes and sends the request; the answer, or how far it came.
    async fn post(&self, mail: Mail<'_>, gate: &Gate) -> Result<Reply, Failure> {
        let content = match &self.body {
            Some(body) => {
                let made = body.render(mail.letter, mail.content, mail.fields);
                Bytes::from(made.map_err(|error| unsendable(&format!("{}: {error}", body.place())))?)
            }
            None => mail.content.clone(),
        };
        let mut headers = self.headers.clone();
        if let Some(name) = &self.idempotency_header {
            let value = HeaderValue::from_str(&mail.letter.message_id)
                .map_err(|_| unsendable("the Message-ID can't stand in a request header"))?;
            headers.insert(name.clone(), value);
        }
        let written = Arc::new(AtomicBool::new(false));
        let body = Gated { content: Some(content), gate: gate.clone(), written: Arc::clone(&written) };
        let request = self.client.post(self.url.clone()).headers(headers).body(reqwest::Body::wrap(body));
        let answer = async {
            let response = request.timeout(self.timeout).send().await?;
            Ok(judge(response).await)
        };
        let started = Instant::now();
        let answer = tokio::select! {
            answer = answer => answer,
            () = given_up(gate, &written) => {
                return Err(self.without_answer(written.load(Ordering::SeqCst), "stopped while waiting for the answer", gate));
            }
        };
        if let (Some(phases), Ok(_)) = (self.phases.get(), &answer) {
            phases.reply.observe(started.elapsed().as_secs_f64());
        }
        answer.unwrap_or_else(|error: reqwest::Error| {
            let text = describe(&error);
            Err(self.without_answer(written.load(Ordering::SeqCst), &text, gate))
        })
    }

    /// What it means that no answer came.
    fn without_answer(&self, written: bool, text: &str, gate: &Gate) -> Failure {
        let reply = Reply { code: 0, enhanced: None, text: clean(text) };
        match (written, self.repeatable) {
            (true, true) => Failure::of_backend(Kind::Transient, reply),
            (true, false) => Failure::of_backend(Kind::Unknown, reply),
            (false, _) if !gate.may_finish() => Failure::stopped(),
            (false, _) => Failure::of_backend(Kind::NotBegun, reply),
        }
    }
}

impl Backend for Http {
    fn send<'a>(&'a self, mail: Mail<'a>, gate: &'a Gate) -> BoxFuture<'a, Result<Reply, Failure>> {
        Box::pin(async move {
            let permit = tokio::select! {
                permit = self.connections.acquire() => permit,
                () = gate.finish_closed() => return Err(Failure::stopped()),
            };
            if permit.is_err() || !gate.may_begin() {
                return Err(Failure::stopped());
            }
            self.post(mail, gate).await
        })
    }

    fn observe(&self, phases: &Phases) {
        // The first who asks is told.
        let _ = self.phases.set(phases.clone());
    }
}

/// Resolves when the request is to be dropped: its body did not go out in time, or its answer is not awaited any more.
async fn given_up(gate: &Gate, written: &AtomicBool) {
    gate.finish_closed().await;
    // The body notes first that it goes out, and asks the gate then: this is not missed.
    if written.load(Ordering::SeqCst) {
        gate.reply_closed().await;
    }
}

/// What an answer says about the mail.
async fn judge(mut response: Response) -> Result<Reply, Failure> {
    let status = response.status();
    let retry_after =
        response.headers().get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?, Timestamp::now()));
    let text = first_of_body(&mut response).await;
    let text = if text.is_empty() { status.canonical_reason().unwrap_or_default().to_owned() } else { text };
    let reply = Reply { code: status.as_u16(), enhanced: None, text };
    if status.is_success() {
        return Ok(reply);
    }
    Err(match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => {
            Failure { retry_after, ..Failure::of_mail(Kind::Transient, reply) }
        }
        StatusCode::UNAUTHORIZED => Failure::of_mail(Kind::SenderRefused, reply),
        StatusCode::FORBIDDEN => Failure::of_mail(Kind::Refused, reply),
        StatusCode::TOO_MANY_REQUESTS => Failure { retry_after, ..Failure::of_backend(Kind::Transient, reply) },
        status if status.is_client_error() => Failure::of_mail(Kind::Rejected, reply),
        // 5xx, and what no API of this kind should answer (1xx, 3xx).
        _ => Failure { retry_after, ..Failure::of_backend(Kind::Transient, reply) },
    })
}

/// Octets of an answer that are read.
const MAX_ANSWER: usize = 4096;

/// The beginning of an answer. The status has decided already, so that a broken body is no error.
async fn first_of_body(response: &mut Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < MAX_ANSWER {
        match response.chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    bytes.truncate(MAX_ANSWER);
    clean(&String::from_utf8_lossy(&bytes))
}

/// Text as a reply holds it: on one line, at most 500 characters.
fn clean(text: &str) -> String {
    let line: String = text.trim().chars().map(|char| if char.is_control() { ' ' } else { char }).take(500).collect();
    line.trim_end().to_owned()
}

fn unsendable(text: &str) -> Failure {
    Failure::of_mail(Kind::Unsendable, Reply { code: 0, enhanced: None, text: clean(text) })
}

/// Retry-After (RFC 9110 §10.2.3): seconds, or a date.
fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(value.trim()).ok()?.timestamp();
    Some(Duration::try_from(at.duration_since(now)).unwrap_or_default())
}

/// An error of the client for people, without its URL, which may hold a secret.
fn describe(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    let mut chain = Vec::new();
    while let Some(source) = innermost.source() {
        chain.push(source.to_string());
        innermost = source;
    }
    let io = innermost.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    let what = if error.is_dns() {
        "name not found"
    } else if error.is_timeout() && error.is_connect() {
        "no connection in time"
    } else if error.is_timeout() {
        "no answer in time"
    } else {
        match io {
            Some(std::io::ErrorKind::ConnectionRefused) => "connection refused",
            Some(std::io::ErrorKind::NetworkUnreachable | std::io::ErrorKind::HostUnreachable) => "no route",
            _ if chain.iter().any(|cause| cause.contains("certificate")) => "TLS: the certificate is not trusted",
            _ if error.is_connect() => "no connection",
            _ => "connection lost",
        }
    };
    match chain.last() {
        Some(cause) if cause != what => format!("{what} ({cause})"),
        _ => what.to_owned(),
    }
}

/// Octets of a body that go out at a time: without the last ones nothing is deliverable, so that a slow server gets them only while the gate is open.
const PIECE: usize = 64 * 1024;

/// A body that asks the gate before each piece goes out, and notes that the last one did.
struct Gated {
    /// What has not gone out; none: the end has.
    content: Option<Bytes>,
    gate: Gate,
    written: Arc<AtomicBool>,
}

/// The gate closed before the body went out.
#[derive(Debug, thiserror::Error)]
#[error("stopped before the mail was sent")]
struct GateClosed;

impl Body for Gated {
    type Data = Bytes;
    type Error = GateClosed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let Some(mut rest) = self.content.take() else { return Poll::Ready(None) };
        let piece = rest.split_to(rest.len().min(PIECE));
        let is_last = rest.is_empty();
        self.written.store(is_last, Ordering::SeqCst);
        if !self.gate.may_finish() {
            self.written.store(false, Ordering::SeqCst);
            return Poll::Ready(Some(Err(GateClosed)));
        }
        self.content = (!is_last).then_some(rest);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.content.as_ref().map_or(0, |content| content.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now: Timestamp = "2027-02-18T12:00:00Z".parse().expect("a time");
        for (value, seconds) in [
            ("120", Some(120)),
            ("Thu, 18 Feb 2027 12:01:00 GMT", Some(60)),
            ("Thu, 18 Feb 2027 11:00:00 GMT", Some(0)),
            ("soon", None),
            ("-5", None),
        ] {
            assert_eq!(retry_after(value, now), seconds.map(Duration::from_secs), "{value}");
        }
    }

    #[test]
    fn a_text_is_one_line_of_at_most_five_hundred_characters() {
        assert_eq!(clean(" a\r\nb\u{7} "), "a  b");
        assert_eq!(clean(&"é".repeat(600)).chars().count(), 500);
    }

    /// What a body of so many octets gives out, with a lease that is closed after the first piece; and whether it counts as written.
    fn pieces(octets: usize, closes: bool) -> (Vec<Option<usize>>, bool) {
        let lease = journal::Lease::forever();
        let written = Arc::new(AtomicBool::new(false));
        let content = Some(Bytes::from(vec![b'x'; octets]));
        let mut body = Gated { content, gate: Gate::open().with(&lease), written: Arc::clone(&written) };
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut found = Vec::new();
        while let Poll::Ready(Some(piece)) = Pin::new(&mut body).poll_frame(&mut context) {
            found.push(piece.ok().and_then(|frame| frame.into_data().ok()).map(|data| data.len()));
            if closes {
                lease.close_finish();
            }
        }
        (found, written.load(Ordering::SeqCst))
    }

    #[test]
    fn the_end_of_a_body_goes_out_only_while_its_lease_is_good() {
        assert_eq!(pieces(100, true), (vec![Some(100)], true));
        assert_eq!(pieces(0, false), (vec![Some(0)], true));
        assert_eq!(pieces(2 * PIECE + 1, false), (vec![Some(PIECE), Some(PIECE), Some(1)], true));
        assert_eq!(pieces(PIECE + 1, true), (vec![Some(PIECE), None], false));
    }
}
