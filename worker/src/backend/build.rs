//! Backends from the campaign's spec: looks up secrets and certificates, checks what can be checked without a connection.

use super::{Backend, Backends, http, maildir, smtp};
use campaign::{ContentKey, Contents, EmailAddress, Mistake, spec};
use letter::RequestBody;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use std::sync::Arc;

/// See [`Backends::build`].
pub(super) fn build(
    backends: &[spec::Backend],
    contents: &Contents,
    from: &EmailAddress,
) -> Result<Backends, Vec<Mistake>> {
    let mut built = Backends { members: Vec::with_capacity(backends.len()) };
    let mut mistakes = Vec::new();
    for (index, backend) in backends.iter().enumerate() {
        let place = Place { contents, field: format!("spec.delivery.backends[{index}]"), sole: backends.len() == 1 };
        match one(backend, &place, from) {
            Ok(part) => {
                let Part { address, connections, patience, backend: inner } = part;
                built =
                    built.with_boxed(&backend.name, address, (backend.priority, backend.weight), connections, inner);
                if let Some(last) = built.members.last_mut() {
                    last.patience = patience;
                }
            }
            Err(found) => mistakes.extend(found),
        }
    }
    if mistakes.is_empty() { Ok(built) } else { Err(mistakes) }
}

/// A backend without its name and place among the others.
struct Part {
    address: String,
    connections: usize,
    patience: Option<u32>,
    backend: Box<dyn Backend>,
}

/// Where a backend stands, and what it may refer to.
pub(super) struct Place<'a> {
    contents: &'a Contents,
    /// Field path.
    field: String,
    /// It is the campaign's only one.
    sole: bool,
}

impl Place<'_> {
    /// A mistake in a field of the backend.
    pub(super) fn mistake(&self, field: &str, message: impl Into<String>) -> Mistake {
        Mistake::new(format!("{}.{field}", self.field), message)
    }

    /// The bytes of a content.
    pub(super) fn content(&self, field: &str, key: &ContentKey) -> Result<Arc<[u8]>, Mistake> {
        let (kind, name) = match key {
            ContentKey::ConfigMap(name) => ("ConfigMap", name),
            ContentKey::Secret(name) => ("Secret", name),
        };
        self.contents.get(key).cloned().ok_or_else(|| {
            let missing = format!("the {kind} {} has no key {}", name.name, name.key);
            self.mistake(field, format!("{missing}; add it to the file, or put a file {} beside it", name.key))
        })
    }

    /// The text of a secret's key, without the line end that editors leave.
    pub(super) fn secret(&self, field: &str, name: &str, key: &str) -> Result<String, Mistake> {
        let reference = spec::KeyRef { name: name.to_owned(), key: key.to_owned() };
        let bytes = self.content(field, &ContentKey::Secret(reference))?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| self.mistake(field, format!("the key {key} of the Secret {name} is not UTF-8 text")))?;
        Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    }
}

fn one(backend: &spec::Backend, place: &Place<'_>, from: &EmailAddress) -> Result<Part, Vec<Mistake>> {
    match (&backend.smtp, &backend.http, &backend.maildir) {
        (Some(spec), None, None) => {
            let (address, inner) = smtp::build(spec, place, from)?;
            Ok(Part { address, connections: connections(spec.connections), patience: None, backend: Box::new(inner) })
        }
        (None, Some(spec), None) => {
            let (address, inner) = http(spec, place)?;
            Ok(Part { address, connections: connections(spec.connections), patience: None, backend: Box::new(inner) })
        }
        (None, None, Some(spec)) => {
            let directory = place.contents.directory.join(&spec.path);
            Ok(Part {
                address: directory.display().to_string(),
                connections: maildir::CONNECTIONS,
                patience: Some(1),
                backend: Box::new(maildir::Maildir::durable(&directory)),
            })
        }
        _ => Err(vec![Mistake::new(place.field.as_str(), "give exactly one of smtp, http and maildir")]),
    }
}

fn connections(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn http(spec: &spec::Http, place: &Place<'_>) -> Result<(String, http::Http), Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let mut note = |mistake: Mistake| mistakes.push(mistake);
    let url =
        reqwest::Url::parse(&spec.url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if url.is_none() {
        note(place.mistake("http.url", "is not a web address; write it like https://api.example.com/mail"));
    }
    let headers = http_headers(spec, place, &mut note);
    let idempotency_header = spec.idempotency_header.as_ref().and_then(|name| {
        let name = name.parse::<HeaderName>();
        name.map_err(|_| note(place.mistake("http.idempotencyHeader", "is not a header name"))).ok()
    });
    let body = RequestBody::of(spec, &place.field);
    let body = body.map_err(|found| found.into_iter().for_each(&mut note)).unwrap_or_default();
    let client = client(spec).map_err(|error| note(place.mistake("http", format!("can't be used: {error}")))).ok();
    let (Some(url), Some(client), true) = (url, client, mistakes.is_empty()) else { return Err(mistakes) };
    let mut shown = url.clone();
    shown.set_query(None);
    // Fails only for addresses that can't have them.
    let _ = shown.set_username("").and_then(|()| shown.set_password(None));
    let settings = http::Settings {
        client,
        url,
        headers,
        body,
        idempotency_header,
        sole: place.sole,
        timeout: spec.timeout.0,
        connections: connections(spec.connections),
    };
    Ok((shown.to_string(), http::Http::new(settings)))
}

fn http_headers(spec: &spec::Http, place: &Place<'_>, note: &mut impl FnMut(Mistake)) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &spec.headers {
        let field = format!("http.headers.{name}");
        let text = match (&value.value, &value.secret) {
            (Some(value), None) => Ok(value.clone()),
            (None, Some(secret)) => place.secret(&field, &secret.name, &secret.key),
            _ => Err(place.mistake(&field, "give exactly one of value and secret")),
        };
        let parsed = text.and_then(|text| {
            let name = name.parse::<HeaderName>().map_err(|_| place.mistake(&field, "is not a header name"))?;
            let mut value = HeaderValue::from_str(&text)
                .map_err(|_| place.mistake(&field, "has characters that a header can't hold"))?;
            value.set_sensitive(true);
            Ok((name, value))
        });
        match parsed {
            Ok((name, value)) => {
                headers.insert(name, value);
            }
            Err(mistake) => note(mistake),
        }
    }
    headers
}

/// A client that follows no redirect (a POST would become a GET) and repeats nothing by itself.
fn client(spec: &spec::Http) -> Result<reqwest::Client, Box<dyn std::error::Error>> {
    let mut roots = rustls::RootCertStore::empty();
    if spec.url.starts_with("https:") {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(spec.timeout.0)
        .pool_max_idle_per_host(connections(spec.connections))
        .tcp_nodelay(true)
        .build()?;
    Ok(client)
}
