//! What Kafka's errors mean to the people who run this. librdkafka says little when a call fails ("timed out"); why it did, it tells beside the calls.

mod trouble;

pub(super) use trouble::{Kind, Trouble};

use super::Shared;
use super::settings::{Settings, is_secret};
use crate::Error;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What was heard explains calls that fail within this time. The library repeats itself only every 30 s.
const EXPLAINS: Duration = Duration::from_mins(1);

/// What the clients of a cluster heard beside their calls.
#[derive(Debug, Default)]
pub(super) struct Heard(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    last: Option<(Instant, Trouble)>,
    /// A broker has done what it was asked to: settings and rights to connect are good.
    reached: bool,
}

impl Heard {
    /// A client was told of an error.
    fn note(&self, code: Option<Code>, reason: &str) {
        if let Some(trouble) = Trouble::of(code, reason) {
            let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // While somebody is asked by several names, what is more telling stays: a wrong password says more than a refused connection.
            let stays = memory
                .last
                .as_ref()
                .is_some_and(|(at, last)| at.elapsed() < EXPLAINS && last.is_lasting() && !trouble.is_lasting());
            if !stays {
                memory.last = Some((Instant::now(), trouble));
            }
        }
    }

    /// A call succeeded.
    pub(super) fn reached(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Memory { last: None, reached: true };
    }

    /// What was heard is past; nothing succeeded.
    pub(super) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).last = None;
    }

    /// The last trouble, if it is not too long ago.
    pub(super) fn last(&self) -> Option<Trouble> {
        let memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        memory.last.as_ref().filter(|(at, _)| at.elapsed() < EXPLAINS).map(|(_, trouble)| trouble.clone())
    }

    fn was_reached(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).reached
    }
}

/// An error of the client library as one of ours, as far as its code tells.
pub(super) fn failed(during: &'static str, error: KafkaError) -> Error {
    failed_on(during, "", error)
}

/// The same; `thing` is the topic, group or id that the call was about, or empty.
pub(super) fn failed_on(during: &'static str, thing: &str, error: KafkaError) -> Error {
    if let KafkaError::ClientConfig(_, why, key, _) = &error {
        // The error shows the value, which may be a password.
        let why = if is_secret(key) { "it can't be set to that" } else { why.as_str() };
        return Error::Unsuitable { why: format!("the setting {key}: {why}") };
    }
    if let KafkaError::ClientCreation(why) = &error {
        return Error::Unsuitable { why: format!("the settings can't be used: {why}") };
    }
    match code_of(&error).and_then(right) {
        Some((kind, right)) => {
            let on = if thing.is_empty() { kind.to_owned() } else { format!("{kind} {thing}") };
            Error::Denied { what: format!("{during}: the user lacks the right to {right} on {on}") }
        }
        None => match code_of(&error) {
            Some(Code::UnsupportedFeature | Code::UnsupportedVersion) => Error::Unsuitable {
                why: format!("{during}: the broker is too old ({error}); Apache Kafka 2.5 or later is needed"),
            },
            Some(Code::SaslAuthenticationFailed | Code::Authentication) => {
                Error::Denied { what: format!("{during}: the login was refused; check the user and the password") }
            }
            _ => Error::Kafka { during, source: Box::new(error) },
        },
    }
}

/// The code of an error; the library's own function forgets those of the administrator.
fn code_of(error: &KafkaError) -> Option<Code> {
    match error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    }
}

/// What a refusal is about, and the rights that it takes (`kafka-acls.sh --operation`).
fn right(code: Code) -> Option<(&'static str, &'static str)> {
    Some(match code {
        Code::TopicAuthorizationFailed => ("the topic", "Read, Write, Create, Describe or DescribeConfigs"),
        Code::GroupAuthorizationFailed => ("the group", "Read or Describe"),
        Code::TransactionalIdAuthorizationFailed => ("the transactional id", "Write or Describe"),
        Code::ClusterAuthorizationFailed => ("the cluster", "Create or IdempotentWrite"),
        _ => return None,
    })
}

/// Whether the user lacks a right.
pub(super) fn is_denied(error: &KafkaError) -> bool {
    code_of(error).and_then(right).is_some()
}

/// Whether the code says no more than that nobody answered.
fn is_silence(code: Code) -> bool {
    matches!(
        code,
        Code::AllBrokersDown
            | Code::BrokerTransportFailure
            | Code::MessageTimedOut
            | Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::Resolve
            | Code::SSL
            | Code::Authentication
            | Code::SaslAuthenticationFailed
    )
}

/// The error of a call, explained by what was heard around it.
pub(super) fn explain(settings: &Settings, during: &'static str, error: KafkaError) -> Error {
    if !code_of(&error).is_some_and(is_silence) {
        return failed(during, error);
    }
    match settings.heard().last() {
        Some(trouble) => blame(settings, &trouble),
        None => match code_of(&error) {
            Some(Code::Authentication | Code::SaslAuthenticationFailed) => failed(during, error),
            _ => Error::Unreachable {
                brokers: settings.bootstrap.clone(),
                why: format!("no answer while {during} ({error})"),
            },
        },
    }
}

/// A trouble as an error. What a person has to mend is no matter of trying again, unless it has worked before: then a broker is on its way up or down.
pub(super) fn blame(settings: &Settings, trouble: &Trouble) -> Error {
    let was_reached = settings.heard().was_reached();
    let why = if was_reached { trouble.clone().without_guess().to_string() } else { trouble.to_string() };
    if !trouble.is_lasting() || was_reached {
        return Error::Unreachable { brokers: settings.bootstrap.clone(), why };
    }
    if trouble.is_refusal() { Error::Denied { what: why } } else { Error::Unsuitable { why } }
}

