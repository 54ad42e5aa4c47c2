//! TLS and logins: what was given, checked and put into librdkafka's words.

use super::given::{Given, Secret};
use super::token::TokenFile;
use campaign::Mistake;
use campaign::mistake::nearest;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const MECHANISMS: [&str; 4] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"];
const OAUTH: &str = "OAUTHBEARER";

/// librdkafka's settings, and what is wrong.
pub(super) struct Secured {
    pub(super) properties: BTreeMap<String, String>,
    pub(super) token: Option<TokenFile>,
    pub(super) mistakes: Vec<Mistake>,
}

/// Adds what was given by flags to what was read from the file; flags win.
pub(super) fn secure(given: &Given, properties: BTreeMap<String, String>) -> Secured {
    let mut secured = Secured { properties, token: None, mistakes: Vec::new() };
    let encrypted = secured.tls(given);
    let login = secured.login(given);
    let protocol = match (encrypted, login) {
        (false, false) => "PLAINTEXT",
        (true, false) => "SSL",
        (false, true) => "SASL_PLAINTEXT",
        (true, true) => "SASL_SSL",
    };
    if protocol == "SASL_PLAINTEXT" && secured.properties.get("sasl.mechanism").is_some_and(|name| name == "PLAIN") {
        tracing::warn!("the password for Kafka goes over the network unencrypted; --kafka-tls encrypts it");
    }
    secured.set("security.protocol", protocol);
    secured
}

impl Secured {
    fn wrong(&mut self, place: &str, message: impl Into<String>) {
        self.mistakes.push(Mistake::new(place, message));
    }

    fn set(&mut self, key: &str, value: impl Into<String>) {
        self.properties.insert(key.to_owned(), value.into());
    }

    fn has(&self, key: &str) -> bool {
        self.properties.contains_key(key)
    }

    fn is_protocol(&self, part: &str) -> bool {
        self.properties.get("security.protocol").is_some_and(|name| name.to_uppercase().contains(part))
    }

    /// Whether TLS is spoken.
    fn tls(&mut self, given: &Given) -> bool {
        if let Some(path) = &given.ca {
            self.pem("--kafka-ca", path, "CERTIFICATE-----");
            self.set("ssl.ca.location", path.to_string_lossy());
        }
        if let Some(path) = &given.cert {
            self.pem("--kafka-cert", path, "CERTIFICATE-----");
            self.set("ssl.certificate.location", path.to_string_lossy());
        }
        if let Some(path) = &given.key {
            let key = self.pem("--kafka-key", path, "PRIVATE KEY-----");
            self.set("ssl.key.location", path.to_string_lossy());
            if key.contains("ENCRYPTED") && given.key_password.is_none() && !self.has("ssl.key.password") {
                self.wrong(
                    "--kafka-key",
                    format!("{}: the key has a password; set KAFKA_KEY_PASSWORD", path.display()),
                );
            }
        }
        if let Some(password) = &given.key_password {
            self.set("ssl.key.password", password.reveal());
        }
        if given.cert.is_some() && given.key.is_none() && !self.has("ssl.key.location") && !self.has("ssl.key.pem") {
            self.wrong("--kafka-cert", "a certificate is of use with its key only: give --kafka-key");
        }
        if given.key.is_some() && !self.has("ssl.certificate.location") && !self.has("ssl.certificate.pem") {
            self.wrong("--kafka-key", "a key is of use with its certificate only: give --kafka-cert");
        }
        given.tls || given.ca.is_some() || given.cert.is_some() || given.key.is_some() || self.is_protocol("SSL")
    }

