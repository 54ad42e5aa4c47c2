//! Why a broker could not be talked to, told from librdkafka's sentences. They are the only place where it says so; the tests hold them against real ones.

use rdkafka::error::RDKafkaErrorCode as Code;
use std::fmt;

/// Why a broker could not be talked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::kafka) struct Trouble {
    /// `host:port`.
    pub(in crate::kafka) broker: String,
    pub(in crate::kafka) kind: Kind,
}

/// What is the matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::kafka) enum Kind {
    Refused,
    NoRoute,
    Unanswered,
    UnknownName,
    /// The broker's certificate is not trusted; why, if it is known.
    Certificate(Option<String>),
    SpeaksNoTls,
    WantsTls,
    WantsCertificate,
    WantsLogin,
    Login,
    /// What the broker offers instead.
    Mechanism(String),
    /// The token can't be had: why.
    Token(String),
    Disconnected,
}

impl Trouble {
    /// What a sentence of librdkafka tells; nothing if it is about something else.
    pub(in crate::kafka) fn of(code: Option<Code>, reason: &str) -> Option<Self> {
        let (scheme, broker, sentence) = place(reason);
        let kind = kind(code, scheme, sentence)?;
        Some(Self { broker: broker.to_owned(), kind })
    }

    /// Whether it stays until somebody changes a setting, here or at the broker.
    pub(in crate::kafka) fn is_lasting(&self) -> bool {
        !matches!(self.kind, Kind::Refused | Kind::NoRoute | Kind::Unanswered | Kind::UnknownName | Kind::Disconnected)
    }

    /// Whether it was concluded from a closed connection, which may have other causes.
    pub(in crate::kafka) fn is_guess(&self) -> bool {
        matches!(self.kind, Kind::SpeaksNoTls | Kind::WantsTls | Kind::WantsLogin)
    }

    /// No more than what was seen.
    pub(in crate::kafka) fn without_guess(self) -> Self {
        if self.is_guess() { Self { kind: Kind::Disconnected, ..self } } else { self }
    }

    /// Whether the broker knows what we want and says no.
    pub(in crate::kafka) fn is_refusal(&self) -> bool {
        matches!(self.kind, Kind::Login | Kind::WantsCertificate)
    }
}

fn kind(code: Option<Code>, scheme: &str, sentence: &str) -> Option<Kind> {
    let says = |part: &str| sentence.contains(part);
    Some(if says("Failed to acquire SASL OAUTHBEARER token") {
        Kind::Token(sentence.split_once("token: ").map_or(sentence, |(_, why)| why).to_owned())
    } else if says("mechanism handshake failed") {
        let offered = sentence.split_once("supported mechanisms: ").map_or("", |(_, offered)| offered);
        Kind::Mechanism(without_extra(offered).to_owned())
    } else if code == Some(Code::Authentication) || says("SASL authentication error") {
        Kind::Login
    } else if says("certificate verify failed") || says("Failed to verify broker certificate") {
        Kind::Certificate(None)
    } else if ["alert bad certificate", "alert certificate", "alert unknown ca", "client SSL authentication might"]
        .into_iter()
        .any(says)
    {
        Kind::WantsCertificate
    } else if says("PLAINTEXT broker listener?") || says("wrong version number") || says("packet length too long") {
        Kind::SpeaksNoTls
    } else if says("Disconnected") && says("in state APIVERSION_QUERY") && !scheme.ends_with("ssl") {
        // The very first request: to a listener with TLS it is garbage.
        Kind::WantsTls
    } else if says("Disconnected") && says("in state UP") && !scheme.starts_with("sasl") && is_at_once(sentence) {
        // The first request after the question for the versions, which needs no login.
        Kind::WantsLogin
    } else if code == Some(Code::Resolve) || says("Failed to resolve") {
        Kind::UnknownName
    } else if says("Connection refused") {
        Kind::Refused
    } else if says("unreachable") || says("No route to host") {
        Kind::NoRoute
    } else if says("Connection setup timed out") || says("Connection timed out") {
        Kind::Unanswered
    } else if says("Disconnected") || says("Connection reset") || says("Broken pipe") {
        Kind::Disconnected
    } else {
        return None;
    })
}

