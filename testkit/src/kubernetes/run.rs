//! Runs programs to their end, and waits for what they bring about.

use super::Error;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(50);

/// What a program of the system is to be installed with.
pub(super) const FROM_DEBIAN: &str = "`cargo xtask cluster up` installs what is missing, on Debian and as root";

/// Runs it; what it prints on stdout. `remedy` says what to do where the program is missing.
pub(super) fn to_end(command: &mut Command, remedy: &'static str) -> Result<String, Error> {
    with_input(command, "", remedy)
}

/// The same with something on its standard input.
pub(super) fn with_input(command: &mut Command, input: &str, remedy: &'static str) -> Result<String, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|source| Error::Program { program: program.clone(), remedy, source })?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends before it has read everything says why by itself.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(|source| Error::Program { program, remedy, source })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(Error::Failed { command: shown(command), output: String::from_utf8_lossy(&said).into_owned() })
}

/// Tries again until it succeeds. `what` is what did not happen if it never does.
pub(super) fn until<T>(
    what: &str,
    patience: Duration,
    mut attempt: impl FnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    let deadline = Instant::now() + patience;
    loop {
        match attempt() {
            Err(ended @ Error::Ended { .. }) => return Err(ended),
            Err(error) if Instant::now() > deadline => {
                return Err(Error::Waited {
                    what: what.to_owned(),
                    seconds: patience.as_secs(),
                    said: error.to_string(),
                });
            }
            Err(_) => std::thread::sleep(PAUSE),
            Ok(done) => return Ok(done),
        }
    }
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
