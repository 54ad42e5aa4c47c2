//! The layer: asks the plan what becomes of each request, and does that.

use super::{Answer, Call, Crash, Plan, Rules, Verb, Write, watch};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use kube::client::Body;
use serde_json::json;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tower::{BoxError, Layer, Service};

type Reply = Response<UnsyncBoxBody<Bytes, BoxError>>;

/// The layer: one life of a process.
#[derive(Clone)]
pub(crate) struct Faults {
    plan: Plan,
    is_dead: Arc<AtomicBool>,
}

/// A client with faults.
#[derive(Clone)]
pub(crate) struct Faulty<S> {
    faults: Faults,
    inner: S,
}

/// What becomes of one request.
#[derive(Debug)]
enum Fate {
    Goes,
    /// It goes, and its list is kept.
    Kept(String),
    /// It goes, but nobody learns that; if it was the last of a life, this ends.
    Unheard {
        crash: bool,
    },
    /// It doesn't go.
    Fails(&'static str),
    Silence,
    Replied(StatusCode, Bytes),
}

impl Faults {
    /// A new life under the plan.
    pub(crate) fn new(plan: &Plan) -> Self {
        Self { plan: plan.clone(), is_dead: Arc::default() }
    }

    /// Notes the call down and decides; with the number of the write, if it is one.
    fn decide(&self, call: &Call, uri: &http::Uri) -> (Fate, Option<usize>) {
        if self.is_dead.load(Ordering::Acquire) {
            return (Fate::Fails("the process has ended"), None);
        }
        let mut rules = self.plan.rules();
        let is_write = call.verb.writes() && call.plural != "leases";
        let number = is_write.then(|| {
            rules.writes.push(Write { call: call.clone(), landed: false, created: false });
            rules.writes.len()
        });
        let fate = match (rules.crash, number) {
            (Some(Crash::Before(at)), Some(number)) if at == number => {
                self.is_dead.store(true, Ordering::Release);
                rules.has_crashed = true;
                Fate::Fails("the process ended before this write")
            }
            (Some(Crash::After(at)), Some(number)) if at == number => Fate::Unheard { crash: true },
            _ => rules.fate(call, uri),
        };
        (fate, number)
    }
}

impl Rules {
    fn fate(&mut self, call: &Call, uri: &http::Uri) -> Fate {
        if let Some((_, answer, times)) = self.answers.iter_mut().find(|(when, _, times)| *times > 0 && when.fits(call))
        {
            *times -= 1;
            return match *answer {
                Answer::Status(code) => status(code),
                Answer::Unreachable => Fate::Fails("connection refused"),
                Answer::LostReply => Fate::Unheard { crash: false },
                Answer::Silence => Fate::Silence,
                Answer::Expired => expired(),
            };
        }
        if call.verb != Verb::List {
            return Fate::Goes;
        }
        let place = place(uri);
        if let Some(times) = self.stale.get_mut(call.plural.as_str()).filter(|times| **times > 0)
            && let Some(list) = self.kept_lists.get(&place)
        {
            *times -= 1;
            return Fate::Replied(StatusCode::OK, list.clone());
        }
        let is_kept = self.keeping.contains(&call.plural.as_str()) && !self.kept_lists.contains_key(&place);
        if is_kept { Fate::Kept(place) } else { Fate::Goes }
    }
}

/// What a list is of: its path and its selectors.
fn place(uri: &http::Uri) -> String {
    let mut pairs: Vec<&str> =
        uri.query().unwrap_or_default().split('&').filter(|pair| pair.contains("Selector=")).collect();
    pairs.sort_unstable();
    format!("{}?{}", uri.path(), pairs.join("&"))
}

fn status(code: u16) -> Fate {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        500 => "InternalError",
        504 => "Timeout",
        _ => "",
    };
    let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "by plan", "reason": reason, "code": code});
    Fate::Replied(StatusCode::from_u16(code).expect("an HTTP status"), body.to_string().into())
}

fn expired() -> Fate {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "too old resource version", "reason": "Expired", "code": 410});
    Fate::Replied(StatusCode::OK, format!("{}\n", json!({"type": "ERROR", "object": status})).into())
}

impl<S> Layer<S> for Faults {
    type Service = Faulty<S>;

    fn layer(&self, inner: S) -> Faulty<S> {
        Faulty { faults: self.clone(), inner }
    }
}

impl<S, B> Service<Request<Body>> for Faulty<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error: Into<BoxError>, Future: Send + 'static>,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Reply;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let call = Call::of(&request);
        let (fate, number) = self.faults.decide(&call, request.uri());
        let faults = self.faults.clone();
        // The request leaves when this is awaited, not before.
        let reply = self.inner.call(request);
        Box::pin(async move {
            match fate {
                Fate::Fails(why) => return Err(failure(why)),
                Fate::Silence => std::future::pending().await,
                Fate::Replied(code, body) => return Ok(replied(code, body)),
                Fate::Goes | Fate::Kept(_) | Fate::Unheard { .. } => {}
            }
            let reply = reply.await.map_err(Into::into)?;
            faults.landed(number, reply.status());
            match fate {
                Fate::Unheard { crash } => {
                    // The server has done it by now; who reads no body loses the reply.
                    if crash {
                        faults.is_dead.store(true, Ordering::Release);
                        faults.plan.rules().has_crashed = true;
                    }
                    Err(failure("the reply was lost"))
                }
                Fate::Kept(place) => {
                    let (parts, body) = reply.into_parts();
                    let list = body.collect().await.map_err(Into::into)?.to_bytes();
                    faults.plan.rules().kept_lists.insert(place, list.clone());
                    Ok(Response::from_parts(parts, whole(list)))
                }
                _ if faults.is_dead.load(Ordering::Acquire) => Err(failure("the process has ended")),
                _ if call.verb == Verb::Watch => {
                    Ok(reply.map(|body| watch::filtered(body, faults.plan.clone(), call.plural)))
                }
                _ => Ok(reply.map(|body| body.map_err(Into::into).boxed_unsync())),
            }
        })
    }
}

impl Faults {
    fn landed(&self, number: Option<usize>, status: StatusCode) {
        if let Some(number) = number {
            let write = &mut self.plan.rules().writes[number - 1];
            (write.landed, write.created) = (status.is_success(), status == StatusCode::CREATED);
        }
    }
}

fn failure(why: &'static str) -> BoxError {
    io::Error::new(io::ErrorKind::ConnectionReset, why).into()
}

fn replied(code: StatusCode, body: Bytes) -> Reply {
    let reply = Response::builder().status(code).header(http::header::CONTENT_TYPE, "application/json");
    reply.body(whole(body)).expect("a reply")
}

fn whole(body: Bytes) -> UnsyncBoxBody<Bytes, BoxError> {
    Full::new(body).map_err(|never| match never {}).boxed_unsync()
}
