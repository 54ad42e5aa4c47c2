//! Processes that the tests start: those that die with the process that started them, and what one wants to know of any.
//!
//! An attached process dies with its parent, also when that one is killed: a watchdog, a small shell, reads from a pipe that only the parent holds, and
//! when the pipe ends it kills the process. The process itself waits for a word on a pipe before it becomes the program, so that there is no moment in
//! which it runs unwatched.

use rustix::process::Pid;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// How much of a log is shown.
const SHOWN_LOG: u64 = 4_000;

/// Waits for the word `go`, then becomes the program.
const WAIT_AND_RUN: &str = r#"read -r go && exec "$@" </dev/null"#;
/// Reads the program's pid, then waits for a word. When the pipe ends instead, it kills the program and removes the folder, if one is named.
const WATCH: &str = r#"read -r pid || exit 0
read -r leave && exit 0
kill -KILL "$pid"
[ -z "$1" ] || {
    n=0
    while kill -0 "$pid" && [ $n -lt 100 ]; do sleep 0.05; n=$((n + 1)); done
    rm -rf "$1"
    rmdir "${1%/*}"
}"#;

/// A process that dies with this one.
#[derive(Debug)]
pub(crate) struct Attached {
    child: Child,
    watchdog: Child,
}

impl Attached {
    /// Starts a program with its output in `log`. `folder` is removed if this process dies first.
    pub(crate) fn start(program: &Command, log: &File, folder: Option<&Path>) -> io::Result<Self> {
        let mut watchdog = Command::new("sh");
        watchdog.args(["-c", WATCH, "watchdog"]).args(folder);
        // A group of their own keeps the terminal's Ctrl-C from ending the watchdog before the program.
        watchdog.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut watchdog = watchdog.spawn()?;
        let mut child = Command::new("sh")
            .args(["-c", WAIT_AND_RUN, "program"])
            .arg(program.get_program())
            .args(program.get_args())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log.try_clone()?)
            .spawn()?;
        tell(&mut watchdog, &child.id().to_string()).and_then(|()| tell(&mut child, "go"))?;
        Ok(Self { child, watchdog })
    }

    /// The program's process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(crate) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Kills the program and waits until it is gone.
    pub(crate) fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = tell(&mut self.watchdog, "leave");
        let _ = self.watchdog.wait();
    }
}

/// Writes a line to a child; its pipe stays open.
fn tell(child: &mut Child, line: &str) -> io::Result<()> {
    match &mut child.stdin {
        Some(stdin) => writeln!(stdin, "{line}"),
        None => Ok(()),
    }
}

/// The end of a log; empty if it can't be read.
pub(crate) fn end_of(log: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(length.saturating_sub(SHOWN_LOG)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_default()
}

/// All processes of the machine.
pub(crate) fn all() -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// What the system tells about a process.
pub(crate) fn folder_of(process: Pid) -> PathBuf {
    PathBuf::from(format!("/proc/{}", process.as_raw_nonzero()))
}

/// Whether a process has ended, with all its threads: only then are its files and ports free. It may still be listed, while nobody has asked how it ended.
pub(crate) fn is_gone(process: Pid) -> bool {
    let listed = folder_of(process);
    let Ok(state) = std::fs::read_to_string(listed.join("stat")) else { return true };
    // The name before the state is in parentheses, and may hold any sign.
    let has_ended = state.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with(['Z', 'X']));
    let threads = std::fs::read_dir(listed.join("task")).map_or(0, Iterator::count);
    has_ended && threads <= 1
}

/// Whether this process may do everything.
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}
