//! One broker: its files and its process.
//!
//! A broker that is attached dies with the process that started it, also when that one is killed: a watchdog, a small shell, reads from a pipe that only
//! that process holds, and when the pipe ends it kills the broker. The broker itself waits for a word on a pipe before it becomes Java, so that there is no
//! moment in which it runs unwatched.

use super::dist::Dist;
use super::ports::Ports;
use super::{Error, wire};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A broker starts in 2 s; on a busy machine it may take long.
const PATIENCE: Duration = Duration::from_secs(90);
/// After this time a broker that should end by itself is killed.
const GRACE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);
/// How much of a log is shown.
const SHOWN_LOG: u64 = 4_000;

/// Waits for the word `go`, then becomes the broker.
const WAIT_AND_RUN: &str = r#"read -r go && exec "$@" </dev/null"#;
/// Reads the broker's pid, then waits for a word. When the pipe ends instead, it kills the broker and removes the folder, if one is named.
const WATCH: &str = r#"read -r pid || exit 0
read -r leave && exit 0
kill -KILL "$pid"
[ -z "$1" ] || {
    n=0
    while kill -0 "$pid" && [ $n -lt 100 ]; do sleep 0.05; n=$((n + 1)); done
    rm -rf "$1"
    rmdir "${1%/*}"
}"#;

/// Where a broker's things are.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// From 0.
    pub(super) number: usize,
    /// The folder of its settings, data and log.
    pub(super) folder: PathBuf,
    pub(super) ports: Ports,
    /// Whether the folder goes when nobody wants it any more.
    pub(super) is_temporary: bool,
    /// Whether Java may compile what is used often once more: better for what runs long, and 60 MB more.
    pub(super) runs_long: bool,
}

impl Place {
    pub(super) fn properties(&self) -> PathBuf {
        self.folder.join("server.properties")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Java, told to run this broker.
    fn java(&self, dist: &Dist) -> Command {
        let mut command = dist.java();
        if !self.runs_long {
            command.arg("-XX:TieredStopAtLevel=1");
        }
        command.args(["-Xms64m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError"]);
        command.args(["-Djava.awt.headless=true", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]);
        command.arg("-Dorg.slf4j.simpleLogger.showDateTime=true");
        command.arg("-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS");
        // Libraries for compression are unpacked there.
        command.arg(format!("-Djava.io.tmpdir={}", self.folder.display()));
        command.arg("kafka.Kafka").arg(self.properties());
        command
    }

    fn log_file(&self) -> Result<File, Error> {
        let path = self.log();
        OpenOptions::new().create(true).append(true).open(&path).map_err(Error::file(&path))
    }

    /// The end of the broker's log.
    fn log_end(&self) -> String {
        let read = || -> std::io::Result<String> {
            let mut file = File::open(self.log())?;
            let length = file.seek(SeekFrom::End(0))?;
            file.seek(SeekFrom::Start(length.saturating_sub(SHOWN_LOG)))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        read().unwrap_or_default()
    }

    /// Whether the broker serves clients and takes part, together with `others`.
    pub(super) fn answers(&self, wanted: &[i32]) -> bool {
        wire::brokers(self.ports.inside).is_ok_and(|there| wanted.iter().all(|id| there.contains(id)))
            && TcpStream::connect((Ipv4Addr::LOCALHOST, self.ports.client)).is_ok()
    }
}

/// A broker's process.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// None if the broker may live on.
    watchdog: Option<Child>,
}

impl Process {
    /// Starts the broker, which dies with this process.
    pub(super) fn attached(place: &Place, dist: &Dist) -> Result<Self, Error> {
        let log = place.log_file()?;
        let mut watchdog = Command::new("sh");
        watchdog.args(["-c", WATCH, "watchdog"]);
        if place.is_temporary {
            watchdog.arg(&place.folder);
        }
        // A group of their own keeps the terminal's Ctrl-C from ending the watchdog before the broker.
        watchdog.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut watchdog = watchdog.spawn().map_err(no_program("sh", "dash"))?;
        let java = place.java(dist);
        let mut child = Command::new("sh")
            .args(["-c", WAIT_AND_RUN, "broker"])
            .arg(java.get_program())
            .args(java.get_args())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().map_err(Error::file(&place.log()))?)
            .stderr(log)
            .spawn()
            .map_err(no_program("sh", "dash"))?;
        let told = tell(&mut watchdog, &child.id().to_string()).and_then(|()| tell(&mut child, "go"));
        told.map_err(Error::file(Path::new("the broker's standard input")))?;
        Ok(Self { child, watchdog: Some(watchdog) })
    }

    /// Starts the broker in a session of its own: it stays when this process ends.
    pub(super) fn detached(place: &Place, dist: &Dist) -> Result<Self, Error> {
        let log = place.log_file()?;
        let java = place.java(dist);
        let child = Command::new("setsid")
            .arg(java.get_program())
            .args(java.get_args())
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(Error::file(&place.log()))?)
            .stderr(log)
            .spawn()
            .map_err(no_program("setsid", "util-linux"))?;
        Ok(Self { child, watchdog: None })
    }

    /// The broker's process id.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended.
    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until the broker serves clients and knows all of `wanted`.
    pub(super) fn wait_until_up(&mut self, place: &Place, wanted: &[i32]) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        while !place.answers(wanted) {
            if let Some(status) = self.child.try_wait().map_err(Error::file(&place.folder))? {
                return Err(Error::Ended { broker: place.number, status, log: place.log_end() });
            }
            if Instant::now() > deadline {
                return Err(Error::Silent { broker: place.number, seconds: PATIENCE.as_secs(), log: place.log_end() });
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Sends the broker a signal.
    pub(super) fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // One that has ended needs no signal any more.
            let _ = kill_process(pid, signal);
        }
    }

    /// Lets the broker end in order; one that takes too long is killed.
    pub(super) fn stop(mut self) {
        self.signal(Signal::TERM);
        // A frozen one hears nothing before it goes on.
        self.signal(Signal::CONT);
        let deadline = Instant::now() + GRACE;
        while self.is_running() && Instant::now() < deadline {
            std::thread::sleep(PAUSE);
        }
        self.kill();
    }

    /// Kills the broker and waits until it is gone.
    pub(super) fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(mut watchdog) = self.watchdog.take() {
            let _ = tell(&mut watchdog, "leave");
            let _ = watchdog.wait();
        }
    }
}

/// Writes a line to a child; its pipe stays open.
fn tell(child: &mut Child, line: &str) -> std::io::Result<()> {
    match &mut child.stdin {
        Some(stdin) => writeln!(stdin, "{line}"),
        None => Ok(()),
    }
}

fn no_program(program: &str, package: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::Program { program: program.to_owned(), package, source }
}
