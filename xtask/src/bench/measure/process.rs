//! A program that is watched while it runs: by its log, and by what the kernel knows of it.

use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// A program of ours while it runs; killed when dropped.
pub(crate) struct Process {
    child: Child,
    /// What it logs, and when.
    log: Receiver<(Instant, String)>,
    /// All of it so far.
    said: Vec<String>,
    name: String,
}

/// What a process holds, in MB (10⁶ bytes).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// In memory, the program's own code included.
    pub(crate) resident: f64,
    /// Of that, what nobody else could share.
    pub(crate) private: f64,
}

impl Process {
    /// Starts it.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let name = crate::command::shown(command);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let stderr = child.stderr.take().context("no stderr")?;
        let (send, log) = channel();
        std::thread::spawn(move || forward(stderr, &send));
        Ok(Self { child, log, said: Vec::new(), name })
    }

    /// When it logged a line with this text; waits for it.
    pub(crate) fn says(&mut self, text: &str, patience: Duration) -> Result<Instant> {
        let begun = Instant::now();
        loop {
            match self.log.recv_timeout(patience.saturating_sub(begun.elapsed())) {
                Ok((at, line)) => {
                    let found = line.contains(text);
                    self.said.push(line);
                    if found {
                        return Ok(at);
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    bail!("{} never said \"{text}\", but:\n{}", self.name, self.said.join("\n"))
                }
            }
        }
    }

    /// Waits for its end; an error unless it was a good one.
    pub(crate) fn ends(&mut self, patience: Duration) -> Result<()> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                if status.success() {
                    return Ok(());
                }
                self.said.extend(self.log.iter().map(|(_, line)| line));
                bail!("{} ended with {status}:\n{}", self.name, self.said.join("\n"));
            }
            if begun.elapsed() > patience {
                bail!("{} does not end", self.name);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Processor time of the threads that it has now.
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        let mut sum = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // Its first number: nanoseconds on a processor.
            let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
            sum += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
        Ok(Duration::from_nanos(sum))
    }

    /// What it holds now.
    pub(crate) fn memory(&self) -> Result<Memory> {
        let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id()))?;
        let megabytes = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
            kib.map(|kib| kib * 1024.0 / 1e6).with_context(|| format!("no {name} in smaps_rollup"))
        };
        let private = megabytes("Private_Clean:")? + megabytes("Private_Dirty:")?;
        Ok(Memory { resident: megabytes("Rss:")?, private })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn forward(stderr: ChildStderr, log: &Sender<(Instant, String)>) {
    for line in BufReader::new(stderr).lines().map_while(std::io::Result::ok) {
        // Read to the end also if nobody listens, so that it never waits for us.
        let _ = log.send((Instant::now(), line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn a_process_is_heard_watched_and_waited_for() -> Result<()> {
        let script = "echo begun >&2; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo done >&2; read line";
        let mut process = Process::start(Command::new("sh").args(["-c", script]))?;
        let begun = process.says("begun", PATIENCE)?;
        assert!(process.says("done", PATIENCE)? >= begun);
        Ok(())
    }

    #[test]
    fn a_bad_end_and_a_line_that_never_comes_are_errors_that_quote_the_log() -> Result<()> {
        let mut process = Process::start(Command::new("sh").args(["-c", "echo why >&2; exit 3"]))?;
        let unheard = process.says("because", PATIENCE).expect_err("never said").to_string();
        assert!(unheard.contains("why"), "{unheard}");
        assert!(process.ends(PATIENCE).is_err());
        Ok(())
    }

    #[test]
    fn work_and_memory_of_a_process_are_seen() -> Result<()> {
        let script =
            "import sys, time; x = b'x' * 50_000_000; print('ready', file=sys.stderr, flush=True); time.sleep(60)";
        let mut process = Process::start(Command::new("python3").args(["-c", script]))?;
        process.says("ready", PATIENCE)?;
        assert!(process.processor_time()? > Duration::ZERO);
        let memory = process.memory()?;
        assert!(memory.private > 50.0 && memory.resident >= memory.private, "{memory:?}");
        Ok(())
    }
}
