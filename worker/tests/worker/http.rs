//! Mails by HTTP, against a server of the test's own.

use crate::support::{Campaign, counts, name, options, people};
use campaign::{Counts, spec::OnUnknown};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use worker::{Ended, Options};

/// A request as it came.
#[derive(Debug, Clone)]
struct Request {
    head: String,
    body: Vec<u8>,
    at: Instant,
}

impl Request {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    fn header(&self, name: &str) -> Option<String> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
    }
}

/// A server that answers each request by its number, from 1; without an answer it closes the connection.
struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
}

type Answer = Option<&'static str>;

impl Server {
    async fn start(answer: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let server = Self { port: listener.local_addr().expect("an address").port(), requests: Arc::default() };
        let (requests, answer) = (Arc::clone(&server.requests), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&requests), Arc::clone(&answer)));
            }
        });
        server
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("a lock").clone()
    }

    fn backend(&self, more: Value) -> Value {
        let mut http = json!({"url": format!("http://127.0.0.1:{}/mail?key=sesame", self.port), "connections": 4});
        http.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        json!({"name": "api", "http": http})
    }
}

async fn serve(
    mut stream: TcpStream,
    requests: Arc<Mutex<Vec<Request>>>,
    answer: Arc<impl Fn(usize) -> Answer>,
) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = buffer.windows(4).position(|part| part == b"\r\n\r\n") {
                break at + 4;
            }
            (stream.read_buf(&mut buffer).await.ok()? > 0).then_some(())?;
        };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        let request = Request { head, body: Vec::new(), at: Instant::now() };
        let length: usize = request.header("content-length").map_or(0, |text| text.parse().expect("a number"));
        while buffer.len() < end + length {
            (stream.read_buf(&mut buffer).await.ok()? > 0).then_some(())?;
        }
        let body = buffer[end..end + length].to_vec();
        buffer.drain(..end + length);
        let number = {
            let mut requests = requests.lock().expect("a lock");
            requests.push(Request { body, ..request });
            requests.len()
        };
        stream.write_all(answer(number)?.as_bytes()).await.ok()?;
    }
}

const OK: Answer = Some("HTTP/1.1 202 Accepted\r\nContent-Length: 6\r\n\r\nid: 17");

