//! The flags of Kafka: their names, and what becomes of them.

use campaign::CampaignUid;
use clap::{Args, Command, FromArgMatches, Parser};
use program::{KafkaArgs, ListenArgs, LogArgs};
use std::ffi::OsString;

#[derive(Debug, Parser)]
#[command(name = "x")]
struct Program {
    #[command(flatten)]
    kafka: KafkaArgs,
    #[command(flatten)]
    listen: ListenArgs,
    #[command(flatten)]
    log: LogArgs,
}

fn parse(flags: &[&str]) -> KafkaArgs {
    let flags = std::iter::once("x").chain(flags.iter().copied());
    let matches = KafkaArgs::augment_args(Command::new("x")).get_matches_from(flags);
    KafkaArgs::from_arg_matches(&matches).expect("flags")
}

fn nothing(_: &str) -> Option<OsString> {
    None
}

#[test]
fn every_flag_has_a_variable_of_its_name() {
    let command = KafkaArgs::augment_args(Command::new("x"));
    let mut seen = 0;
    for flag in command.get_arguments() {
        let long = flag.get_long().expect("a name");
        let variable = flag.get_env().and_then(|name| name.to_str()).expect("a variable");
        let expected =
            if long == "kafka" { "KAFKA_BOOTSTRAP_SERVERS".to_owned() } else { long.to_uppercase().replace('-', "_") };
        assert_eq!(variable, expected);
        seen += 1;
    }
    assert_eq!(seen, 13);
}

#[test]
fn the_flags_of_kafka_stand_together_in_the_help_and_the_others_elsewhere() {
    let help = <Program as clap::CommandFactory>::command().render_long_help().to_string();
    let (others, kafka) = help.split_once("\nKafka:\n").expect("a heading");
    assert!(kafka.contains("--kafka-partitions") && !kafka.contains("--listen"), "{help}");
    assert!(others.contains("--listen") && others.contains("--log-format"), "{help}");
}

#[test]
fn no_flag_takes_a_password() {
    for flag in KafkaArgs::augment_args(Command::new("x")).get_arguments() {
        let name = flag.get_long().expect("a name");
        assert!(!name.contains("password") || name.ends_with("-file"), "{name}");
    }
}

#[test]
fn what_is_given_becomes_the_settings() {
    let flags = ["--kafka", "a:1,b:2", "--kafka-user", "alice", "--kafka-sasl-mechanism", "plain", "--kafka-tls"];
    let variable = |name: &str| (name == "KAFKA_PASSWORD").then(|| "hush".into());
    let args = parse(&flags);
    let settings = args.connection.settings_with(variable).expect("settings").expect("a Kafka");
    assert_eq!(settings.bootstrap, "a:1,b:2");
    for (key, value) in [
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "alice"),
        ("sasl.password", "hush"),
    ] {
        assert_eq!(settings.properties.get(key).map(String::as_str), Some(value), "{key}");
    }
    assert!(!format!("{settings:?} {args:?}").contains("hush"));
}

#[test]
fn every_mistake_is_told_at_once_as_bad_input() {
    let flags = ["--kafka", "a", "--kafka-user", "alice", "--kafka-ca", "/nowhere/ca.pem"];
    let failure = parse(&flags).connection.settings_with(nothing).expect_err("mistakes");
    assert_eq!(failure.code(), program::exit::BAD_INPUT);
    for says in ["--kafka: \"a\" has no port", "--kafka-user: has no password", "--kafka-ca: /nowhere/ca.pem: No such"]
    {
        assert!(failure.lines().iter().any(|line| line.starts_with(says)), "{failure}");
    }
    assert_eq!(failure.lines().len(), 3, "{failure}");
}

#[test]
fn the_journal_of_a_campaign_is_opened_with_what_is_given() {
    let uid = CampaignUid::alone("hr/offers", "list", "message", None);
    let options = parse(&["--kafka", "a:1"]).required("hr", "offers", uid).expect("options");
    assert_eq!((options.which.prefix.as_str(), options.partitions, options.replication), ("mailcampaign", 4, None));
    assert_eq!((options.which.namespace.as_str(), options.which.name.as_str()), ("hr", "offers"));
    let flags = ["--kafka=a:1", "--kafka-topic-prefix=post", "--kafka-partitions=12", "--kafka-replication=3"];
    let options = parse(&flags).required("hr", "offers", uid).expect("options");
    assert_eq!((options.which.prefix.as_str(), options.partitions, options.replication), ("post", 12, Some(3)));
}

#[test]
fn numbers_that_make_no_sense_are_refused() {
    for flag in ["--kafka-partitions=0", "--kafka-partitions=10001", "--kafka-replication=0", "--kafka-partitions=x"] {
        let command = KafkaArgs::augment_args(Command::new("x"));
        assert!(command.try_get_matches_from(["x", flag]).is_err(), "{flag}");
    }
}
