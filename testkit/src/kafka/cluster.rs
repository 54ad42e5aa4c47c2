//! One or three brokers that belong together.

use super::broker::{Place, Process};
use super::dist::Dist;
use super::ports::{Block, MOST_BROKERS};
use super::{Error, KafkaOptions, archive, config};
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use tempfile::TempDir;

/// Every cluster of these tests has the same; they can't meet.
const CLUSTER_ID: &str = "bWFpbGNhbXBhaWduLXRlcw";

/// Brokers of the test's own. They end, and their data goes, when this is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct Kafka {
    dist: Dist,
    brokers: Vec<(Place, Mutex<Option<Process>>)>,
    folder: PathBuf,
    _ports: Block,
    /// Dropped after the brokers have ended.
    _temporary: Option<TempDir>,
}

impl Kafka {
    /// Starts brokers and waits until they serve clients.
    ///
    /// # Panics
    /// Where [`Kafka::try_start`] fails.
    pub fn start(options: KafkaOptions) -> Self {
        Self::try_start(&options).unwrap_or_else(|error| panic!("Kafka: {error}"))
    }

    /// Starts brokers and waits until they serve clients.
    ///
    /// # Errors
    /// If Kafka can't be had, or a broker doesn't start; the end of its log is part of the message.
    pub fn try_start(options: &KafkaOptions) -> Result<Self, Error> {
        let dist = Dist::ensure()?;
        archive::ensure(&dist)?;
        let ports = match options.first_port {
            Some(first) => Block::given(first, options.brokers)?,
            None => Block::choose(options.brokers)?,
        };
        let temporary = match &options.folder {
            Some(_) => None,
            None => {
                Some(tempfile::Builder::new().prefix("kafka-").tempdir().map_err(Error::file(&std::env::temp_dir()))?)
            }
        };
        let folder = temporary.as_ref().map(|folder| folder.path().to_path_buf());
        let folder = folder.or_else(|| options.folder.clone()).unwrap_or_default();
        let places = places(options, &ports, &folder);
        prepare(&dist, &places, &ports, options)?;
        let mut kafka = Self { dist, brokers: Vec::new(), folder, _ports: ports, _temporary: temporary };
        for place in places {
            let process = Process::attached(&place, &kafka.dist)?;
            kafka.brokers.push((place, Mutex::new(Some(process))));
        }
        let all: Vec<i32> = kafka.brokers.iter().map(|(place, _)| id(place)).collect();
        for (place, process) in &kafka.brokers {
            if let Some(process) = locked(process).as_mut() {
                process.wait_until_up(place, &all)?;
            }
        }
        Ok(kafka)
    }

    /// `bootstrap.servers`: the addresses of all brokers, also of those that are down.
    pub fn bootstrap(&self) -> String {
        addresses(self.brokers.iter().map(|(place, _)| place.ports.client))
    }

    /// The same for the brokers' own listener, which has neither TLS nor a login: who comes here is the administrator.
    pub fn bootstrap_of_administrator(&self) -> String {
        addresses(self.brokers.iter().map(|(place, _)| place.ports.inside))
    }

    /// Where the brokers' settings, data and logs are, in `broker-1` and so on.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How many brokers there are, running or not.
    pub fn brokers(&self) -> usize {
        self.brokers.len()
    }

    /// The process id of broker `number` (from 0), while it runs.
    pub fn process_id(&self, number: usize) -> Option<u32> {
        locked(&self.brokers[number].1).as_ref().map(Process::id)
    }

    /// Where brokers that run take the administrator's requests.
    pub(super) fn inside_ports(&self) -> Vec<u16> {
        let running = self.brokers.iter().filter(|(_, process)| locked(process).is_some());
        running.map(|(place, _)| place.ports.inside).collect()
    }

    /// Lets broker `number` (from 0) end in order (SIGTERM), and waits for it.
    pub fn stop(&self, number: usize) {
        if let Some(process) = locked(&self.brokers[number].1).take() {
            process.stop();
        }
    }

    /// Kills broker `number` (from 0; SIGKILL).
    pub fn kill(&self, number: usize) {
        if let Some(process) = locked(&self.brokers[number].1).take() {
            process.kill();
        }
    }

    /// Starts broker `number` again, after [`Kafka::stop`], [`Kafka::kill`] or an end of its own, with its ports and its data, and waits until it takes part. After a kill this
    /// takes until its old session is over: 4 s.
    ///
    /// # Panics
    /// If it doesn't start, or no majority of brokers runs.
    pub fn start_again(&self, number: usize) {
        let (place, process) = &self.brokers[number];
        let mut process = locked(process);
        if process.as_mut().is_some_and(Process::is_running) {
            return;
        }
        let started = Process::attached(place, &self.dist).and_then(|mut process| {
            process.wait_until_up(place, &[id(place)])?;
            Ok(process)
        });
        *process = Some(started.unwrap_or_else(|error| panic!("Kafka: {error}")));
    }