/// Runs a campaign of one mail against a server; the account and the outcome.
async fn one_mail(
    answer: impl Fn(usize) -> Answer + Send + Sync + 'static,
    more: Value,
    on_unknown: OnUnknown,
) -> (Server, Counts, Option<u16>) {
    let server = Server::start(answer).await;
    let campaign = Campaign::to(people(1, "example.com")).await;
    let options = Options { on_unknown, ..options() };
    let finished = campaign.run(campaign.backends(&[server.backend(more)]), options).await;
    let settlement = campaign.settlement().await;
    (server, finished.counts, settlement.outcome.reply().map(|reply| reply.code))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_body_is_made_of_the_row_and_the_mail_and_the_secret_goes_along() {
    let server = Server::start(|_| OK).await;
    let campaign = Campaign::to(people(20, "example.com")).await;
    let more = json!({
        "headers": {"X-Kind": {"value": "offer"}},
        "idempotencyHeader": "Idempotency-Key",
        "body": {"template": r#"{"to": "{{ mail.to }}", "name": "{{ Name }}", "id": "{{ mail.messageId }}", "raw": "{{ mail.raw }}"}"#},
    });
    let finished = campaign.run(campaign.backends(&[server.backend(more)]), options()).await;
    assert_eq!((finished.ended, finished.counts), (Ended::Done, counts(20, |counts| counts.delivered = 20)));
    let requests = server.requests();
    assert_eq!(requests.len(), 20);
    for request in requests {
        let body = request.json();
        assert!(request.head.starts_with("POST /mail?key=sesame HTTP/1.1"), "{}", request.head);
        assert_eq!(request.header("x-kind").as_deref(), Some("offer"));
        assert_eq!(request.header("content-type").as_deref(), Some("application/json"));
        assert_eq!(request.header("idempotency-key").as_deref(), body["id"].as_str());
        let raw = base64_simd::STANDARD.decode_to_vec(body["raw"].as_str().expect("text")).expect("base64");
        let raw = String::from_utf8(raw).expect("text");
        assert!(raw.contains(body["name"].as_str().expect("a name")), "{raw}");
    }
    let settlement = campaign.settlements().await.remove(0);
    assert_eq!(settlement.outcome.reply().map(|reply| (reply.code, &*reply.text)), Some((202, "id: 17")));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_body_the_mail_itself_is_posted() {
    let (server, ..) = one_mail(|_| OK, json!({}), OnUnknown::Hold).await;
    let request = server.requests().remove(0);
    assert_eq!(request.header("content-type").as_deref(), Some("message/rfc822"));
    assert!(String::from_utf8_lossy(&request.body).contains("Subject: Hello No. 2\r\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_has_its_outcome() {
    for (answer, code, expected) in [
        ("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", 400, "rejected"),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 404, "rejected"),
        ("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", 401, "refused"),
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 403, "refused"),
        ("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", 408, "dead"),
        ("HTTP/1.1 425 Too Early\r\nContent-Length: 0\r\n\r\n", 425, "dead"),
        ("HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n", 429, "dead"),
        ("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", 500, "dead"),
        ("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", 302, "dead"),
    ] {
        let server = Server::start(move |_| Some(answer)).await;
        let campaign = Campaign::to(people(1, "example.com")).await;
        campaign.run(campaign.backends(&[server.backend(json!({}))]), options()).await;
        let settlement = campaign.settlement().await;
        let got = (name(&settlement.outcome), settlement.outcome.reply().map(|reply| reply.code));
        assert_eq!(got, (expected, Some(code)));
        assert_eq!(server.requests().len(), if expected == "dead" { 3 } else { 1 }, "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wait_that_the_server_asks_for_is_obeyed() {
    let busy = Some("HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n");
    let (server, counts, _) =
        one_mail(move |number| if number == 1 { busy } else { OK }, json!({}), OnUnknown::Hold).await;
    assert_eq!(counts.delivered, 1);
    let requests = server.requests();
    let waited = requests[1].at.duration_since(requests[0].at);
    assert!(waited >= Duration::from_secs(1) && waited < Duration::from_secs(3), "{waited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_answer_it_is_unknown_and_under_hold_not_sent_again() {
    let (server, counts, code) = one_mail(|_| None, json!({}), OnUnknown::Hold).await;
    assert_eq!((counts.unknown, code, server.requests().len()), (1, Some(0), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_answer_it_is_sent_again_where_the_server_knows_it_by_its_header() {
    let more = json!({"idempotencyHeader": "Idempotency-Key"});
    let (server, counts, _) = one_mail(|number| if number == 1 { None } else { OK }, more, OnUnknown::Hold).await;
    assert_eq!(counts.delivered, 1);
    let keys: Vec<_> = server.requests().iter().map(|request| request.header("idempotency-key")).collect();
    assert!(keys.len() == 2 && keys[0].is_some() && keys[0] == keys[1], "{keys:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_no_fault_of_the_mail_and_the_reason_holds_no_secret() {
    let server = Server { port: 1, requests: Arc::default() };
    let campaign = Campaign::to(people(5, "example.com")).await;
    let finished = campaign.run(campaign.backends(&[server.backend(json!({}))]), options()).await;
    let Ended::NoBackend(reason) = finished.ended else { panic!("{:?}", finished.ended) };
    assert!(reason.contains("http://127.0.0.1:1/mail") && reason.contains("connection refused"), "{reason}");
    assert!(!reason.contains("sesame"), "{reason}");
    assert_eq!(finished.counts, counts(5, |counts| counts.pending = 5));
}
