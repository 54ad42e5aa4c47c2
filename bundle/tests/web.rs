//! A list from the web: fetched, checked, and refused if it is another file.

use bundle::Bundle;
use campaign::Mistake;
use sha2::{Digest, Sha256};
use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    thread,
};

const LIST: &str = "Email\nann@example.com\n";

/// A server that answers one request with these bytes.
fn serve(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut request = [0; 4096];
        let _length = stream.read(&mut request).expect("a request");
        stream.write_all(answer.as_bytes()).expect("an answer");
    });
    format!("http://{address}/lists/offers.csv?version=2")
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn sha256(text: &str) -> String {
    let digits = Sha256::digest(text).into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect::<String>().to_uppercase()
}

async fn open(url: &str, sha256: &str) -> Result<Bundle, Vec<String>> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("campaign.yaml");
    let campaign = format!(
        "apiVersion: mailcampaign.io/v1alpha1\nkind: MailCampaign\nmetadata: {{name: offers}}\nspec:\n  recipients:\n    source: {{http: {{url: \
         '{url}', sha256: '{sha256}'}}}}\n  message: {{from: a@example.com, subject: Hi, text: {{inline: Hi}}}}\n  delivery: {{backends: [{{name: out, \
         maildir: {{path: out}}}}]}}\n"
    );
    fs::write(&file, campaign).expect("a file");
    Bundle::open(&file).await.map_err(|mistakes| mistakes.iter().map(Mistake::to_string).collect())
}

#[tokio::test]
async fn a_list_with_the_named_hash_is_taken() {
    let bundle = open(&serve(ok(LIST)), &sha256(LIST)).await.expect("no mistake");
    assert_eq!(fs::read_to_string(&bundle.list.path).expect("the list"), LIST);
    assert_eq!(bundle.list.display_name, "offers.csv");
    assert_eq!(bundle.hashes.list, sha256(LIST).to_lowercase());
    let path = bundle.list.path.clone();
    drop(bundle);
    assert!(!path.exists());
}

#[tokio::test]
async fn another_file_is_refused_with_its_hash() {
    let mistakes = open(&serve(ok("Email\neve@example.org\n")), &sha256(LIST)).await.expect_err("a mistake");
    assert!(mistakes[0].starts_with("spec.recipients.source.http.sha256: http://127.0.0.1:"), "{mistakes:?}");
    assert!(mistakes[0].contains(&sha256("Email\neve@example.org\n").to_lowercase()), "{mistakes:?}");
}

#[tokio::test]
async fn a_failing_server_is_told() {
    let url = serve("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned());
    let mistakes = open(&url, &sha256(LIST)).await.expect_err("a mistake");
    assert!(
        mistakes[0].starts_with("spec.recipients.source.http: can't be fetched") && mistakes[0].contains("404"),
        "{mistakes:?}"
    );
    let cut = serve("HTTP/1.1 200 OK\r\ncontent-length: 100\r\nconnection: close\r\n\r\nEmail".to_owned());
    assert!(open(&cut, &sha256(LIST)).await.expect_err("a mistake")[0].contains("can't be fetched"));
}

#[tokio::test]
async fn nothing_is_fetched_without_a_right_hash() {
    let mistakes = open("http://127.0.0.1:9/offers.csv", "abc").await.expect_err("a mistake");
    assert_eq!(mistakes.len(), 1);
    assert!(mistakes[0].starts_with("spec.recipients.source.http.sha256: write the SHA-256"), "{mistakes:?}");
}
