//! The gate under the client of a cluster: only the leader writes. No place that writes can forget to ask.

use super::{Clock, Leader, NotLeading, Permit};
use http::{Method, Request};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tower::{BoxError, Layer, Service};

/// How long an answer is awaited, but for that of a watch.
const PATIENCE: Duration = Duration::from_secs(30);

/// No answer came: if it was a write, nobody knows whether it was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the API server didn't answer within {} s", PATIENCE.as_secs())]
pub struct Unanswered;

/// Fails every request that changes something, but for those on Leases, unless the lease is held with time to spare; and gives up one that isn't answered by
/// the time the lease has run out. Nothing but a watch waits for an answer for longer than 30 s: the client itself would wait for ever.
#[derive(Debug, Clone)]
pub struct OnlyWhileLeading(pub Leader);

impl<S> Layer<S> for OnlyWhileLeading {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { leader: self.0.clone(), inner }
    }
}

/// A client behind [`OnlyWhileLeading`].
#[derive(Debug, Clone)]
pub struct Gate<S> {
    leader: Leader,
    inner: S,
}

impl<S, B> Service<Request<B>> for Gate<S>
where
    S: Service<Request<B>, Response: 'static, Error: Into<BoxError> + 'static, Future: Send + 'static>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if !is_guarded(&request) {
            let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
            let clock = self.leader.clock().clone();
            let reply = self.inner.call(request);
            return Box::pin(async move {
                let given_up = async { if is_watch { std::future::pending().await } else { waited(&clock).await } };
                tokio::select! {
                    reply = reply => reply.map_err(Into::into),
                    () = given_up => Err(Unanswered.into()),
                }
            });
        }
        let permit = match self.leader.permit() {
            Ok(permit) => permit,
            Err(not_leading) => return Box::pin(async move { Err(not_leading.into()) }),
        };
        let reply = self.inner.call(request);
        Box::pin(while_leading(permit, reply))
    }
}

async fn waited(clock: &Clock) {
    clock.reaches(clock.now() + PATIENCE).await;
}

/// The clock is asked each time before the request gets a chance to move on: a process that was frozen while it was connecting sends nothing when it thaws.
async fn while_leading<T, E: Into<BoxError>>(
    permit: Permit,
    reply: impl Future<Output = Result<T, E>> + Send,
) -> Result<T, BoxError> {
    let mut reply = std::pin::pin!(reply);
    let mut over = std::pin::pin!(permit.runs_out());
    let mut given_up = std::pin::pin!(waited(permit.clock()));
    let mut sent = false;
    std::future::poll_fn(|cx| {
        // The first move is the one that writes: it needs time to spare. Later ones only wait.
        let may_go_on = if sent { permit.holds() } else { permit.has_time_to_spare() };
        if !may_go_on || over.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(NotLeading.into()));
        }
        if given_up.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(Unanswered.into()));
        }
        sent = true;
        reply.as_mut().poll(cx).map_err(Into::into)
    })
    .await
}

