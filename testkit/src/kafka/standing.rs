//! Brokers that stay until they are told to end: for people.
//!
//! There are no pid files that could be wrong: a broker is found by its command line, which names its settings in the folder.

use super::broker::{Place, Process};
use super::cluster::{addresses, id, places, prepare};
use super::dist::Dist;
use super::ports::{Block, MOST_BROKERS};
use super::{Error, KafkaOptions, SecondAddress, archive};
use crate::{cache, process};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The first ports that are tried, in this order.
const FIRST_PORTS: [u16; 5] = [9092, 19092, 29092, 39092, 49092];
const PATIENCE: Duration = Duration::from_secs(30);

/// The brokers whose settings, data and logs are in one folder.
#[derive(Debug)]
pub struct Standing {
    folder: PathBuf,
    second_address: Option<SecondAddress>,
}

/// What a call of [`Standing::up`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Up {
    /// `bootstrap.servers`.
    pub bootstrap: String,
    /// What was found or done, in a sentence.
    pub done: &'static str,
}

impl Standing {
    /// The machine's own, in the cache.
    ///
    /// # Errors
    /// If there is no cache.
    pub fn of_this_machine() -> Result<Self, Error> {
        Ok(Self::in_folder(cache::folder("kafka").map_err(Error::file(Path::new("the cache")))?))
    }

    /// Those in a folder of one's own, which is removed when they end.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), second_address: None }
    }

    /// The (one) broker can be reached in a second way; see [`KafkaOptions::second_address`].
    #[must_use]
    pub fn second_address(mut self, listen: SocketAddr, advertised: &str) -> Self {
        self.second_address = Some(SecondAddress { listen, advertised: advertised.to_owned() });
        self
    }

    /// Makes sure that so many brokers (1 or 3) run. Brokers that run stay as they are; where all are gone (a reboot), what they left is removed and new
    /// ones begin; where some of three are gone, those are started again with their data.
    ///
    /// # Errors
    /// If another number of brokers runs, or they run on other ports than `first_port`; if they can't be started.
    pub fn up(&self, brokers: u16, first_port: Option<u16>) -> Result<Up, Error> {
        let _alone = lock()?;
        let dist = Dist::ensure()?;
        archive::ensure(&dist)?;
        let Some(state) = self.state().filter(|state| self.runs(*state)) else {
            let left = self.remove()?;
            let bootstrap = self.begin(&dist, brokers, first_port)?;
            let done = if left { "what brokers had left was removed; new ones run" } else { "started" };
            return Ok(Up { bootstrap, done });
        };
        if state.brokers != brokers || first_port.is_some_and(|port| port != state.first_port) {
            return Err(Error::OthersRun { brokers: state.brokers, port: state.first_port });
        }
        let (ports, options) = (Block::given(state.first_port, brokers)?, self.options(state));
        let places = places(&options, &ports, &self.folder);
        let missing: Vec<&Place> = places.iter().filter(|place| process_of(place).is_none()).collect();
        start(&dist, &missing)?;
        let done = if missing.is_empty() { "already running" } else { "those that were gone are started again" };
        Ok(Up { bootstrap: addresses(ports.ports.iter().map(|ports| ports.client)), done })
    }

    /// Ends the brokers and removes their data. False if there was nothing.
    ///
    /// # Errors
    /// If a broker can't be ended, or the folder can't be removed.
    pub fn down(&self) -> Result<bool, Error> {
        let _alone = lock()?;
        self.remove()
    }

    fn options(&self, state: State) -> KafkaOptions {
        let mut options = KafkaOptions::default().brokers(state.brokers).folder(&self.folder).runs_long();
        options.second_address.clone_from(&self.second_address);
        options
    }

    fn begin(&self, dist: &Dist, brokers: u16, first_port: Option<u16>) -> Result<String, Error> {
        let ports = match first_port {
            Some(first) => Some(Block::given(first, brokers)?).filter(Block::is_free),
            None => FIRST_PORTS.iter().filter_map(|first| Block::given(*first, brokers).ok()).find(Block::is_free),
        };
        let ports = ports.ok_or(Error::NoPorts { from: first_port.unwrap_or(FIRST_PORTS[0]) })?;
        let state = State { brokers, first_port: ports.ports[0].client };
        let options = self.options(state);
        let places = places(&options, &ports, &self.folder);
        let begun = prepare(dist, &places, &ports, &options)
            .and_then(|()| state.write(&self.folder))
            .and_then(|()| start(dist, &places.iter().collect::<Vec<_>>()));
        if let Err(error) = begun {
            self.remove()?;
            return Err(error);
        }
        Ok(addresses(ports.ports.iter().map(|ports| ports.client)))
    }

    fn state(&self) -> Option<State> {
        State::read(&self.folder)
    }

    /// Whether any of the brokers lives.
    fn runs(&self, state: State) -> bool {
        (1..=state.brokers).any(|node| process_with(&self.settings_of(node)).is_some())
    }

    fn settings_of(&self, node: u16) -> PathBuf {
        self.folder.join(format!("broker-{node}")).join("server.properties")
    }

    /// Kills what runs, and removes the folder. False if there was nothing.
    fn remove(&self) -> Result<bool, Error> {
        if !self.folder.exists() {
            return Ok(false);
        }
        let processes: Vec<Pid> = (1..=MOST_BROKERS).filter_map(|node| process_with(&self.settings_of(node))).collect();
        for process in &processes {
            // The data goes anyway: there is nothing to be closed in order.
            let _ = kill_process(*process, Signal::KILL);
        }
        let deadline = Instant::now() + PATIENCE;
        for process in processes {
            while !process::is_gone(process) {
                if Instant::now() > deadline {
                    return Err(Error::StillThere { process: process.as_raw_nonzero().get() });
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        std::fs::remove_dir_all(&self.folder).map_err(Error::file(&self.folder))?;
        Ok(true)
    }
}

/// One `up` or `down` at a time.
fn lock() -> Result<File, Error> {
    let path = cache::folder("kafka.lock").map_err(Error::file(Path::new("the cache")))?;
    cache::lock(&path).map_err(Error::file(&path))
}

fn start(dist: &Dist, places: &[&Place]) -> Result<(), Error> {
    let started: Result<Vec<_>, _> =
        places.iter().map(|place| Process::detached(place, dist).map(|process| (*place, process))).collect();
    let mut started = started?;
    let all: Vec<i32> = places.iter().map(|place| id(place)).collect();
    started.iter_mut().try_for_each(|(place, process)| process.wait_until_up(place, &all))
}

fn process_of(place: &Place) -> Option<Pid> {
    process_with(&place.properties())
}

/// The process that has this file as an argument. One that has ended, and nobody asked how, has no arguments.
fn process_with(file: &Path) -> Option<Pid> {
    let wanted = file.as_os_str().as_bytes();
    process::all().into_iter().find(|pid| {
        let line = std::fs::read(process::folder_of(*pid).join("cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0);
        words.any(|word| word == b"kafka.Kafka") && words.next() == Some(wanted)
    })
}

/// What was started in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    brokers: u16,
    first_port: u16,
}

impl State {
    fn write(self, folder: &Path) -> Result<(), Error> {
        let path = folder.join("state");
        std::fs::write(&path, format!("{} {}\n", self.brokers, self.first_port)).map_err(Error::file(&path))
    }

    /// None where there is none, or it can't be understood.
    fn read(folder: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(folder.join("state")).ok()?;
        let (brokers, first_port) = text.trim().split_once(' ')?;
        Some(Self { brokers: brokers.parse().ok()?, first_port: first_port.parse().ok()? })
    }
}
