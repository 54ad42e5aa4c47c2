//! The programs that ours is measured against, and the server both talk to.

use super::measure;
use crate::command::{find_program, is_root};
use anyhow::{Context, Result, bail};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A fresh smtp-sink of Postfix on a free port of the loopback address; ends when dropped.
pub(crate) struct SmtpSink {
    process: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl SmtpSink {
    pub(crate) fn start() -> Result<Self> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let mut command = Command::new(program("smtp-sink")?);
        if is_root() {
            // It refuses to serve as root.
            command.args(["-u", "postfix"]);
        }
        let process = command.arg(address.to_string()).arg("1000").stderr(Stdio::inherit()).spawn()?;
        let sink = Self { process, address };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            if begun.elapsed() > Duration::from_secs(10) {
                bail!("smtp-sink does not answer on {address}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(sink)
    }
}

impl Drop for SmtpSink {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Mails a second of Postfix's own client, with 20 connections that stay open, each mail of `bytes`.
pub(crate) fn smtp_source(mails: u64, bytes: u64) -> Result<f64> {
    let sink = SmtpSink::start()?;
    let mut command = Command::new(program("smtp-source")?);
    command.args(["-d", "-s", "20", "-l", &bytes.to_string(), "-m", &mails.to_string()]).arg(sink.address.to_string());
    Ok(measure::rate(mails, measure::time_of(&mut command)?))
}

fn program(name: &str) -> Result<PathBuf> {
    find_program(name).with_context(|| format!("{name} is missing; Debian's package postfix brings it"))
}

/// One of the scripts beside this file, for the Python with the document libraries.
pub(crate) fn script(python: &Path, source: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(python);
    command.args(["-c", source]).args(arguments);
    command
}