fn is_guarded<B>(request: &Request<B>) -> bool {
    let is_lease = request.uri().path().starts_with("/apis/coordination.k8s.io/");
    ![Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method()) && !is_lease
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leader::{HELD, SPARE};
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    const MOMENT: Duration = Duration::from_millis(1);

    /// Counts what reaches it, and answers when it is told to.
    #[derive(Clone, Default)]
    struct Server {
        reached: Arc<AtomicU32>,
        answers: Arc<tokio::sync::Notify>,
    }

    impl Service<Request<()>> for Server {
        type Response = ();
        type Error = Infallible;
        type Future = Pin<Box<dyn Future<Output = Result<(), Infallible>> + Send>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<()>) -> Self::Future {
            let server = self.clone();
            Box::pin(async move {
                server.reached.fetch_add(1, Ordering::Relaxed);
                server.answers.notified().await;
                Ok(())
            })
        }
    }

    fn request(method: &Method, path: &str) -> Request<()> {
        Request::builder().method(method).uri(path).body(()).expect("a request")
    }

    #[tokio::test]
    async fn only_reading_and_leases_need_no_lease() {
        let (clock, _hands) = Clock::by_hand(Duration::from_secs(100));
        let (leader, _) = Leader::following(clock);
        let server = Server::default();
        let mut gate = OnlyWhileLeading(leader).layer(server.clone());
        let configs = "/api/v1/namespaces/shop/configmaps/offers";
        let leases = "/apis/coordination.k8s.io/v1/namespaces/shop/leases/operator";
        for (method, path, passes) in [
            (Method::GET, configs, true),
            (Method::POST, "/api/v1/namespaces/shop/configmaps", false),
            (Method::PUT, configs, false),
            (Method::PATCH, configs, false),
            (Method::DELETE, configs, false),
            (Method::PATCH, "/apis/mailcampaign.io/v1alpha1/namespaces/shop/mailcampaigns/offers/status", false),
            (Method::POST, "/apis/events.k8s.io/v1/namespaces/shop/events", false),
            (Method::POST, leases, true),
            (Method::PUT, leases, true),
        ] {
            let reached = server.reached.load(Ordering::Relaxed);
            server.answers.notify_one();
            let answer = gate.call(request(&method, path)).await;
            assert_eq!(answer.is_ok(), passes, "{method} {path}");
            assert_eq!(server.reached.load(Ordering::Relaxed) - reached, u32::from(passes), "{method} {path}");
        }
    }

    #[tokio::test]
    async fn a_write_is_begun_only_while_there_is_time_to_spare() {
        let last = HELD.saturating_sub(SPARE);
        for (passed, goes) in [(Duration::ZERO, true), (last, true), (last + MOMENT, false)] {
            let (clock, hands) = Clock::by_hand(Duration::from_secs(100));
            let (leader, term) = Leader::following(clock.clone());
            term.holds_until(clock.now() + HELD);
            hands.advance(passed);
            let server = Server::default();
            server.answers.notify_one();
            let answer =
                OnlyWhileLeading(leader).layer(server.clone()).call(request(&Method::PATCH, "/api/v1/x")).await;
            assert_eq!((answer.is_ok(), server.reached.load(Ordering::Relaxed)), (goes, u32::from(goes)), "{passed:?}");
        }
    }

    #[tokio::test]
    async fn a_process_that_was_frozen_before_its_write_left_never_sends_it() {
        let (clock, hands) = Clock::by_hand(Duration::from_secs(100));
        let (leader, term) = Leader::following(clock.clone());
        term.holds_until(clock.now() + HELD);
        let server = Server::default();
        let write = OnlyWhileLeading(leader).layer(server.clone()).call(request(&Method::PATCH, "/api/v1/x"));
        hands.advance(Duration::from_mins(1));
        let error = write.await.expect_err("it doesn't lead any more");
        assert!(error.is::<NotLeading>(), "{error}");
        assert_eq!(server.reached.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_write_without_an_answer_is_given_up_when_the_lease_has_run_out() {
        let (clock, hands) = Clock::by_hand(Duration::from_secs(100));
        let (leader, term) = Leader::following(clock.clone());
        term.holds_until(clock.now() + HELD);
        let server = Server::default();
        let write = OnlyWhileLeading(leader.clone()).layer(server.clone()).call(request(&Method::PATCH, "/api/v1/x"));
        let write = tokio::spawn(write);
        while server.reached.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(leader.writing(), 1);
        hands.advance(HELD);
        assert!(write.await.expect("it ends").expect_err("no answer came").is::<NotLeading>());
        assert_eq!(leader.writing(), 0);
    }

    #[tokio::test]
    async fn nothing_but_a_watch_is_waited_for_without_end() {
        for (method, path, ends) in [
            (Method::GET, "/api/v1/configmaps?limit=500", true),
            (Method::PATCH, "/api/v1/x", true),
            (Method::GET, "/api/v1/configmaps?&watch=true&timeoutSeconds=290", false),
        ] {
            let (clock, hands) = Clock::by_hand(Duration::from_secs(100));
            let (leader, term) = Leader::following(clock.clone());
            term.holds_until(clock.now() + Duration::from_mins(10));
            let server = Server::default();
            let reply = tokio::spawn(OnlyWhileLeading(leader).layer(server.clone()).call(request(&method, path)));
            while server.reached.load(Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
            hands.advance(PATIENCE);
            if ends {
                assert!(reply.await.expect("it ends").expect_err("no answer came").is::<Unanswered>());
            } else {
                server.answers.notify_one();
                assert!(reply.await.expect("it ends").is_ok(), "{path}");
            }
        }
    }
}
