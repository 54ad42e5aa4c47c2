//! `spec.delivery`: through which servers, how fast, and what happens when it fails.

use super::{KeyRef, Window, rules};
use crate::duration::HumanDuration;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How to mail it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Delivery {
    /// Where mails are handed over.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub backends: Vec<Backend>,
    /// Mails a second; absent: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// The hours in which mails may leave; absent: any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// When and how often to try again.
    #[serde(default)]
    pub retry: Retry,
    /// Mails claimed and not settled, at most.
    #[serde(default = "default_max_in_flight")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_in_flight: u32,
    /// What to do with a mail of which nobody knows whether it was delivered.
    #[serde(default)]
    pub on_unknown: OnUnknown,
}

fn default_max_in_flight() -> u32 {
    1000
}

/// One way to hand mails over: exactly one of `smtp`, `http` and `maildir`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = (
    "[has(self.smtp), has(self.http), has(self.maildir)].exists_one(set, set)",
    "give exactly one of smtp, http and maildir",
))]
pub struct Backend {
    /// Its name in reports and metrics.
    #[schemars(length(max = 63))]
    #[x_kube(validation = rules::BACKEND_NAME)]
    pub name: String,
    /// Lower first; the next when the breakers of all of this priority are open.
    #[serde(default)]
    #[schemars(range(max = 1000))]
    pub priority: u32,
    /// Share among those of the same priority.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub weight: u32,
    /// An SMTP server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smtp: Option<Smtp>,
    /// An HTTP API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
    /// A folder in Maildir format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maildir: Option<Maildir>,
}

fn one() -> u32 {
    1
}

/// An SMTP server (RFC 5321).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Smtp {
    /// Host name or address.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::HOST)]
    pub host: String,
    /// Port; by default 25, 587 with StartTls and 465 with Tls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    /// Encryption.
    #[serde(default)]
    pub tls: Tls,
    /// Certificates (PEM) to trust besides the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<super::ContentRef>,
    /// Credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// The name given in EHLO; by default the domain of `message.from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::HOST)]
    pub helo: Option<String>,
    /// Connections at most.
    #[serde(default = "default_connections")]
    #[schemars(range(min = 1, max = 1000))]
    pub connections: u32,
    /// Mails on one connection before it is closed.
    #[serde(default = "default_messages_per_connection")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub messages_per_connection: u32,
    /// How long to wait for the server.
    #[serde(default)]
    pub timeouts: SmtpTimeouts,
}

fn default_connections() -> u32 {
    20
}

fn default_messages_per_connection() -> u32 {
    1000
}

/// How long to wait for the server, by phase. The defaults are those of RFC 5321 §4.5.3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SmtpTimeouts {
    /// To connect, including TLS.
    #[serde(default = "seconds::<30>")]
    pub connect: HumanDuration,
    /// For the greeting and the reply to any command but DATA.
    #[serde(default = "seconds::<300>")]
    pub command: HumanDuration,
    /// For the reply to DATA.
    #[serde(default = "seconds::<120>")]
    pub data: HumanDuration,
    /// For a block of the content to be taken.
    #[serde(default = "seconds::<180>")]
    pub block: HumanDuration,
    /// For the reply to the final dot.
    #[serde(default = "seconds::<600>")]
    pub final_dot: HumanDuration,
}

fn seconds<const N: u64>() -> HumanDuration {
    HumanDuration(std::time::Duration::from_secs(N))
}

impl Default for SmtpTimeouts {
    fn default() -> Self {
        Self {
            connect: seconds::<30>(),
            command: seconds::<300>(),
            data: seconds::<120>(),
            block: seconds::<180>(),
            final_dot: seconds::<600>(),
        }
    }
}

/// Encryption of an SMTP connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Tls {
    /// None.
    None,
    /// STARTTLS (RFC 3207), required.
    #[default]
    StartTls,
    /// TLS from the first byte (RFC 8314).
    Tls,
}

/// Credentials of an SMTP server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Auth {
    /// A Secret with the keys `username` and `password` (type `kubernetes.io/basic-auth`).
    pub secret: SecretName,
}

/// A Secret by its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretName {
    /// Name of the Secret.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::OBJECT_NAME)]
    pub name: String,
}

/// An HTTP API that takes one mail a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Http {
    /// Where to POST.
    #[schemars(length(max = 2048))]
    #[x_kube(validation = rules::WEB_ADDRESS)]
    pub url: String,
    /// Request headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "rules::request_headers")]
    pub headers: BTreeMap<String, HeaderValue>,
    /// The body. Without it: the mail itself, as `message/rfc822`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<HttpBody>,
    /// A request header by which the server knows a repeated request; its value is the Message-ID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    #[x_kube(validation = rules::HEADER_NAME)]
    pub idempotency_header: Option<String>,
    /// How long to wait for an answer.
    #[serde(default = "seconds::<60>")]
    pub timeout: HumanDuration,
    /// Requests at the same time, at most.
    #[serde(default = "default_connections")]
    #[schemars(range(min = 1, max = 1000))]
    pub connections: u32,
}

/// The value of a request header: exactly one of its fields.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = (
    "[has(self.value), has(self.secret)].exists_one(set, set)",
    "give exactly one of value and secret",
))]
pub struct HeaderValue {
    /// The value itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    #[x_kube(validation = rules::ONE_LINE)]
    pub value: Option<String>,
    /// A key of a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<KeyRef>,
}

/// A request body made from a template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpBody {
    /// JSON in which every value is a template over the row's columns and `mail` (from, to, subject, text, html, messageId, raw: the mail in base64).
    #[schemars(length(min = 1, max = 65_536))]
    pub template: String,
}

/// A folder in Maildir format.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Maildir {
    /// The folder; made if absent.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
}

/// Mails a second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = (
    "has(self.perSecond) || has(self.perDomain)",
    "give at least one of perSecond and perDomain, or leave out rate",
))]
pub struct Rate {
    /// Of the whole campaign; absent: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rules::rate")]
    pub per_second: Option<f64>,
    /// To one recipient domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_domain: Option<PerDomain>,
}

/// Mails a second to one recipient domain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PerDomain {
    /// To any domain that is not named; absent: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rules::rate")]
    pub default: Option<f64>,
    /// To the named ones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "rules::rates_by_domain")]
    pub domains: BTreeMap<String, f64>,
}

/// When and how often to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = (
    "duration(self.initialBackoff) <= duration(self.maxBackoff)",
    "initialBackoff must not be longer than maxBackoff",
))]
pub struct Retry {
    /// Attempts at one mail, the first included.
    #[serde(default = "default_max_attempts")]
    #[schemars(range(min = 1, max = 100))]
    pub max_attempts: u32,
    /// Wait after the first failure; doubled after each further one.
    #[serde(default = "seconds::<30>")]
    pub initial_backoff: HumanDuration,
    /// Wait at most.
    #[serde(default = "seconds::<3600>")]
    pub max_backoff: HumanDuration,
    /// Give up this long after the first attempt.
    #[serde(default = "seconds::<86400>")]
    pub max_age: HumanDuration,
}

fn default_max_attempts() -> u32 {
    8
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_attempts: default_max_attempts(),
            initial_backoff: seconds::<30>(),
            max_backoff: seconds::<3600>(),
            max_age: seconds::<86400>(),
        }
    }
}

/// What to do with a mail of which nobody knows whether it was delivered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnUnknown {
    /// Send it again with the same Message-ID: at least once.
    Resend,
    /// Leave it for a person: at most once.
    #[default]
    Hold,
}
