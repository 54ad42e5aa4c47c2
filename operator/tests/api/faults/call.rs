//! What a request asks the API server for.

use futures::FutureExt;
use http::{Method, Request};
use kube::client::Body;
use serde_json::Value;

/// A verb of the Kubernetes API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
}

impl Verb {
    /// Whether it changes something.
    pub(crate) fn writes(self) -> bool {
        !matches!(self, Self::Get | Self::List | Self::Watch)
    }
}

/// A request, in the words of the API.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Call {
    pub(crate) verb: Verb,
    /// As `configmaps` or `deployments/scale`.
    pub(crate) plural: String,
    /// Empty: not in a namespace, or in all.
    pub(crate) namespace: String,
    /// Empty: of no single object.
    pub(crate) name: String,
}

impl Call {
    pub(super) fn of(request: &Request<Body>) -> Self {
        let mut call = Self::by(request.method(), request.uri().path(), request.uri().query().unwrap_or_default());
        if call.verb == Verb::Create && call.name.is_empty() {
            call.name = name_in(request.body()).unwrap_or_default();
        }
        call
    }

    /// `/api/v1/namespaces/NS/PLURAL/NAME/SUB`, with another beginning for the groups, and without the namespace for what has none.
    fn by(method: &Method, path: &str, query: &str) -> Self {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let rest = parts.get(if parts.first() == Some(&"api") { 2 } else { 3 }..).unwrap_or_default();
        let (namespace, rest) = match rest {
            // A namespace itself has no third part but its own subresources.
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() && !["status", "finalize"].contains(&rest[0]) => {
                (*namespace, rest)
            }
            rest => ("", rest),
        };
        let part = |index: usize| rest.get(index).copied().unwrap_or_default();
        let (plural, name, subresource) = (part(0), part(1), part(2));
        let is_one = !name.is_empty();
        let verb = match *method {
            Method::POST => Verb::Create,
            Method::PUT => Verb::Update,
            Method::PATCH => Verb::Patch,
            Method::DELETE if is_one => Verb::Delete,
            Method::DELETE => Verb::DeleteCollection,
            _ if query.split('&').any(|pair| pair == "watch=true") => Verb::Watch,
            _ if is_one => Verb::Get,
            _ => Verb::List,
        };
        let plural = if subresource.is_empty() { plural.to_owned() } else { format!("{plural}/{subresource}") };
        Self { verb, plural, namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

fn name_in(body: &Body) -> Option<String> {
    let bytes = body.try_clone()?.collect_bytes().now_or_never()?.ok()?;
    let object: Value = serde_json::from_slice(&bytes).ok()?;
    Some(object.get("metadata")?.get("name")?.as_str()?.to_owned())
}

#[test]
fn a_request_is_told_in_the_words_of_the_api() {
    for (method, path, query, verb, plural, namespace, name) in [
        (Method::GET, "/api/v1/namespaces/shop/configmaps/a", "", Verb::Get, "configmaps", "shop", "a"),
        (Method::GET, "/api/v1/configmaps", "limit=500", Verb::List, "configmaps", "", ""),
        (Method::GET, "/apis/batch/v1/jobs", "&watch=true&timeoutSeconds=290", Verb::Watch, "jobs", "", ""),
        (
            Method::PATCH,
            "/apis/apps/v1/namespaces/shop/deployments/a/scale",
            "",
            Verb::Patch,
            "deployments/scale",
            "shop",
            "a",
        ),
        (Method::DELETE, "/apis/batch/v1/namespaces/shop/jobs", "", Verb::DeleteCollection, "jobs", "shop", ""),
        (Method::DELETE, "/apis/batch/v1/namespaces/shop/jobs/a", "", Verb::Delete, "jobs", "shop", "a"),
        (Method::PUT, "/api/v1/namespaces/shop", "", Verb::Update, "namespaces", "", "shop"),
        (Method::PUT, "/api/v1/namespaces/shop/finalize", "", Verb::Update, "namespaces/finalize", "", "shop"),
        (Method::GET, "/version", "", Verb::List, "", "", ""),
    ] {
        let wanted = Call { verb, plural: plural.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() };
        assert_eq!(Call::by(&method, path, query), wanted, "{method} {path}");
    }
}
