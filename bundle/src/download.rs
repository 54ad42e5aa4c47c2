//! A list from the web: fetched to a temporary file, and refused unless it is the file that the campaign names.

use crate::{
    hashes::hex,
    list::{ListFile, new_temporary},
};
use campaign::Mistake;
use sha2::{Digest, Sha256};
use std::{io::Write, time::Duration};

const FIELD: &str = "spec.recipients.source.http";
/// A list longer than this is refused: the server sends something else, or forever.
const MAX_BYTES: u64 = 4 << 30;
/// To connect, TLS included.
const CONNECT: Duration = Duration::from_secs(15);
/// Without a byte.
const SILENCE: Duration = Duration::from_secs(30);

/// Fetches a list by HTTP.
///
/// # Errors
/// The server can't be reached, doesn't answer 2xx or falls silent; the file is too long or not the one with this SHA-256.
pub(crate) async fn fetch(url: &str, sha256: &str) -> Result<ListFile, Mistake> {
    // Another part of the program may have installed it already; whichever came first serves.
    drop(rustls::crypto::ring::default_provider().install_default());
    let wrong = |message: String| Mistake::new(FIELD, message);
    let client = reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE)
        .build()
        .map_err(|error| wrong(format!("can't be fetched: {error}")))?;
    let unreachable = |error: reqwest::Error| wrong(format!("can't be fetched: {}", with_causes(&error)));
    let mut response =
        client.get(url).send().await.and_then(reqwest::Response::error_for_status).map_err(unreachable)?;
    let name = display_name(url);
    let unwritable = |error: std::io::Error| wrong(format!("can't be written to a temporary file: {error}"));
    let mut file = new_temporary(&name).map_err(unwritable)?;
    let (mut hash, mut length) = (Sha256::new(), 0);
    while let Some(block) = response.chunk().await.map_err(unreachable)? {
        length += block.len() as u64;
        if length > MAX_BYTES {
            return Err(wrong(format!("is longer than {} GiB, which no list is", MAX_BYTES >> 30)));
        }
        hash.update(&block);
        file.write_all(&block).map_err(unwritable)?;
    }
    let found = hex(&hash.finalize());
    if !found.eq_ignore_ascii_case(sha256) {
        let message = format!(
            "{url} is not the file that was named: its SHA-256 is {found}; check the file, then write this hash"
        );
        return Err(Mistake::new(format!("{FIELD}.sha256"), message));
    }
    Ok(ListFile::from_temporary(file, &name, Some(found)))
}

/// The end of the address's path.
fn display_name(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("list").to_owned()
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
