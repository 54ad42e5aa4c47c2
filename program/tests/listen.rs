//! The listener, over real sockets.

use program::health::Health;
use program::listen::{Address, Server, serve};
use prometheus::{IntCounter, Registry};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn start(registry: Registry, health: &Health) -> Server {
    serve(&"127.0.0.1:0".parse().expect("an address"), registry, health.clone()).await.expect("it listens")
}

/// What is answered to bytes after which nothing more comes.
async fn answer_to(server: &Server, request: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = String::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_string(&mut answer)).await;
    read.expect("an end within 10 s").expect("an answer");
    answer
}

async fn ask(server: &Server, method: &str, path: &str) -> (u16, String, String) {
    let request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let answer = answer_to(server, &request).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    (status, head.to_lowercase(), body.to_owned())
}

#[tokio::test]
async fn a_program_is_alive_while_its_loop_moves() {
    let health = Health::new();
    let server = start(Registry::new(), &health).await;
    assert_eq!(ask(&server, "GET", "/healthz").await.0, 200);
    let steady = health.heartbeat("the tick", Duration::from_hours(1));
    let stuck = health.heartbeat("the reader", Duration::ZERO);
    let (status, _, body) = ask(&server, "GET", "/healthz").await;
    assert_eq!(status, 503);
    assert!(body.starts_with("the reader has not moved for ") && body.contains("its bound is 0.0 s"), "{body}");
    drop(stuck);
    steady.beat();
    assert_eq!(ask(&server, "GET", "/healthz").await.0, 200);
}

#[tokio::test]
async fn a_program_is_ready_once_it_says_so_and_tells_why_it_is_not() {
    let health = Health::new();
    let server = start(Registry::new(), &health).await;
    let ready = health.ready();
    let (status, _, body) = ask(&server, "GET", "/readyz").await;
    assert_eq!((status, body.as_str()), (503, "starting\n"));
    ready.set(true);
    let (status, _, body) = ask(&server, "GET", "/readyz").await;
    assert_eq!((status, body.as_str()), (200, "ok\n"));
    ready.wait_for("no Kafka");
    let (status, _, body) = ask(&server, "GET", "/readyz").await;
    assert_eq!((status, body.as_str()), (503, "no Kafka\n"));
}

#[tokio::test]
async fn metrics_come_in_prometheus_text_format() {
    let registry = Registry::new();
    let mails = IntCounter::new("mailcampaign_mails_total", "Mails.").expect("a counter");
    registry.register(Box::new(mails.clone())).expect("registered");
    mails.inc_by(3);
    let server = start(registry, &Health::new()).await;
    let (status, head, body) = ask(&server, "GET", "/metrics").await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    let lines =
        "# HELP mailcampaign_mails_total Mails.\n# TYPE mailcampaign_mails_total counter\nmailcampaign_mails_total 3\n";
    assert!(body.contains(lines), "{body}");
    assert!(body.contains("\nprocess_resident_memory_bytes "), "{body}");
}

#[tokio::test]
async fn a_head_request_gets_the_head_only() {
    let server = start(Registry::new(), &Health::new()).await;
    let (status, head, body) = ask(&server, "HEAD", "/healthz").await;
    assert_eq!((status, body.as_str()), (200, ""));
    assert!(head.contains("content-length: 3"), "{head}");
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let server = start(Registry::new(), &Health::new()).await;
    for path in ["/", "/metrics/", "/healthzz", "/../etc/passwd", "/healthz%00"] {
        assert_eq!(ask(&server, "GET", path).await.0, 404, "{path}");
    }
    let (status, head, _) = ask(&server, "POST", "/healthz").await;
    assert_eq!(status, 405);
    assert!(head.contains("allow: get, head"), "{head}");
    assert_eq!(ask(&server, "GET", "/healthz?verbose=1").await.0, 200);
}

#[tokio::test]
async fn what_is_not_http_does_no_harm() {
    let server = start(Registry::new(), &Health::new()).await;
    for nonsense in
        ["\u{0}\u{1}\u{2}\r\n\r\n", "GET\r\n\r\n", &format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(100_000))]
    {
        let mut stream = TcpStream::connect(server.address()).await.expect("connected");
        // The server may close before all is written.
        drop(stream.write_all(nonsense.as_bytes()).await);
        let mut answer = Vec::new();
        drop(tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.expect("closed"));
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
    }
    assert_eq!(ask(&server, "GET", "/healthz").await.0, 200);
}

#[tokio::test]
async fn connections_that_say_nothing_keep_nobody_out() {
    let server = start(Registry::new(), &Health::new()).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(server.address()).await.expect("connected"));
    }
    assert_eq!(ask(&server, "GET", "/healthz").await.0, 200);
    drop(silent);
}

#[tokio::test]
async fn a_port_that_is_in_use_is_told_with_the_flag() {
    let server = start(Registry::new(), &Health::new()).await;
    let same = Address::At(server.address());
    let failure = serve(&same, Registry::new(), Health::new()).await.expect_err("in use");
    let expected = format!("--listen {}: another program listens there; choose another port", server.address());
    assert_eq!((failure.to_string(), failure.code()), (expected, program::exit::BAD_INPUT));
    let everywhere = Address::Everywhere(server.address().port());
    let failure = serve(&everywhere, Registry::new(), Health::new()).await.expect_err("in use");
    assert!(failure.to_string().contains("another program listens there"), "{failure}");
}

#[tokio::test]
async fn all_interfaces_are_listened_on() {
    let server = serve(&":0".parse().expect("an address"), Registry::new(), Health::new()).await.expect("it listens");
    let local = ("127.0.0.1", server.address().port());
    assert!(TcpStream::connect(local).await.is_ok(), "{}", server.address());
}

#[tokio::test]
async fn a_dropped_server_frees_its_port() {
    let server = start(Registry::new(), &Health::new()).await;
    let address = server.address();
    let mut open = TcpStream::connect(address).await.expect("connected");
    drop(server);
    let ended = tokio::time::timeout(Duration::from_secs(10), open.read(&mut [0; 8])).await.expect("closed");
    assert!(!matches!(ended, Ok(1..)), "{ended:?}");
    serve(&Address::At(address), Registry::new(), Health::new()).await.expect("the port is free");
}

#[test]
fn an_address_is_a_port_or_an_address_with_a_port() {
    assert_eq!(":8080".parse(), Ok(Address::Everywhere(8080)));
    assert_eq!("[::1]:80".parse::<Address>().expect("an address").to_string(), "[::1]:80");
    for wrong in ["8080", "", ":", ":99999", "localhost:8080", "127.0.0.1"] {
        let error = wrong.parse::<Address>().expect_err("refused");
        assert!(error.contains(":PORT for all interfaces"), "{error}");
    }
}