    /// Halts broker `number` (SIGSTOP): its connections stay open and nothing answers.
    pub fn freeze(&self, number: usize) {
        if let Some(process) = locked(&self.brokers[number].1).as_ref() {
            process.signal(Signal::STOP);
        }
    }

    /// Lets a frozen broker go on.
    pub fn thaw(&self, number: usize) {
        if let Some(process) = locked(&self.brokers[number].1).as_ref() {
            process.signal(Signal::CONT);
        }
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        for number in 0..self.brokers.len() {
            self.kill(number);
        }
    }
}

/// A test that failed while it held the lock leaves the process as it is.
fn locked(process: &Mutex<Option<Process>>) -> std::sync::MutexGuard<'_, Option<Process>> {
    process.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number by which the other brokers know this one.
pub(super) fn id(place: &Place) -> i32 {
    i32::try_from(config::node_id(place.number)).unwrap_or(i32::MAX)
}

pub(super) fn addresses(ports: impl Iterator<Item = u16>) -> String {
    ports.map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>().join(",")
}

/// Where the brokers' things are.
pub(super) fn places(options: &KafkaOptions, ports: &Block, folder: &Path) -> Vec<Place> {
    let of = |(number, ports): (usize, &super::ports::Ports)| Place {
        number,
        folder: folder.join(format!("broker-{}", config::node_id(number))),
        ports: *ports,
        is_temporary: options.folder.is_none(),
        runs_long: options.runs_long,
    };
    ports.ports.iter().enumerate().map(of).collect()
}

/// Writes the brokers' settings, and makes the data folders that are not there.
pub(super) fn prepare(dist: &Dist, places: &[Place], ports: &Block, options: &KafkaOptions) -> Result<(), Error> {
    assert!(matches!(options.brokers, 1 | MOST_BROKERS), "1 or 3 brokers");
    for place in places {
        std::fs::create_dir_all(&place.folder).map_err(Error::file(&place.folder))?;
        for (name, contents) in options.security.files() {
            write(&place.folder.join(name), contents)?;
        }
        let properties = config::properties(place.number, &ports.ports, options, &place.folder);
        write(&place.properties(), &properties)?;
    }
    // Making a data folder costs a start of Java: the first is made by Kafka, the others are its copies under a number of their own.
    let (first, others) = places.split_first().expect("there is a broker");
    let made = first.folder.join("data");
    if !made.join("meta.properties").is_file() {
        format(dist, first, options)?;
    }
    for other in others {
        let data = other.folder.join("data");
        if !data.join("meta.properties").is_file() {
            copy_formatted(&made, &data, other)?;
        }
    }
    Ok(())
}

fn format(dist: &Dist, place: &Place, options: &KafkaOptions) -> Result<(), Error> {
    let mut command = dist.java();
    command.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"]);
    command.args(["kafka.tools.StorageTool", "format", "--cluster-id", CLUSTER_ID, "--config"]).arg(place.properties());
    for user in options.security.scram_users() {
        command.args(["--add-scram", &user]);
    }
    let output = command.stdin(Stdio::null()).output().map_err(|source| Error::Program {
        program: "java".to_owned(),
        package: "default-jre-headless",
        source,
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(Error::Format { folder: place.folder.clone(), output: String::from_utf8_lossy(&said).into_owned() })
}

/// The data folder of a broker that has none of its own yet: what Kafka made for the first, with other numbers.
fn copy_formatted(made: &Path, data: &Path, place: &Place) -> Result<(), Error> {
    std::fs::create_dir_all(data).map_err(Error::file(data))?;
    let checkpoint = "bootstrap.checkpoint";
    std::fs::copy(made.join(checkpoint), data.join(checkpoint)).map_err(Error::file(&made.join(checkpoint)))?;
    let path: PathBuf = made.join("meta.properties");
    let text = std::fs::read_to_string(&path).map_err(Error::file(&path))?;
    let node = config::node_id(place.number);
    // 16 bytes in the alphabet of web addresses, as Kafka writes a UUID.
    let directory = format!("bWFpbGNhbXBhaWduLWR{node}AQ");
    let renumbered = text.lines().map(|line| match line.split_once('=') {
        Some(("node.id", _)) => format!("node.id={node}\n"),
        Some(("directory.id", _)) => format!("directory.id={directory}\n"),
        _ => format!("{line}\n"),
    });
    write(&data.join("meta.properties"), &renumbered.collect::<String>())
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text).map_err(Error::file(path))
}
