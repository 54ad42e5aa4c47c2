//! A file with an OAuth bearer token, which somebody else keeps fresh.

use rdkafka::client::OAuthToken;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// A file with an OAuth bearer token (a JWT, RFC 7519), read anew each time librdkafka wants one: when four fifths of its life are over.
#[derive(Debug)]
pub(in crate::kafka) struct TokenFile {
    path: PathBuf,
}

/// What is needed of the token's claims. The signature is the broker's business.
#[derive(Deserialize)]
struct Claims {
    /// Seconds since 1970; RFC 7519 allows fractions.
    exp: f64,
    sub: String,
}

impl TokenFile {
    /// The file at this path; nothing is read yet.
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// The token as it is in the file now.
    ///
    /// # Errors
    /// If it can't be read, is no JWT with `exp` and `sub`, or has expired: with the file's name, and nothing of the token.
    pub(in crate::kafka) fn read(&self) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.read_at(jiff::Timestamp::now()).map_err(Into::into)
    }

    fn read_at(&self, now: jiff::Timestamp) -> Result<OAuthToken, String> {
        let wrong = |why: String| format!("{}: {why}", self.path.display());
        let text = std::fs::read_to_string(&self.path).map_err(|error| wrong(error.to_string()))?;
        let token = text.trim();
        let claims = claims(token).map_err(|why| wrong(why.to_owned()))?;
        let expires = jiff::SignedDuration::try_from_secs_f64(claims.exp)
            .ok()
            .and_then(|since| jiff::Timestamp::from_duration(since).ok())
            .ok_or_else(|| wrong("its `exp` is no time".to_owned()))?;
        if expires <= now {
            return Err(wrong(format!("the token expired at {expires:.0}; it must be renewed")));
        }
        Ok(OAuthToken { token: token.to_owned(), principal_name: claims.sub, lifetime_ms: expires.as_millisecond() })
    }
}

/// The payload of a JWT: the second of three parts.
fn claims(token: &str) -> Result<Claims, &'static str> {
    let not_one = "not a JSON Web Token (three parts with dots between)";
    let mut parts = token.split('.');
    let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(not_one);
    };
    let payload = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(payload.trim_end_matches('=')).map_err(|_| not_one)?;
    // serde's own message could quote the token.
    serde_json::from_slice(&payload).map_err(|_| "the token lacks `exp` (a number) or `sub` (a text)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn token(payload: &str) -> String {
        let part = |text: &str| base64_simd::URL_SAFE_NO_PAD.encode_to_string(text);
        format!("{}.{}.{}", part(r#"{"alg":"none"}"#), part(payload), part("signature"))
    }

    fn read(contents: &str) -> Result<OAuthToken, String> {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("token");
        std::fs::write(&path, contents).expect("written");
        TokenFile::new(&path).read_at(jiff::Timestamp::from_second(1_000).expect("a time"))
    }

    #[test]
    fn a_token_says_whose_it_is_and_when_it_ends() {
        let text = token(r#"{"sub":"mailer","exp":2000.5,"scope":"kafka"}"#);
        let found = read(&format!("{text}\n")).expect("a token");
        assert_eq!((found.token, found.principal_name.as_str(), found.lifetime_ms), (text, "mailer", 2_000_500));
    }

    #[test]
    fn what_is_no_token_is_refused_without_being_quoted() {
        for (contents, says) in [
            ("opaque-hush", "not a JSON Web Token"),
            ("a.b", "not a JSON Web Token"),
            ("a.hush!.c", "not a JSON Web Token"),
            (&token(r#"{"sub":"hush"}"#), "lacks `exp`"),
            (&token(r#"{"exp":2000}"#), "lacks `exp` (a number) or `sub`"),
            (&token(r#"{"exp":1e300,"sub":"hush"}"#), "no time"),
            (&token(r#"{"exp":999,"sub":"hush"}"#), "expired at 1970-01-01T00:16:39Z; it must be renewed"),
        ] {
            let error = read(contents).err().expect("refused");
            assert!(error.contains(says), "{error}");
            assert!(error.contains("/token: ") && !error.contains("hush"), "{error}");
        }
    }
}
