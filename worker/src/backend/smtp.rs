//! SMTP as a backend: settings from the spec, and the client's failures in the terms of [`Failure`].

use super::{Backend, Failure, Kind, Mail, build::Place};
use crate::{Gate, metrics::Phases, smtp};
use campaign::{EmailAddress, Mistake, Reply, spec};
use futures::future::BoxFuture;
use smtp::{Class, Client, Credentials, Phase, Settings};
use std::time::Duration;

/// How long connections have to say goodbye.
const GOODBYE: Duration = Duration::from_millis(500);

/// An SMTP server.
pub(super) struct Smtp {
    client: Client,
}

/// The backend of a spec, and its address for people.
pub(super) fn build(spec: &spec::Smtp, place: &Place<'_>, from: &EmailAddress) -> Result<(String, Smtp), Vec<Mistake>> {
    let port = spec.port.unwrap_or_else(|| Settings::default_port(spec.tls));
    let (credentials, extra_roots) = match (credentials(spec, place), extra_roots(spec, place)) {
        (Ok(credentials), Ok(extra_roots)) => (credentials, extra_roots),
        (credentials, extra_roots) => {
            let mistakes = [credentials.err(), extra_roots.err().map(|mistake| vec![mistake])];
            return Err(mistakes.into_iter().flatten().flatten().collect());
        }
    };
    let settings = Settings {
        host: spec.host.clone(),
        port,
        tls: spec.tls,
        credentials,
        helo: spec.helo.clone().unwrap_or_else(|| from.ascii_domain().to_owned()),
        connections: spec.connections,
        messages_per_connection: spec.messages_per_connection,
        timeouts: spec.timeouts,
        extra_roots,
    };
    let client = Client::new(settings).map_err(|error| vec![place.mistake("smtp", error.to_string())])?;
    let host = if spec.host.contains(':') { format!("[{}]", spec.host) } else { spec.host.clone() };
    Ok((format!("{host}:{port}"), Smtp { client }))
}

fn credentials(spec: &spec::Smtp, place: &Place<'_>) -> Result<Option<Credentials>, Vec<Mistake>> {
    let Some(auth) = &spec.auth else { return Ok(None) };
    let secret = |key| place.secret("smtp.auth.secret", &auth.secret.name, key);
    match (secret("username"), secret("password")) {
        (Ok(username), Ok(password)) => Ok(Some(Credentials::password(username, password))),
        (username, password) => Err([username.err(), password.err()].into_iter().flatten().collect()),
    }
}

fn extra_roots(
    spec: &spec::Smtp,
    place: &Place<'_>,
) -> Result<Vec<rustls::pki_types::CertificateDer<'static>>, Mistake> {
    let Some(reference) = &spec.ca else { return Ok(Vec::new()) };
    let key = reference.key().ok_or_else(|| place.mistake("smtp.ca", "give exactly one of configMap and secret"))?;
    let pem = place.content("smtp.ca", &key)?;
    smtp::certificates_from_pem(&pem).map_err(|error| place.mistake("smtp.ca", error.to_string()))
}

impl Backend for Smtp {
    fn send<'a>(&'a self, mail: Mail<'a>, gate: &'a Gate) -> BoxFuture<'a, Result<Reply, Failure>> {
        let Mail { letter, content, .. } = mail;
        let mail = smtp::Mail { from: letter.from.clone(), to: letter.to.clone(), data: content.clone() };
        Box::pin(async move { self.client.send(mail, gate).await.map_err(|failure| meaning(&failure)) })
    }

    fn observe(&self, phases: &Phases) {
        self.client.observe(phases.clone());
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.client.close(GOODBYE))
    }
}

/// What a failure of the client means for mail and backend.
fn meaning(failure: &smtp::Failure) -> Failure {
    let backend_failed = failure.is_about_the_server();
    let kind = match failure.class() {
        _ if failure.outcome_is_unknown() => Kind::Unknown,
        _ if failure.kind() == smtp::Kind::Stopped => Kind::Stopped,
        Class::Refused if refuses_the_sender(failure) => Kind::SenderRefused,
        _ if backend_failed && !failure.begun() => Kind::NotBegun,
        _ if backend_failed => Kind::Cut,
        Class::Rejected => Kind::Rejected,
        Class::Refused => Kind::Refused,
        // A 2xx that came where it means nothing is no delivery.
        Class::Transient | Class::Delivered => Kind::Transient,
    };
    let backend_failed = backend_failed && kind != Kind::SenderRefused;
    Failure { kind, reply: failure.reply().clone(), backend_failed, retry_after: None }
}

/// A 5xx before there is a recipient is about the sender, unless it says that this one mail is too big (RFC 1870).
fn refuses_the_sender(failure: &smtp::Failure) -> bool {
    let reply = failure.reply();
    let too_big = reply.code == 552 || matches!(reply.enhanced.as_deref(), Some("5.2.3" | "5.3.4"));
    let by_the_server = failure.kind() == smtp::Kind::Refused && reply.code / 100 == 5;
    by_the_server && failure.phase() <= Phase::Mail && failure.phase() != Phase::StartTls && !too_big
}