/// Whether it happened within 2 s, as librdkafka counts: `(after 12ms in state UP)`.
fn is_at_once(sentence: &str) -> bool {
    let after = sentence.rsplit_once("(after ").and_then(|(_, told)| told.split_once("ms"));
    after.and_then(|(millis, _)| millis.parse::<u32>().ok()).is_some_and(|millis| millis < 2_000)
}

/// The protocol, the broker, and what is said about it: `[thrd:…]: ssl://host:9093/bootstrap: What happened (after 1ms in state CONNECT)`.
fn place(reason: &str) -> (&str, &str, &str) {
    let told = reason.strip_prefix('[').and_then(|told| told.split_once("]: ")).map_or(reason, |(_, told)| told);
    // A coordinator's connection has a name of its own before the broker's.
    let told = match told.split_once(": ") {
        Some((role, rest)) if role.contains("Coordinator") => rest,
        _ => told,
    };
    let nobody = ("", "the broker", told);
    let Some((name, sentence)) = told.split_once(": ") else { return nobody };
    let (scheme, name) = name.split_once("://").unwrap_or(("", name));
    let name = name.rsplit_once('/').map_or(name, |(name, _)| name);
    let is_broker = name.contains(':') && !name.contains(' ');
    if is_broker { (scheme, name, sentence) } else { nobody }
}