    /// The text of a PEM file that has a part of that kind.
    fn pem(&mut self, flag: &str, path: &Path, kind: &str) -> String {
        match fs::read(path) {
            Err(error) => self.wrong(flag, format!("{}: {error}", path.display())),
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                if text.contains("-----BEGIN ") && text.contains(kind) {
                    return text;
                }
                let kind = kind.trim_end_matches('-').to_lowercase();
                self.wrong(flag, format!("{}: no {kind} in PEM (-----BEGIN …) in it", path.display()));
            }
        }
        String::new()
    }

    /// Whether there is a login.
    fn login(&mut self, given: &Given) -> bool {
        if let (Some(alias), false) = (self.properties.remove("sasl.mechanisms"), self.has("sasl.mechanism")) {
            self.set("sasl.mechanism", alias);
        }
        let Some(mechanism) = self.mechanism(given) else { return self.is_protocol("SASL") };
        self.set("sasl.mechanism", mechanism);
        if mechanism == OAUTH {
            self.token(given);
        } else {
            self.password(given, mechanism);
        }
        true
    }

    /// The mechanism that was given, or that goes with what was given.
    fn mechanism(&mut self, given: &Given) -> Option<&'static str> {
        let in_file = self.properties.get("sasl.mechanism").cloned();
        let place = if given.sasl_mechanism.is_some() { "--kafka-sasl-mechanism" } else { "sasl.mechanism" };
        if let Some(name) = given.sasl_mechanism.clone().or(in_file) {
            let known = MECHANISMS.into_iter().find(|known| known.eq_ignore_ascii_case(&name));
            if known.is_none() {
                let meant = nearest(&name, MECHANISMS).map(|meant| format!("; did you mean {meant}?"));
                let message = format!("\"{name}\" is none of {}{}", MECHANISMS.join(", "), meant.unwrap_or_default());
                self.wrong(place, message);
            }
            return known;
        }
        if given.oauth_token_file.is_some() {
            return Some(OAUTH);
        }
        let names_somebody = given.user.is_some() || self.has("sasl.username");
        if !names_somebody && (given.password.is_some() || given.password_file.is_some()) {
            let place = if given.password_file.is_some() { "--kafka-password-file" } else { "KAFKA_PASSWORD" };
            self.wrong(place, "a password without a user: give --kafka-user");
        }
        (names_somebody || self.is_protocol("SASL")).then_some("SCRAM-SHA-512")
    }

    fn token(&mut self, given: &Given) {
        if given.user.is_some() {
            self.wrong("--kafka-user", "with OAUTHBEARER the token says who it is; take the user out");
        }
        match &given.oauth_token_file {
            None => self.wrong("--kafka-oauth-token-file", "is needed with OAUTHBEARER: the file with the token"),
            Some(path) => {
                let file = TokenFile::new(path);
                if let Err(error) = file.read() {
                    self.wrong("--kafka-oauth-token-file", error.to_string());
                }
                self.token = Some(file);
            }
        }
    }

    fn password(&mut self, given: &Given, mechanism: &str) {
        if given.oauth_token_file.is_some() {
            let message = format!("a token is for OAUTHBEARER, and the mechanism is {mechanism}; take one of them out");
            self.wrong("--kafka-oauth-token-file", message);
        }
        match &given.user {
            Some(user) if user.is_empty() => self.wrong("--kafka-user", "is empty"),
            Some(user) => self.set("sasl.username", user.as_str()),
            None if self.has("sasl.username") => {}
            None => self.wrong("--kafka-user", format!("is needed with {mechanism}")),
        }
        match self.given_password(given) {
            Some(password) => self.set("sasl.password", password.reveal()),
            None if self.has("sasl.password") || given.password_file.is_some() => {}
            None => self.wrong("--kafka-user", "has no password: give --kafka-password-file, or set KAFKA_PASSWORD"),
        }
    }

    /// The password of the file, or of the variable.
    fn given_password(&mut self, given: &Given) -> Option<Secret> {
        let Some(path) = &given.password_file else { return given.password.clone() };
        let flag = "--kafka-password-file";
        if given.password.is_some() {
            self.wrong(flag, "KAFKA_PASSWORD is set as well; which one is it?");
        }
        match fs::read_to_string(path) {
            Err(error) => self.wrong(flag, format!("{}: {error}", path.display())),
            Ok(text) => {
                // An editor ends the line.
                let line = text.strip_suffix('\n').unwrap_or(&text);
                let password = line.strip_suffix('\r').unwrap_or(line);
                if !password.is_empty() && !password.contains('\0') {
                    return Some(Secret::from(password.to_owned()));
                }
                self.wrong(flag, format!("{}: no password in it", path.display()));
            }
        }
        None
    }
}
