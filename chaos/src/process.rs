//! A process that is killed with this one, whatever happens.

use anyhow::{Context, Result};
use rustix::process::{Pid, kill_process};
use std::io::{Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use rustix::process::Signal;

/// Reads process ids; when the pipe ends without a word, it kills them all.
const WATCH: &str = r#"all=
while read -r word; do
    [ "$word" = leave ] && exit 0
    all="$all $word"
done
[ -z "$all" ] || kill -KILL $all"#;

/// Kills what this process has started, should it die.
#[derive(Debug)]
pub(crate) struct Watchdog(Mutex<Child>);

impl Watchdog {
    pub(crate) fn start() -> Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", WATCH]).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(Mutex::new(command.spawn().context("starting sh")?)))
    }

    fn tell(&self, line: &str) {
        let mut child = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stdin) = &mut child.stdin {
            // One that is gone can't help any more.
            let _ = writeln!(stdin, "{line}");
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.tell("leave");
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).wait();
    }
}

/// A running program; killed when dropped.
#[derive(Debug)]
pub struct Process {
    /// How it is called in logs and messages.
    pub name: String,
    child: Child,
}

impl Process {
    pub(crate) fn start(name: &str, command: &mut Command, watchdog: &Watchdog) -> Result<Self> {
        let child = command.stdin(Stdio::null()).spawn().with_context(|| format!("starting {name}"))?;
        watchdog.tell(&child.id().to_string());
        Ok(Self { name: name.to_owned(), child })
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // Not waited for yet, so the id is still its own.
            let _ = kill_process(pid, signal);
        }
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// What it prints on stdout; and on stderr, if it doesn't end with 0 in time.
    pub(crate) fn output(&mut self, patience: Duration) -> Result<(String, Option<String>)> {
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let read = std::thread::spawn(move || {
            let mut text = String::new();
            stdout.map_or(Ok(0), |mut stdout| stdout.read_to_string(&mut text)).map(|_| text)
        });
        let status = self.wait(patience);
        self.kill();
        let stdout = read.join().map_err(|_| anyhow::anyhow!("the reader"))??;
        if status.is_some_and(|status| status.success()) {
            return Ok((stdout, None));
        }
        let mut said = status.map_or("no end in time".to_owned(), ending) + ": ";
        stderr.map_or(Ok(0), |mut stderr| stderr.read_to_string(&mut said))?;
        Ok((stdout, Some(said)))
    }

    /// Kills it, frozen or not, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for its end; none if it takes longer than that.
    pub fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            match self.ended() {
                Some(status) => return Some(status),
                None if Instant::now() > deadline => return None,
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// How a process ended, in words.
pub(crate) fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (_, Some(signal)) => format!("signal {signal}"),
        _ => "an end of no known kind".to_owned(),
    }
}