/// Without librdkafka's ` (after 1ms in state …)`.
fn without_extra(text: &str) -> &str {
    text.split_once(" (after").map_or(text, |(text, _)| text)
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let broker = &self.broker;
        match &self.kind {
            Kind::Refused => write!(
                f,
                "{broker} refused the connection: no broker listens there (is it running? is the port right?)"
            ),
            Kind::NoRoute => write!(f, "there is no route to {broker}: check --kafka and this machine's network"),
            Kind::Unanswered => {
                write!(f, "{broker} does not answer: is the address right, or is there a firewall between?")
            }
            Kind::UnknownName => {
                write!(f, "the name of {broker} is not known: check --kafka and the name service (DNS)")
            }
            Kind::Certificate(None) => {
                write!(f, "TLS: the certificate of {broker} can't be verified: check --kafka-ca")
            }
            Kind::Certificate(Some(why)) => write!(f, "TLS: the certificate of {broker} {why}"),
            Kind::SpeaksNoTls => write!(
                f,
                "TLS: {broker} speaks no TLS on that port: take another port, or no --kafka-tls, --kafka-ca, --kafka-cert"
            ),
            Kind::WantsTls => write!(
                f,
                "{broker} closed the connection at the first request: it wants TLS; give --kafka-tls or --kafka-ca (or it is older than Kafka 2.5)"
            ),
            Kind::WantsCertificate => write!(
                f,
                "TLS: {broker} did not accept this client: give a certificate that it trusts with --kafka-cert and --kafka-key"
            ),
            Kind::WantsLogin => write!(
                f,
                "{broker} closed the connection: it wants a login; give --kafka-user and --kafka-sasl-mechanism"
            ),
            Kind::Login => {
                write!(f, "{broker} refused the login: check --kafka-user, its password and --kafka-sasl-mechanism")
            }
            Kind::Mechanism(offered) => write!(
                f,
                "{broker} does not offer that SASL mechanism; it offers {offered}: set --kafka-sasl-mechanism"
            ),
            Kind::Token(why) => write!(f, "--kafka-oauth-token-file: {why}"),
            Kind::Disconnected => write!(f, "{broker} closed the connection"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(code: Code, reason: &str) -> Option<(String, Kind)> {
        Trouble::of(Some(code), reason).map(|trouble| (trouble.broker, trouble.kind))
    }

    #[test]
    fn librdkafkas_sentences_are_told_apart() {
        use Code::{Authentication, BrokerTransportFailure as Transport, Resolve, SSL};
        let mechanism = "SASL PLAIN mechanism handshake failed: Broker: Unsupported SASL mechanism: broker's supported mechanisms: SCRAM-SHA-512,OAUTHBEARER (after 1ms in state AUTH_HANDSHAKE)";
        let token = "Failed to acquire SASL OAUTHBEARER token: /run/token: No such file";
        for (code, sentence, kind) in [
            (
                Transport,
                "Connect to ipv4#192.0.2.1:9092 failed: Connection refused (after 0ms in state CONNECT)",
                Kind::Refused,
            ),
            (
                Transport,
                "Connect to ipv4#192.0.2.1:9092 failed: No route to host (after 5ms in state CONNECT)",
                Kind::NoRoute,
            ),
            (Transport, "Connect to ipv6#[2001:db8::1]:9092 failed: Network is unreachable", Kind::NoRoute),
            (
                Transport,
                "Connection setup timed out in state CONNECT (after 30028ms in state CONNECT)",
                Kind::Unanswered,
            ),
            (Resolve, "Failed to resolve 'a.example.com:9092': Name or service not known", Kind::UnknownName),
            (
                SSL,
                "SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker certificate …",
                Kind::Certificate(None),
            ),
            (SSL, "SSL handshake failed: error:0A00010B:SSL routines::wrong version number", Kind::SpeaksNoTls),
            (
                Transport,
                "SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener?",
                Kind::SpeaksNoTls,
            ),
            (
                Transport,
                "Receive failed: error:0A000412:SSL routines::ssl/tls alert bad certificate: SSL alert number 42",
                Kind::WantsCertificate,
            ),
            (
                Transport,
                "Receive failed: error:0A00045C:SSL routines::tlsv13 alert certificate required",
                Kind::WantsCertificate,
            ),
            (
                Authentication,
                "SASL authentication error: Authentication failed (after 5ms in state AUTH_REQ)",
                Kind::Login,
            ),
            (Authentication, mechanism, Kind::Mechanism("SCRAM-SHA-512,OAUTHBEARER".to_owned())),
            (Authentication, token, Kind::Token("/run/token: No such file".to_owned())),
            (
                Transport,
                "Disconnected: connection closed by peer (after 3ms in state APIVERSION_QUERY)",
                Kind::WantsTls,
            ),
            (Transport, "Disconnected: connection closed by peer (after 3ms in state UP)", Kind::WantsLogin),
            (Transport, "Disconnected: connection closed by peer (after 300000ms in state UP)", Kind::Disconnected),
            (Transport, "Receive failed: Connection reset by peer (after 300000ms in state UP)", Kind::Disconnected),
        ] {
            let expected = Some(("kafka.example.com:9092".to_owned(), kind));
            assert_eq!(told(code, &format!("kafka.example.com:9092/bootstrap: {sentence}")), expected, "{sentence}");
        }
        assert_eq!(told(Code::AllBrokersDown, "1/1 brokers are down"), None);
        assert_eq!(told(Code::QueueFull, "kafka.example.com:9092/1: whatever"), None);
    }

    #[test]
    fn a_closed_connection_means_less_where_tls_and_a_login_are_spoken() {
        for (reason, kind) in [
            ("sasl_ssl://a:1/2: Disconnected (after 1ms in state APIVERSION_QUERY)", Kind::Disconnected),
            ("sasl_plaintext://a:1/2: Disconnected (after 1ms in state APIVERSION_QUERY)", Kind::WantsTls),
            ("sasl_plaintext://a:1/2: Disconnected (after 1ms in state UP)", Kind::Disconnected),
            ("ssl://a:1/2: Disconnected (after 1ms in state UP)", Kind::WantsLogin),
        ] {
            assert_eq!(told(Code::BrokerTransportFailure, reason), Some(("a:1".to_owned(), kind)), "{reason}");
        }
    }

    #[test]
    fn the_broker_is_found_in_every_kind_of_sentence() {
        let refused = "Connect to ipv4#127.0.0.1:1 failed: Connection refused";
        for (before, broker) in [
            ("a.example.com:9092/bootstrap: ", "a.example.com:9092"),
            ("ssl://[::1]:9092/3: ", "[::1]:9092"),
            ("[thrd:sasl_ssl://a:1/bootstrap]: sasl_ssl://a:1/bootstrap: ", "a:1"),
            ("GroupCoordinator: a:1: ", "a:1"),
            ("[thrd:TxnCoordinator]: TxnCoordinator: a:1: ", "a:1"),
            ("", "the broker"),
        ] {
            let found = told(Code::BrokerTransportFailure, &format!("{before}{refused}"));
            assert_eq!(found, Some((broker.to_owned(), Kind::Refused)), "{before}");
        }
    }
}