/// The same for a call about a topic or a group, whose name is told if a right is missing.
pub(super) fn explain_on(settings: &Settings, during: &'static str, thing: &str, error: KafkaError) -> Error {
    if is_denied(&error) { failed_on(during, thing, error) } else { explain(settings, during, error) }
}

impl Shared {
    /// The error of a call, explained by what the clients of this journal heard around it.
    pub(super) fn explain(&self, during: &'static str, error: KafkaError) -> Error {
        match code_of(&error) {
            // Which of its topics, the code doesn't tell; the rights are given for all of them.
            Some(Code::TopicAuthorizationFailed) => failed_on(during, &format!("{}.*", self.names.group), error),
            Some(Code::GroupAuthorizationFailed) => failed_on(during, &self.names.group, error),
            _ => explain(&self.settings, during, error),
        }
    }
}

/// Notes an error that a client hears of beside its calls.
pub(super) fn note(error: &KafkaError, reason: &str, heard: &Heard) {
    if matches!(error.rdkafka_error_code(), Some(Code::PartitionEOF)) {
        return;
    }
    heard.note(code_of(error), reason);
    tracing::debug!(%error, reason, "Kafka");
}

/// A line of the client library's log.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str, heard: &Heard) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(target: "librdkafka", facility, message);
        }
        _ => tracing::debug!(target: "librdkafka", facility, message),
    }
    // Connections that the broker closes are told here only.
    if facility == "FAIL" {
        heard.note(None, message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::types::RDKafkaConfRes;

    const REFUSED: &str = "a:1/1: Connect to ipv4#127.0.0.1:1 failed: Connection refused";
    const LOGIN: &str = "a:1/1: SASL authentication error: Authentication failed";

    fn hears(settings: &Settings, code: Code, reason: &str) {
        note(&KafkaError::Global(code), reason, settings.heard());
    }

    fn times_out(settings: &Settings) -> Error {
        explain(settings, "reading", KafkaError::MetadataFetch(Code::OperationTimedOut))
    }

    #[test]
    fn a_call_that_got_no_answer_is_explained_by_what_was_heard() {
        let settings = Settings::plaintext("a:1");
        assert!(
            matches!(times_out(&settings), Error::Unreachable { why, .. } if why.contains("no answer while reading"))
        );
        hears(&settings, Code::BrokerTransportFailure, REFUSED);
        // What another client of the same cluster heard counts as well.
        assert!(matches!(times_out(&settings.clone()), Error::Unreachable { why, .. } if why.contains("a:1 refused")));
        hears(&settings, Code::Authentication, LOGIN);
        // A refused connection to the next one does not hide the wrong password.
        hears(&settings, Code::BrokerTransportFailure, REFUSED);
        assert!(matches!(times_out(&settings), Error::Denied { what } if what.contains("a:1 refused the login")));
        settings.heard().forget();
        assert!(matches!(times_out(&settings), Error::Unreachable { why, .. } if why.contains("no answer")));
    }

    #[test]
    fn what_has_worked_once_is_tried_again() {
        let settings = Settings::plaintext("a:1");
        settings.heard().reached();
        hears(&settings, Code::Authentication, LOGIN);
        assert!(times_out(&settings).is_transient());
        hears(&settings, Code::BrokerTransportFailure, "a:1/1: Disconnected (after 1ms in state UP)");
        settings.heard().reached();
        hears(&settings, Code::BrokerTransportFailure, "a:1/1: Disconnected (after 1ms in state UP)");
        assert!(matches!(times_out(&settings), Error::Unreachable { why, .. } if why == "a:1 closed the connection"));
    }

    #[test]
    fn other_errors_are_not_explained_away() {
        let settings = Settings::plaintext("a:1");
        hears(&settings, Code::BrokerTransportFailure, REFUSED);
        let error = explain(&settings, "reading", KafkaError::MetadataFetch(Code::InvalidTopic));
        assert!(matches!(error, Error::Kafka { during: "reading", .. }), "{error}");
    }

    #[test]
    fn a_right_that_is_missing_is_named() {
        for (code, thing) in [
            (Code::TopicAuthorizationFailed, "the topic x"),
            (Code::GroupAuthorizationFailed, "the group x"),
            (Code::TransactionalIdAuthorizationFailed, "the transactional id x"),
            (Code::ClusterAuthorizationFailed, "the cluster x"),
        ] {
            let error = failed_on("writing", "x", KafkaError::AdminOp(code));
            assert!(matches!(error, Error::Denied { .. }) && error.to_string().ends_with(thing), "{error}");
        }
    }

    #[test]
    fn a_broker_that_lacks_something_is_too_old() {
        let error = failed("writing", KafkaError::Global(Code::UnsupportedFeature));
        assert!(matches!(&error, Error::Unsuitable { why } if why.contains("2.5 or later")), "{error}");
    }

    #[test]
    fn a_setting_that_fails_does_not_show_its_value() {
        let invalid = |key: &str| {
            let why = "Invalid value \"hush\"".to_owned();
            KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_INVALID, why, key.to_owned(), "hush".to_owned())
        };
        let error = failed("connecting", invalid("sasl.password"));
        assert!(
            error.to_string().contains("sasl.password") && !format!("{error} {error:?}").contains("hush"),
            "{error:?}"
        );
        assert!(failed("connecting", invalid("linger.ms")).to_string().contains("Invalid value"));
    }
}
