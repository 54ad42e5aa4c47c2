//! One broker: its files and its process.
//!
//! A broker that is attached dies with the process that started it ([`Attached`]); one that is detached stays.

use super::dist::Dist;
use super::ports::Ports;
use super::{Error, wire};
use crate::process::{self, Attached};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A broker starts in 2 s; on a busy machine it may take long.
const PATIENCE: Duration = Duration::from_secs(90);
/// After this time a broker that should end by itself is killed.
const GRACE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

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

    fn log_end(&self) -> String {
        process::end_of(&self.log())
    }

    /// Whether the broker serves clients and takes part, together with `others`.
    pub(super) fn answers(&self, wanted: &[i32]) -> bool {
        wire::brokers(self.ports.inside).is_ok_and(|there| wanted.iter().all(|id| there.contains(id)))
            && TcpStream::connect((Ipv4Addr::LOCALHOST, self.ports.client)).is_ok()
    }
}

/// A broker's process.
#[derive(Debug)]
pub(super) enum Process {
    Attached(Attached),
    Detached(Child),
}

impl Process {
    /// Starts the broker, which dies with this process.
    pub(super) fn attached(place: &Place, dist: &Dist) -> Result<Self, Error> {
        let folder = place.is_temporary.then_some(place.folder.as_path());
        let attached = Attached::start(&place.java(dist), &place.log_file()?, folder);
        attached.map(Self::Attached).map_err(no_program("sh", "dash"))
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
        Ok(Self::Detached(child))
    }

    /// The broker's process id.
    pub(super) fn id(&self) -> u32 {
        match self {
            Self::Attached(attached) => attached.id(),
            Self::Detached(child) => child.id(),
        }
    }

    /// Whether it has not ended.
    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.try_wait(), Ok(None))
    }

    fn try_wait(&mut self) -> std::io::Result<Option<ExitStatus>> {
        match self {
            Self::Attached(attached) => attached.try_wait(),
            Self::Detached(child) => child.try_wait(),
        }
    }

    /// Waits until the broker serves clients and knows all of `wanted`.
    pub(super) fn wait_until_up(&mut self, place: &Place, wanted: &[i32]) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        while !place.answers(wanted) {
            if let Some(status) = self.try_wait().map_err(Error::file(&place.folder))? {
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
        if let Some(pid) = i32::try_from(self.id()).ok().and_then(Pid::from_raw) {
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
    pub(super) fn kill(self) {
        match self {
            Self::Attached(attached) => attached.kill(),
            Self::Detached(mut child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

fn no_program(program: &str, package: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::Program { program: program.to_owned(), package, source }
}
