//! AUTH as a server does it (RFC 4954): PLAIN, LOGIN and XOAUTH2.

use super::{
    Phase,
    session::{Ended, Session},
};
use base64_simd::STANDARD;

impl Session {
    pub(super) async fn auth(&mut self, arguments: &str) -> Result<(), Ended> {
        let (mechanism, initial) = arguments.split_once(' ').unwrap_or((arguments, ""));
        let given = match mechanism {
            "PLAIN" => {
                let response = if initial.is_empty() { self.challenge("").await? } else { decoded(initial) };
                let mut parts = response.split('\0').skip(1);
                parts.next().map(str::to_owned).zip(parts.next().map(str::to_owned))
            }
            "LOGIN" => {
                let name = if initial.is_empty() { self.challenge("Username:").await? } else { decoded(initial) };
                Some((name, self.challenge("Password:").await?))
            }
            "XOAUTH2" => {
                let response = decoded(initial);
                let mut parts = response.split('\u{1}');
                let name = parts.next().and_then(|part| part.strip_prefix("user="));
                name.map(str::to_owned)
                    .zip(parts.next().and_then(|p| p.strip_prefix("auth=Bearer ")).map(str::to_owned))
            }
            _ => return self.reply(504, "5.5.4 unknown mechanism"),
        };
        let known = given.filter(|given| self.shared.options.users.contains(given));
        let Some((name, _)) = known else { return self.reply(535, "5.7.8 wrong name or password") };
        if self.act(Phase::Auth, 235, "2.7.0 welcome").await? {
            self.user = Some(name);
        }
        Ok(())
    }

    async fn challenge(&mut self, text: &str) -> Result<String, Ended> {
        self.reply(334, &STANDARD.encode_to_string(text))?;
        Ok(decoded(&self.line().await?))
    }
}

fn decoded(base64: &str) -> String {
    STANDARD.decode_to_vec(base64).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
