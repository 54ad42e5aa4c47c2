//! Counts the calls of the API server that were answered: of what kind, what was asked, and of what class the answer is.

use http::{Method, Request, Response};
use prometheus::IntCounterVec;
use std::pin::Pin;
use std::task::{Context, Poll};
use tower::{Layer, Service};

use super::Metrics;

/// What the operator has to do with. Anything else is told as `other`, so that nobody's names become labels.
const KINDS: [&str; 12] = [
    "mailcampaigns",
    "configmaps",
    "jobs",
    "deployments",
    "horizontalpodautoscalers",
    "pods",
    "secrets",
    "persistentvolumeclaims",
    "events",
    "leases",
    "selfsubjectaccessreviews",
    "namespaces",
];

/// Counts what goes through a client.
#[derive(Debug, Clone)]
pub struct Counted(pub Metrics);

impl<S> Layer<S> for Counted {
    type Service = Counting<S>;

    fn layer(&self, inner: S) -> Counting<S> {
        Counting { calls: self.0.calls.clone(), inner }
    }
}

/// A client behind [`Counted`].
#[derive(Debug, Clone)]
pub struct Counting<S> {
    calls: IntCounterVec,
    inner: S,
}

impl<S, B, A> Service<Request<B>> for Counting<S>
where
    S: Service<Request<B>, Response = Response<A>, Future: Send + 'static>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (kind, verb) = (kind(request.uri().path()), verb(&request));
        let (calls, reply) = (self.calls.clone(), self.inner.call(request));
        Box::pin(async move {
            let reply = reply.await;
            let code = match &reply {
                // Told apart: it is how a server says that it is asked too much.
                Ok(answer) if answer.status().as_u16() == 429 => "429",
                Ok(answer) => ["1xx", "2xx", "3xx", "4xx", "5xx"]
                    .get(usize::from(answer.status().as_u16() / 100).wrapping_sub(1))
                    .copied()
                    .unwrap_or("other"),
                Err(_) => "none",
            };
            calls.with_label_values(&[kind, verb, code]).inc();
            reply
        })
    }
}

/// The kind in `/api/v1/namespaces/NAMESPACE/KIND/NAME/…` or `/apis/GROUP/VERSION/namespaces/NAMESPACE/KIND/NAME/…`, or without a namespace.
fn kind(path: &str) -> &'static str {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let to_skip = if parts.next() == Some("apis") { 2 } else { 1 };
    let rest: Vec<&str> = parts.skip(to_skip).collect();
    let kind = match rest.as_slice() {
        ["namespaces", _, kind, ..] | [kind, ..] => *kind,
        [] => "",
    };
    KINDS.into_iter().find(|known| *known == kind).unwrap_or("other")
}

fn verb<B>(request: &Request<B>) -> &'static str {
    match *request.method() {
        Method::GET if request.uri().query().is_some_and(|query| query.contains("watch=true")) => "watch",
        Method::GET => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::Registry;
    use std::convert::Infallible;
    use tower::ServiceExt as _;

    #[test]
    fn the_kind_is_found_in_every_path_and_others_names_are_none() {
        let paths = [
            ("/api/v1/namespaces/hr/configmaps/offers-campaign", "configmaps"),
            ("/api/v1/pods", "pods"),
            ("/apis/batch/v1/namespaces/hr/jobs", "jobs"),
            ("/apis/apps/v1/namespaces/hr/deployments/offers-worker/scale", "deployments"),
            ("/apis/mailcampaign.io/v1alpha1/mailcampaigns", "mailcampaigns"),
            ("/apis/mailcampaign.io/v1alpha1/namespaces/hr/mailcampaigns/offers/status", "mailcampaigns"),
            ("/api/v1/namespaces/pods", "namespaces"),
            ("/apis/example.com/v1/people/ann", "other"),
            ("/version", "other"),
            ("/", "other"),
        ];
        for (path, wanted) in paths {
            assert_eq!(kind(path), wanted, "{path}");
        }
    }

    #[tokio::test]
    async fn what_is_answered_is_counted_by_the_class_of_the_answer() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).expect("registered");
        let answering = |code: u16| {
            tower::service_fn(move |_: Request<()>| async move {
                Ok::<_, Infallible>(Response::builder().status(code).body(()).expect("an answer"))
            })
        };
        for (code, method, uri) in [
            (200, Method::GET, "/api/v1/pods?limit=5"),
            (200, Method::GET, "/api/v1/pods?watch=true"),
            (429, Method::PATCH, "/api/v1/namespaces/hr/configmaps/x"),
            (503, Method::PATCH, "/api/v1/namespaces/hr/configmaps/x"),
        ] {
            let request = Request::builder().method(method).uri(uri).body(()).expect("a request");
            let counting = Counted(metrics.clone()).layer(answering(code));
            counting.oneshot(request).await.expect("answered");
        }
        let counted = |labels: [&str; 3]| metrics.calls.with_label_values(&labels).get();
        let wanted = [["pods", "get", "2xx"], ["pods", "watch", "2xx"], ["configmaps", "patch", "429"]];
        assert_eq!(wanted.map(counted), [1; 3]);
        assert_eq!(counted(["configmaps", "patch", "5xx"]), 1);
    }
}
