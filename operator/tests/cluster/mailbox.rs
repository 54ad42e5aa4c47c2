//! What the mail server got, by campaign: the truth with which every account is compared.

use crate::cluster::cluster;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One mail, as the server kept it.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    pub to: String,
    /// The row of the list.
    pub row: u64,
    /// When its final dot was read, in seconds since 1970.
    pub at: f64,
    pub file: PathBuf,
}

#[derive(Default)]
struct Index {
    read_at: Option<Instant>,
    known: HashSet<String>,
    /// By the campaign's uid, without hyphens.
    mails: HashMap<String, Vec<Mail>>,
}

/// A folder with many thousand mails is not listed more often.
const FRESH: Duration = Duration::from_millis(100);

static INDEX: LazyLock<Mutex<Index>> = LazyLock::new(Mutex::default);

/// All mails of a campaign so far.
pub(crate) fn mails_of(uid: &str) -> Vec<Mail> {
    let mut index = INDEX.lock().unwrap_or_else(PoisonError::into_inner);
    if index.read_at.is_none_or(|at| at.elapsed() > FRESH) {
        index.read();
    }
    index.mails.get(&uid.replace('-', "")).cloned().unwrap_or_default()
}

impl Index {
    fn read(&mut self) {
        let folder = cluster().maildir().join("new");
        let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !self.known.contains(&name) {
                if let Some((uid, mail)) = read(&entry.path(), &name) {
                    self.mails.entry(uid).or_default().push(mail);
                }
                self.known.insert(name);
            }
        }
        self.read_at = Some(Instant::now());
    }
}

/// The head of one mail; none if it is of no campaign.
fn read(path: &Path, name: &str) -> Option<(String, Mail)> {
    let (mut to, mut id) = (None, None);
    for line in BufReader::new(File::open(path).ok()?).lines() {
        let Ok(line) = line else { break };
        match line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())) {
            Some((name, value)) if name == "delivered-to" => to = Some(value),
            Some((name, value)) if name == "message-id" => id = Some(value),
            _ => {}
        }
        if line.is_empty() || (to.is_some() && id.is_some()) {
            break;
        }
    }
    let id = id?;
    let (uid, row) = id.trim_matches(['<', '>']).split_once('@')?.0.rsplit_once('.')?;
    let at = name.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
    let mail = Mail { to: to?, row: row.parse().ok()?, at: at.parse().ok()?, file: path.to_path_buf() };
    Some((uid.to_owned(), mail))
}
