//! `--listen`: `/healthz`, `/readyz` and `/metrics` over HTTP, and nothing else.

use crate::exit::Failure;
use crate::health::Health;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::process_collector::ProcessCollector;
use prometheus::{Registry, TEXT_FORMAT, TextEncoder};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};

/// Connections that are kept at a time; a further one takes the place of the oldest.
const CONNECTIONS: usize = 64;
/// A client has this long for the head of each request, and a connection without one is closed.
const PATIENCE: Duration = Duration::from_secs(30);

/// `--listen`
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ListenArgs {
    /// Serve /healthz, /readyz and /metrics on this address; `:8080` is port 8080 of all interfaces.
    #[arg(long, value_name = "[IP]:PORT", env = "MAILCAMPAIGN_LISTEN")]
    pub listen: Option<Address>,
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A port of all interfaces; 0: any that is free.
    Everywhere(u16),
    /// One address.
    At(SocketAddr),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = "expected :PORT for all interfaces, or IP:PORT";
        match text.strip_prefix(':') {
            Some(port) => port.parse().map(Self::Everywhere).map_err(|_| wanted.to_owned()),
            None => text.parse().map(Self::At).map_err(|_| wanted.to_owned()),
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Everywhere(port) => write!(f, ":{port}"),
            Self::At(address) => address.fmt(f),
        }
    }
}

/// Answers until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Where it listens, with the port that the system chose if 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Begins to answer, with the metrics of `registry` and those of the process.
///
/// # Errors
/// If the address can't be listened on: in use, not of this machine, not allowed.
pub async fn serve(at: &Address, registry: Registry, health: Health) -> Result<Server, Failure> {
    let refused = |error: std::io::Error| Failure::bad_input(why_not(at, &error));
    let listener = bind(at).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    // Somebody else may have added the process already.
    drop(registry.register(Box::new(ProcessCollector::for_self())));
    let accepting = tokio::spawn(accept(listener, Arc::new(Told { registry, health })));
    Ok(Server { address, accepting })
}

async fn bind(at: &Address) -> std::io::Result<TcpListener> {
    match at {
        Address::At(address) => TcpListener::bind(address).await,
        // IPv6's wildcard takes IPv4 as well; a machine may have no IPv6.
        Address::Everywhere(port) => match TcpListener::bind((Ipv6Addr::UNSPECIFIED, *port)).await {
            Err(error) if error.kind() != ErrorKind::AddrInUse && error.kind() != ErrorKind::PermissionDenied => {
                TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).await
            }
            bound => bound,
        },
    }
}

fn why_not(at: &Address, error: &std::io::Error) -> String {
    let what = match error.kind() {
        ErrorKind::AddrInUse => "another program listens there; choose another port".to_owned(),
        ErrorKind::PermissionDenied => "this user may not listen there; choose a port from 1024 on".to_owned(),
        ErrorKind::AddrNotAvailable => "this machine doesn't have that address; `:PORT` is all that it has".to_owned(),
        _ => error.to_string(),
    };
    format!("--listen {at}: {what}")
}

/// What can be asked about.
struct Told {
    registry: Registry,
    health: Health,
}

async fn accept(listener: TcpListener, told: Arc<Told>) {
    // Aborted together with this task.
    let mut connections = JoinSet::new();
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                while connections.try_join_next().is_some() {}
                open.retain(|connection| !connection.is_finished());
                if open.len() >= CONNECTIONS
                    && let Some(oldest) = open.pop_front()
                {
                    oldest.abort();
                }
                open.push_back(connections.spawn(answer(stream, Arc::clone(&told))));
            }
            Err(error) => {
                // Out of file descriptors, say: they come back.
                tracing::debug!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn answer(stream: TcpStream, told: Arc<Told>) {
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let response = told.response(request.method(), request.uri().path());
        async move { Ok::<_, Infallible>(response) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}

impl Told {
    fn response(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD\n".to_owned());
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        match path {
            "/healthz" => verdict(self.health.alive()),
            "/readyz" => verdict(self.health.ready().check()),
            "/metrics" => self.metrics(),
            _ => text(StatusCode::NOT_FOUND, "/healthz, /readyz or /metrics\n".to_owned()),
        }
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        match TextEncoder::new().encode_to_string(&self.registry.gather()) {
            Ok(metrics) => {
                let mut response = text(StatusCode::OK, metrics);
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(TEXT_FORMAT));
                response
            }
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        }
    }
}

fn verdict(well: Result<(), String>) -> Response<Full<Bytes>> {
    match well {
        Ok(()) => text(StatusCode::OK, "ok\n".to_owned()),
        Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, why + "\n"),
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
