//! Who may talk to the brokers: TLS, logins, rights.

use crate::Authority;
use std::fmt::Write as _;
use std::path::Path;

/// How clients must come. `Security::default()` is without encryption and without a login.
#[derive(Debug, Clone, Default)]
pub struct Security {
    tls: Option<Tls>,
    login: Login,
    rights: bool,
}

/// A server certificate and what is asked of clients.
#[derive(Debug, Clone)]
struct Tls {
    /// The server's key and certificate chain.
    server: String,
    /// Whose clients are let in.
    authority: String,
    client_certificates: bool,
}

/// How a client says who it is.
#[derive(Debug, Clone, Default)]
pub enum Login {
    /// Not at all.
    #[default]
    None,
    /// SASL PLAIN (RFC 4616), with these users and passwords.
    Plain(Vec<(String, String)>),
    /// SASL SCRAM-SHA-512 (RFC 5802), with these users and passwords (without quotation marks, commas and brackets).
    ScramSha512(Vec<(String, String)>),
    /// SASL OAUTHBEARER (RFC 7628) with Kafka's validator for tests: a JSON Web Token without a signature, whose `sub` is the user.
    OAuthBearerUnsecured,
}

impl Security {
    /// With TLS; the brokers show a certificate of `authority` for 127.0.0.1 and localhost.
    #[must_use]
    pub fn tls(mut self, authority: &Authority) -> Self {
        let server = authority.server_pem(&["127.0.0.1", "localhost"]);
        self.tls = Some(Tls { server, authority: authority.pem().to_owned(), client_certificates: false });
        self
    }

    /// With TLS in which clients must show a certificate of the same authority ([`Authority::client_pem`]).
    #[must_use]
    pub fn client_certificates(mut self, authority: &Authority) -> Self {
        self = self.tls(authority);
        if let Some(tls) = &mut self.tls {
            tls.client_certificates = true;
        }
        self
    }

    /// With this kind of login.
    #[must_use]
    pub fn login(mut self, login: Login) -> Self {
        self.login = login;
        self
    }

    /// Users have no rights but those that [`super::Kafka::allow`] gives. Who comes without a name (no login, no client certificate) is the administrator.
    #[must_use]
    pub fn rights(mut self) -> Self {
        self.rights = true;
        self
    }

    /// Kafka's name of the protocol, as clients set it in `security.protocol`.
    pub fn protocol(&self) -> &'static str {
        match (&self.tls, &self.login) {
            (None, Login::None) => "PLAINTEXT",
            (Some(_), Login::None) => "SSL",
            (None, _) => "SASL_PLAINTEXT",
            (Some(_), _) => "SASL_SSL",
        }
    }

    /// The users that are put into the data folder when it is made, as `kafka-storage --add-scram` takes them.
    pub(super) fn scram_users(&self) -> Vec<String> {
        let Login::ScramSha512(users) = &self.login else { return Vec::new() };
        users.iter().map(|(name, password)| format!("SCRAM-SHA-512=[name={name},password={password}]")).collect()
    }

    /// Files that the settings name, and their contents.
    pub(super) fn files(&self) -> Vec<(&'static str, &str)> {
        self.tls
            .as_ref()
            .map(|tls| vec![("server.pem", tls.server.as_str()), ("authority.pem", tls.authority.as_str())])
            .unwrap_or_default()
    }
}

/// The settings of the listener for clients, for a broker whose folder is `folder`.
pub(super) fn settings(security: &Security, folder: &Path) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    let mut set = |name: &str, value: String| settings.push((name.to_owned(), value));
    if let Some(tls) = &security.tls {
        set("listener.name.client.ssl.keystore.type", "PEM".to_owned());
        set("listener.name.client.ssl.keystore.location", folder.join("server.pem").display().to_string());
        set("listener.name.client.ssl.truststore.type", "PEM".to_owned());
        set("listener.name.client.ssl.truststore.location", folder.join("authority.pem").display().to_string());
        let wanted = if tls.client_certificates { "required" } else { "none" };
        set("listener.name.client.ssl.client.auth", wanted.to_owned());
    }
    if let Some((mechanism, module)) = login_module(&security.login) {
        set("listener.name.client.sasl.enabled.mechanisms", mechanism.to_owned());
        let key = format!("listener.name.client.{}.sasl.jaas.config", mechanism.to_lowercase());
        set(&key, format!("org.apache.kafka.common.security.{module};"));
    }
    if security.rights {
        set("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer".to_owned());
        set("super.users", "User:ANONYMOUS".to_owned());
        set("allow.everyone.if.no.acl.found", "false".to_owned());
    }
    settings
}

/// The mechanism's name, and what checks it.
fn login_module(login: &Login) -> Option<(&'static str, String)> {
    match login {
        Login::None => None,
        Login::Plain(users) => {
            let mut module = "plain.PlainLoginModule required".to_owned();
            for (name, password) in users {
                let password = password.replace('\\', "\\\\").replace('"', "\\\"");
                let _ = write!(module, " user_{name}=\"{password}\"");
            }
            Some(("PLAIN", module))
        }
        Login::ScramSha512(_) => Some(("SCRAM-SHA-512", "scram.ScramLoginModule required".to_owned())),
        Login::OAuthBearerUnsecured => {
            let module = "oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"broker\"";
            Some(("OAUTHBEARER", module.to_owned()))
        }
    }
}
