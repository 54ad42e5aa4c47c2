//! A campaign file and everything it names, read and checked: what `run`, `validate` and `preview` start from.
//!
//! A reference (`configMap` or `secret` with name and key) is looked up among the ConfigMaps and Secrets of the same YAML file, then as the file `key`
//! beside it. The credentials of `smtp.auth.secret` (keys `username` and `password`) are looked up there too, then as the files `<name>/username` and
//! `<name>/password` beside the campaign's file. In a pod each object is a folder, `configMaps/<name>` or `secrets/<name>`, which goes before. What is in a volume (`persistentVolumeClaim`) is in a folder of the claim's name there. No name and no link leads out of the campaign's folder.

mod documents;
mod download;
mod folders;
mod hashes;
mod inspection;
mod list;
mod lookup;

pub use hashes::{Hashes, sha256};
pub use inspection::Inspection;
pub use list::ListFile;

use campaign::references::{self, LIST_IN_VOLUME, Purpose, Reference};
use campaign::{CampaignUid, Contents, Mistake, ValidCampaign, rules};
use documents::Documents;
use lookup::{Lookup, Place};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A campaign with everything it refers to.
#[derive(Debug)]
pub struct Bundle {
    /// The campaign, obeying every rule.
    pub campaign: ValidCampaign,
    /// Templates, documents, secrets, certificates, the list of suppressed addresses: all but the list. The credentials of `smtp.auth.secret` are its
    /// keys `username` and `password`. One line break at the end of a credential or of a header's value is not part of it.
    pub contents: Contents,
    /// The list, a file on disk.
    pub list: ListFile,
    /// SHA-256 of everything that decides who gets what.
    pub hashes: Hashes,
}

impl Bundle {
    /// Reads a campaign's YAML file and everything it names. A list from the web is fetched.
    ///
    /// # Errors
    /// Every mistake in the file and in what it names, each with its place.
    pub async fn open(path: &Path) -> Result<Self, Vec<Mistake>> {
        let gathered = Gathered::of(path).await?;
        blocking(move || gathered.finish()).await
    }

    /// Who the campaign is: the resource's uid, where the file is what a cluster prints of it; else, and with the label of `--run`, see
    /// [`CampaignUid::alone`].
    pub fn uid(&self, run: Option<&str>) -> CampaignUid {
        if let (Some(uid), None) = (self.campaign.uid, run) {
            return uid;
        }
        CampaignUid::alone(&self.campaign.namespaced_name(), &self.hashes.list, &self.hashes.message, run)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Vec<Mistake>> + Send + 'static,
) -> Result<T, Vec<Mistake>> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(vec![Mistake::new("campaign", format!("could not be read: {error}"))]))
}

/// What was found so far, with every mistake so far.
struct Gathered {
    /// The resource as it was written.
    document: Value,
    /// None: it has mistakes.
    campaign: Option<ValidCampaign>,
    /// Address and SHA-256 of a list from the web, if both are right.
    web_list: Option<(String, String)>,
    contents: Contents,
    list: Option<ListFile>,
    mistakes: Vec<Mistake>,
}

impl Gathered {
    /// Reads the file and everything it names.
    async fn of(path: &Path) -> Result<Self, Vec<Mistake>> {
        let file = path.to_owned();
        let mut gathered = blocking(move || Self::read(&file)).await?;
        if let Some((url, sha256)) = gathered.web_list.take() {
            match download::fetch(&url, &sha256).await {
                Ok(list) => gathered.list = Some(list),
                Err(mistake) => gathered.mistakes.push(mistake),
            }
        }
        Ok(gathered)
    }

    /// Reads the file, judges it by the rules, and looks up what it refers to.
    fn read(file: &Path) -> Result<Self, Vec<Mistake>> {
        let documents = Documents::read(file)?;
        let directory = folder_of(file);
        let (campaign, mistakes) = match rules::parse(&documents.campaign) {
            Ok(campaign) => (Some(campaign), Vec::new()),
            Err(mistakes) => (None, mistakes),
        };
        let web_list = web_list(&documents.campaign, &mistakes);
        let contents = Contents::in_directory(&directory);
        let mut gathered = Self { document: Value::Null, campaign, web_list, contents, list: None, mistakes };
        gathered.mistakes.extend_from_slice(&documents.mistakes);
        let lookup = Lookup::new(file, &directory, &documents);
        for reference in references::of(&documents.campaign) {
            if let Err(mistake) = gathered.gather(&lookup, &reference) {
                gathered.mistakes.push(mistake);
            }
        }
        if let Some(claim) = references::list_in_volume(&documents.campaign) {
            match lookup.find_in_volume(LIST_IN_VOLUME, &claim) {
                Ok(path) => gathered.list = Some(ListFile::at(path, file_name(&claim.path))),
                Err(mistake) => gathered.mistakes.push(mistake),
            }
        }
        gathered.mistakes.extend(folders::missing(&documents.campaign, &directory));
        gathered.document = documents.campaign;
        Ok(gathered)
    }

    fn gather(&mut self, lookup: &Lookup<'_>, reference: &Reference) -> Result<(), Mistake> {
        let place = lookup.find(reference)?;
        if reference.purpose == Purpose::List {
            self.list = Some(match place {
                Place::File(path) => ListFile::at(path, &reference.key().key),
                Place::Document(bytes) => ListFile::temporary(&bytes, &reference.key().key).map_err(|error| {
                    Mistake::new(&reference.field, format!("can't be written to a temporary file: {error}"))
                })?,
            });
            return Ok(());
        }
        let mut bytes = lookup::bytes(reference, place)?;
        if reference.purpose == Purpose::Credential {
            without_line_break(&mut bytes);
        }
        self.contents.insert(reference.content.clone(), bytes);
        Ok(())
    }

    /// The bundle, if there is no mistake.
    fn finish(self) -> Result<Bundle, Vec<Mistake>> {
        let (Some(campaign), true) = (self.campaign, self.mistakes.is_empty()) else { return Err(self.mistakes) };
        let list = self.list.ok_or_else(|| vec![Mistake::new("spec.recipients.source", "is missing")])?;
        let hashes = Hashes::of(&campaign.spec, &self.contents, &list).map_err(|mistake| vec![mistake])?;
        Ok(Bundle { campaign, contents: self.contents, list, hashes })
    }
}

/// Address and SHA-256 of a list that is to be fetched, unless one of them is a mistake.
fn web_list(campaign: &Value, mistakes: &[Mistake]) -> Option<(String, String)> {
    let http = campaign.pointer("/spec/recipients/source/http")?;
    if mistakes.iter().any(|mistake| mistake.place.starts_with("spec.recipients.source")) {
        return None;
    }
    Some((http["url"].as_str()?.to_owned(), http["sha256"].as_str()?.to_owned()))
}

/// The last part of a path.
fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Editors end a file with a line break, which nobody means as part of a password.
fn without_line_break(bytes: &mut Vec<u8>) {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
}
