//! Logging in (RFC 4954).

use super::{
    Failure, Phase, Settings,
    connection::{Connection, failure},
    exchange::Heard,
    settings::{Credentials, Secret},
    wire::Broken,
};
use base64_simd::STANDARD;

/// Octets of a command line at most (RFC 5321 §4.5.3.1.4), with some room.
const MAX_COMMAND: usize = 500;

/// Logs in by the best mechanism that the server offers.
pub(super) async fn log_in(
    connection: &mut Connection,
    credentials: &Credentials,
    settings: &Settings,
) -> Result<(), Failure> {
    let Credentials { username, secret } = credentials;
    let failed = |broken| failure(Phase::Auth, broken, settings);
    let offers = |mechanism| connection.features.logs_in_by(mechanism);
    let heard = match secret {
        Secret::Token(token) if offers("XOAUTH2") => token_login(connection, username, token).await,
        Secret::Password(password) if offers("PLAIN") => plain(connection, username, password).await,
        Secret::Password(password) if offers("LOGIN") => login(connection, username, password).await,
        _ => {
            let wanted = if matches!(secret, Secret::Token(_)) { "XOAUTH2" } else { "PLAIN or LOGIN" };
            let offered = connection.features.auth.join(" ");
            let hint = if connection.wire.is_encrypted() { "" } else { ", perhaps because smtp.tls is None" };
            let text = if offered.is_empty() {
                format!("the server offers no AUTH{hint}; remove smtp.auth, or set smtp.tls")
            } else {
                format!("the server offers AUTH by {offered} only, not by {wanted}{hint}")
            };
            return Err(Failure::unsupported(Phase::Auth, "5.7.4", text));
        }
    };
    heard.map_err(failed)?.expect(235).map_err(failed)
}

/// RFC 4616.
async fn plain(connection: &mut Connection, username: &str, password: &str) -> Result<Heard, Broken> {
    let limit = connection.timeouts.command.0;
    let response = STANDARD.encode_to_string(format!("\0{username}\0{password}"));
    if response.len() < MAX_COMMAND {
        return connection.command(format!("AUTH PLAIN {response}\r\n").as_bytes(), limit).await;
    }
    match connection.command(b"AUTH PLAIN\r\n", limit).await? {
        Heard { code: 334, .. } => connection.command(format!("{response}\r\n").as_bytes(), limit).await,
        other => Ok(other),
    }
}

/// The old mechanism without a standard: name and password when asked for.
async fn login(connection: &mut Connection, username: &str, password: &str) -> Result<Heard, Broken> {
    let limit = connection.timeouts.command.0;
    let mut heard = connection.command(b"AUTH LOGIN\r\n", limit).await?;
    for response in [username, password] {
        if heard.code != 334 {
            break;
        }
        let line = format!("{}\r\n", STANDARD.encode_to_string(response));
        heard = connection.command(line.as_bytes(), limit).await?;
    }
    Ok(heard)
}

/// Google's and Microsoft's XOAUTH2.
async fn token_login(connection: &mut Connection, username: &str, token: &str) -> Result<Heard, Broken> {
    let limit = connection.timeouts.command.0;
    let response = STANDARD.encode_to_string(format!("user={username}\u{1}auth=Bearer {token}\u{1}\u{1}"));
    match connection.command(format!("AUTH XOAUTH2 {response}\r\n").as_bytes(), limit).await? {
        // An error in JSON, to be acknowledged before the server says no.
        Heard { code: 334, .. } => connection.command(b"\r\n", limit).await,
        other => Ok(other),
    }
}
