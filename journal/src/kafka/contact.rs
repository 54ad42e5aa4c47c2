//! The first contact with a cluster: what is wrong with the settings or the brokers is said within seconds, before anything is begun.

mod abilities;
mod certificate;

use super::clients::Ears;
use super::errors::{Kind, Trouble, blame, explain, failed};
use super::settings::Settings;
use crate::Error;
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A cluster that has not answered by then does not.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long each question waits, before it is looked at what was heard.
const SLICE: Duration = Duration::from_millis(200);
/// How long is listened after each.
const MOMENT: Duration = Duration::from_millis(10);
/// What may pass is looked at a second time after this.
const AGAIN: Duration = Duration::from_millis(500);

/// Asks the cluster who it is, and what it can do. Blocks, for 10 s at most; what fails for good fails at once.
///
/// # Errors
/// [`Error::Unreachable`] (refused, no route, no answer, name not known), [`Error::Denied`] (login, client certificate), [`Error::Unsuitable`] (TLS, mechanism,
/// a broker that is too old): each with what to do.
pub(super) fn first_contact(settings: &Settings) -> Result<(), Error> {
    let begun = Instant::now();
    let mut suspected = None;
    loop {
        match attempt(settings, begun) {
            Ok(()) => return Ok(()),
            Err(Failed::For(error)) => return Err(error),
            // A broker that is about to stop closes connections as well.
            Err(Failed::By(trouble)) if trouble.is_guess() && suspected.as_ref() != Some(&trouble) => {
                settings.heard().forget();
                std::thread::sleep(AGAIN);
                suspected = Some(trouble);
            }
            Err(Failed::By(trouble)) => return Err(blame(settings, &diagnosed(settings, trouble))),
        }
    }
}

/// Why an attempt failed.
enum Failed {
    /// This is the error.
    For(Error),
    /// By this trouble with a broker.
    By(Trouble),
}

fn attempt(settings: &Settings, begun: Instant) -> Result<(), Failed> {
    let prober = prober(settings).map_err(Failed::For)?;
    loop {
        // About one topic, which need not exist: a cluster may have many.
        let asked = prober.fetch_metadata(Some("mailcampaign"), SLICE);
        listen(&prober);
        let heard = settings.heard().last();
        match (asked, heard) {
            (Ok(_), _) => break,
            (Err(_), Some(trouble)) if trouble.is_lasting() || prober.context().ears.is_cut_off() => {
                return Err(Failed::By(trouble));
            }
            (Err(_), _) if begun.elapsed() < PATIENCE => {}
            (Err(_), Some(trouble)) => return Err(Failed::By(trouble)),
            (Err(error), None) => return Err(Failed::For(unanswered(settings, error))),
        }
    }
    let versions = prober.context().versions.lock().unwrap_or_else(PoisonError::into_inner);
    abilities::suffice(&versions).map_err(Failed::For)?;
    prober.context().ears.reached();
    Ok(())
}

fn prober(settings: &Settings) -> Result<BaseConsumer<Probe>, Error> {
    let mut config = settings.client();
    config
        .set("allow.auto.create.topics", "false")
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "500")
        // The library tells only in its log what versions the brokers speak, and why they close connections.
        .set("debug", "feature")
        .set_log_level(RDKafkaLogLevel::Debug);
    let context = Probe { ears: settings.ears(), versions: Mutex::default() };
    config.create_with_context(context).map_err(|error| failed("connecting to Kafka", error))
}

/// Takes what the client has heard; also lets it ask for a token.
fn listen(prober: &BaseConsumer<Probe>) {
    // Each event is handed to the context; errors come back as well. Without any time to wait, a poll takes a single event.
    while prober.poll(MOMENT).is_some() {}
}

fn unanswered(settings: &Settings, error: KafkaError) -> Error {
    match error.rdkafka_error_code() {
        Some(Code::OperationTimedOut | Code::BrokerTransportFailure | Code::AllBrokersDown) => Error::Unreachable {
            brokers: settings.bootstrap.clone(),
            why: format!(
                "no answer within {} s: is the address right, and is it Kafka? Is there a firewall between?",
                PATIENCE.as_secs()
            ),
        },
        _ => explain(settings, "connecting to Kafka", error),
    }
}

/// A certificate that is not trusted: why not.
fn diagnosed(settings: &Settings, trouble: Trouble) -> Trouble {
    match trouble.kind {
        Kind::Certificate(None) => {
            let ca = settings.properties.get("ssl.ca.location").map(std::path::Path::new);
            let why = certificate::fault(&trouble.broker, ca);
            Trouble { kind: Kind::Certificate(why), ..trouble }
        }
        _ => trouble,
    }
}

/// Hears what any client hears, and notes what the brokers say that they can do.
struct Probe {
    ears: Ears,
    /// By the number of a request (`ApiKey`): the highest version that a broker speaks.
    versions: Mutex<abilities::Versions>,
}

impl ClientContext for Probe {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "APIVERSION" {
            abilities::note(&mut self.versions.lock().unwrap_or_else(PoisonError::into_inner), message);
        } else {
            self.ears.log(level, facility, message);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.ears.error(error, reason);
    }

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.ears.generate_oauth_token(config)
    }
}

impl ConsumerContext for Probe {}
