//! What was given, checked as a whole.

use journal::kafka::{Given, Secret, Settings};
use std::path::PathBuf;
use tempfile::TempDir;
use testkit::Authority;

const BROKER: &str = "127.0.0.1:9092";

fn given() -> Given {
    Given { bootstrap: Some(BROKER.to_owned()), ..Given::default() }
}

fn user(name: &str) -> Given {
    Given { user: Some(name.to_owned()), ..given() }
}

#[expect(clippy::unnecessary_wraps, reason = "the fields that it is for are optional")]
fn secret(text: &str) -> Option<Secret> {
    Some(Secret::from(text.to_owned()))
}

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(TempDir::new().expect("a folder"))
    }

    #[expect(clippy::unnecessary_wraps, reason = "the fields that it is for are optional")]
    fn put(&self, name: &str, contents: impl AsRef<[u8]>) -> Option<PathBuf> {
        let path = self.0.path().join(name);
        std::fs::write(&path, contents).expect("written");
        Some(path)
    }
}

fn good(given: &Given) -> Settings {
    Settings::check(given).expect("no mistakes").expect("a broker")
}

#[track_caller]
fn assert_mistakes(given: &Given, expected: &[&str]) {
    let mistakes = Settings::check(given).expect_err("mistakes");
    let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for part in expected {
        assert!(told.iter().any(|line| line.contains(part)), "{part:?} is not in {told:#?}");
    }
}

#[track_caller]
fn assert_set(settings: &Settings, expected: &[(&str, &str)]) {
    for (key, value) in expected {
        assert_eq!(settings.properties.get(*key).map(String::as_str), Some(*value), "{key}");
    }
}

#[test]
fn without_a_broker_there_are_no_settings() {
    assert!(Settings::check(&Given::default()).expect("no mistakes").is_none());
    assert!(Settings::check(&Given { tls: true, ..Given::default() }).expect("no mistakes").is_none());
}

#[test]
fn brokers_are_host_and_port() {
    let with = |list: &str| Given { bootstrap: Some(list.to_owned()), ..Given::default() };
    assert_eq!(good(&with("a.example.com:9092, [::1]:9093 ,b:1")).bootstrap, "a.example.com:9092,[::1]:9093,b:1");
    assert_mistakes(&with(""), &["--kafka: a broker is missing"]);
    assert_mistakes(&with("a:1,,b"), &["--kafka: a broker is missing", "--kafka: \"b\" has no port"]);
    assert_mistakes(&with("https://a:1"), &["is an address of something else"]);
    for list in ["a:0", "a:99999", "a:x", ":9092", "a b:1", "me@a:1"] {
        assert_mistakes(&with(list), &["is not HOST:PORT"]);
    }
    assert_mistakes(&with("::1"), &["has no port"]);
}

#[test]
fn what_is_given_decides_how_is_spoken() {
    let files = Files::new();
    let authority = Authority::new();
    let ca = files.put("ca", authority.pem());
    let password = secret("hush");
    let alice = Given { password: password.clone(), ..user("alice") };
    for (given, protocol) in [
        (given(), "PLAINTEXT"),
        (Given { tls: true, ..given() }, "SSL"),
        (Given { ca: ca.clone(), ..given() }, "SSL"),
        (alice.clone(), "SASL_PLAINTEXT"),
        (Given { ca, ..alice.clone() }, "SASL_SSL"),
    ] {
        assert_set(&good(&given), &[("security.protocol", protocol)]);
    }
    let login = [("sasl.mechanism", "SCRAM-SHA-512"), ("sasl.username", "alice"), ("sasl.password", "hush")];
    assert_set(&good(&alice), &login);
    let plain = Given { sasl_mechanism: Some("plain".to_owned()), ..alice };
    assert_set(&good(&plain), &[("sasl.mechanism", "PLAIN")]);
}

#[test]
fn a_password_file_may_end_with_a_line_end() {
    let files = Files::new();
    for contents in [" pass word ", " pass word \n", " pass word \r\n"] {
        let given = Given { password_file: files.put("password", contents), ..user("alice") };
        assert_set(&good(&given), &[("sasl.password", " pass word ")]);
    }
}

#[test]
fn a_login_that_is_not_whole_is_told() {
    let files = Files::new();
    let password_file = files.put("password", "hush");
    assert_mistakes(
        &user("alice"),
        &["--kafka-user: has no password: give --kafka-password-file, or set KAFKA_PASSWORD"],
    );
    assert_mistakes(&Given { password: secret("x"), ..given() }, &["KAFKA_PASSWORD: a password without a user"]);
    assert_mistakes(
        &Given { password_file: password_file.clone(), ..given() },
        &["--kafka-password-file: a password without a user"],
    );
    assert_mistakes(
        &Given { password: secret("x"), password_file, ..user("alice") },
        &["--kafka-password-file: KAFKA_PASSWORD is set as well"],
    );
    let missing = Given { password_file: Some(files.0.path().join("nothing")), ..user("alice") };
    assert_mistakes(&missing, &["nothing: No such file"]);
    let empty = Given { password_file: files.put("empty", "\n"), ..user("alice") };
    assert_mistakes(&empty, &["empty: no password in it"]);
    let unknown = Given { sasl_mechanism: Some("SCRAM-SHA512".to_owned()), password: secret("x"), ..user("alice") };
    assert_mistakes(&unknown, &["did you mean SCRAM-SHA-512?"]);
    let kerberos = Given { sasl_mechanism: Some("GSSAPI".to_owned()), password: secret("x"), ..user("alice") };
    assert_mistakes(&kerberos, &["--kafka-sasl-mechanism: \"GSSAPI\" is none of PLAIN, SCRAM-SHA-256"]);
    let nobody = Given { sasl_mechanism: Some("PLAIN".to_owned()), ..given() };
    assert_mistakes(&nobody, &["--kafka-user: is needed with PLAIN", "has no password"]);
}

