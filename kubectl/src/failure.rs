//! Why a command didn't do what it was asked to, and what to do about it. The exit codes are those of `mailcampaign`.

use kube::core::Status;
use std::fmt;
use std::io::Write;
use std::process::ExitCode;

/// The same again may succeed.
const TRY_AGAIN: u8 = 1;
/// Somebody has to change something first.
const BAD_INPUT: u8 = 2;
/// Interrupted by a signal, as shells have it for SIGINT.
const INTERRUPTED: u8 = 130;

/// Why it ended, and its exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// None: everything was said already.
    message: Option<String>,
    code: u8,
}

impl Failure {
    /// Something that a person has to change first.
    pub fn bad_input(message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), code: BAD_INPUT }
    }

    /// The same again may succeed.
    pub fn try_again(message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), code: TRY_AGAIN }
    }

    /// A signal came.
    pub fn interrupted() -> Self {
        Self { message: None, code: INTERRUPTED }
    }

    /// What the API server said to something that was asked of it: `doing` is `reading the campaign` and the like.
    pub fn of_api(doing: &str, error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::of_status(doing, status),
            kube::Error::SerdeError(error) => Self::bad_input(format!(
                "{doing}: the answer is not understood ({error}); perhaps this plugin is older than the cluster's operator"
            )),
            kube::Error::Auth(error) => {
                Self::bad_input(format!("{doing}: the login of the kubeconfig doesn't work: {error}"))
            }
            other => Self::try_again(format!("{doing}: the API server doesn't answer: {}", with_sources(other))),
        }
    }

    /// The same, for an answer of the API.
    pub fn of_status(doing: &str, status: &Status) -> Self {
        let said = if status.message.is_empty() { &status.reason } else { &status.message };
        match status.code {
            401 => Self::bad_input(format!(
                "{doing}: the API server doesn't know who you are: look at the user of the kubeconfig's context"
            )),
            // A quota or a policy answers with the same code; only a missing right names what the user "cannot" do.
            403 if said.contains(" cannot ") => Self::bad_input(format!(
                "{doing}: {said}; the README's section on the plugin has the Role that it needs"
            )),
            429 | 500..=599 => Self::try_again(format!("{doing}: {said}")),
            _ => Self::bad_input(format!("{doing}: {said}")),
        }
    }

    /// What is told.
    pub fn message(&self) -> &str {
        self.message.as_deref().unwrap_or_default()
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        self.code
    }

    /// Says why on stderr, and gives the exit code.
    pub fn report(&self) -> ExitCode {
        if let Some(message) = &self.message {
            // Nobody is there to be told if stderr is closed.
            drop(writeln!(std::io::stderr().lock(), "error: {message}"));
        }
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Failure {}

/// `client error (Connect): tcp connect error: Connection refused (os error 111)`: what the libraries say one behind the other.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let text = error.to_string();
        if !said.contains(&text) {
            said = format!("{said}: {text}");
        }
        next = error.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: u16, message: &str) -> Failure {
        let status = Status { code, message: message.to_owned(), ..Status::default() };
        Failure::of_api("making a pod", &kube::Error::Api(status.boxed()))
    }

    #[test]
    fn a_missing_right_is_told_from_a_quota() {
        let right = said(403, "pods is forbidden: User \"ann\" cannot create resource \"pods\" in API group \"\"");
        assert!(right.message().contains("cannot create") && right.message().contains("README"), "{right}");
        let quota = said(403, "pods \"a\" is forbidden: exceeded quota: compute");
        assert_eq!(quota.message(), "making a pod: pods \"a\" is forbidden: exceeded quota: compute");
        assert_eq!((right.code(), quota.code()), (BAD_INPUT, BAD_INPUT));
    }

    #[test]
    fn what_may_pass_by_itself_has_another_exit_code() {
        assert_eq!((said(503, "busy").code(), said(422, "no").code()), (TRY_AGAIN, BAD_INPUT));
    }
}