#[test]
fn certificates_and_keys_are_looked_at_before_they_are_used() {
    let (files, authority, stranger) = (Files::new(), Authority::new(), Authority::new());
    let (cert, key) = authority.client_pem("alice");
    let (_, other_key) = stranger.client_pem("alice");
    let (ca, cert, key) = (files.put("ca", authority.pem()), files.put("cert", cert), files.put("key", key));
    assert_set(
        &good(&Given { ca: ca.clone(), cert: cert.clone(), key: key.clone(), ..given() }),
        &[("security.protocol", "SSL")],
    );
    assert_mistakes(
        &Given { cert: cert.clone(), ..given() },
        &["--kafka-cert: a certificate is of use with its key only"],
    );
    assert_mistakes(
        &Given { key: key.clone(), ..given() },
        &["--kafka-key: a key is of use with its certificate only"],
    );
    assert_mistakes(
        &Given { ca: key.clone(), cert: key.clone(), key: cert.clone(), ..given() },
        &["--kafka-ca: ", "--kafka-cert: ", "--kafka-key: "],
    );
    let nothing = Some(files.0.path().join("nothing"));
    assert_mistakes(&Given { ca: nothing, ..given() }, &["nothing: No such file"]);
    let broken = files.put("broken", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert_mistakes(&Given { ca: broken, ..given() }, &["--kafka-ca: "]);
    let other_key = files.put("other", other_key);
    assert_mistakes(&Given { cert: cert.clone(), key: other_key, ..given() }, &["--kafka-key: "]);
    let binary = files.put("binary", [0_u8, 159, 146, 150]);
    assert_mistakes(&Given { ca: binary, ..given() }, &["binary: no certificate in PEM"]);
    let encrypted =
        files.put("encrypted", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
    assert_mistakes(
        &Given { cert, key: encrypted, ..given() },
        &["encrypted: the key has a password; set KAFKA_KEY_PASSWORD"],
    );
}

#[test]
fn a_token_is_looked_at_before_it_is_used() {
    let files = Files::new();
    let oauth = Some("OAUTHBEARER".to_owned());
    assert_mistakes(&Given { sasl_mechanism: oauth, ..given() }, &["--kafka-oauth-token-file: is needed"]);
    let no_token = files.put("token", "hush");
    assert_mistakes(&Given { oauth_token_file: no_token.clone(), ..given() }, &["token: not a JSON Web Token"]);
    let both = Given { oauth_token_file: no_token.clone(), ..user("alice") };
    assert_mistakes(&both, &["--kafka-user: with OAUTHBEARER the token says", "not a JSON Web Token"]);
    let scram = Given {
        oauth_token_file: no_token,
        sasl_mechanism: Some("SCRAM-SHA-512".to_owned()),
        password: secret("x"),
        ..user("alice")
    };
    assert_mistakes(&scram, &["--kafka-oauth-token-file: a token is for OAUTHBEARER"]);
}

#[test]
fn a_file_of_settings_may_say_everything_and_flags_win() {
    let files = Files::new();
    let text = "bootstrap.servers=a:1\nsecurity.protocol=sasl_ssl\nsasl.mechanisms=PLAIN\nsasl.username=bob\nsasl.password=hush\nclient.id=mine\n";
    let file = Given { config: files.put("kafka.conf", text), ..Given::default() };
    let settings = good(&file);
    assert_eq!(settings.bootstrap, "a:1");
    let login = [
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "bob"),
        ("client.id", "mine"),
    ];
    assert_set(&settings, &login);
    let flags = Given { password: secret("x"), config: file.config.clone(), ..user("alice") };
    let settings = good(&flags);
    assert_eq!(settings.bootstrap, BROKER);
    assert_set(&settings, &[("sasl.username", "alice"), ("sasl.password", "x"), ("security.protocol", "SASL_SSL")]);
    let bad = Given { config: files.put("bad.conf", "group.id=x\nhush"), ..given() };
    assert_mistakes(&bad, &["bad.conf: line 1: group.id is this program's", "bad.conf: line 2: expected key=value"]);
    let missing = Given { config: Some(files.0.path().join("nothing")), ..given() };
    assert_mistakes(&missing, &["nothing: No such file"]);
}

#[test]
fn no_secret_is_shown() {
    let files = Files::new();
    let config = files.put("kafka.conf", "ssl.key.password=hush3\n");
    let given = Given { password: secret("hush1"), key_password: secret("hush2"), config, ..user("alice") };
    let shown = format!("{:?} {given:?}", good(&given));
    assert!(shown.contains(BROKER) && shown.contains("alice") && !shown.contains("hush"), "{shown}");
}
