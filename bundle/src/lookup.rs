//! Finds what a campaign refers to: among the documents of its file, then where a pod has it mounted, then beside the file.

use crate::{
    documents::{Data, Documents},
    folders::names_in,
};
use campaign::{ContentKey, Mistake, mistake::nearest, references::Reference, spec::ClaimPath};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// A template, document or certificate longer than this is a mistake. (An object in a cluster holds 1 MiB.)
const MAX_BYTES: u64 = 64 << 20;

/// Where something was found.
pub(crate) enum Place {
    /// In a document of the campaign's file.
    Document(Vec<u8>),
    /// In a file beside it.
    File(PathBuf),
}

/// Looks up references of one campaign.
pub(crate) struct Lookup<'a> {
    campaign_file: &'a Path,
    directory: &'a Path,
    documents: &'a Documents,
}

impl<'a> Lookup<'a> {
    /// Of the campaign in `campaign_file`, which is in `directory`.
    pub(crate) fn new(campaign_file: &'a Path, directory: &'a Path, documents: &'a Documents) -> Self {
        Self { campaign_file, directory, documents }
    }

    /// Where the reference leads.
    pub(crate) fn find(&self, reference: &Reference) -> Result<Place, Mistake> {
        let key = reference.key();
        if let Some(bytes) = self.objects(reference).get(&key.name).and_then(|data| data.get(&key.key)) {
            return Ok(Place::Document(bytes.clone()));
        }
        let mounted = reference.mounted().filter(|mounted| self.directory.join(mounted).exists());
        let file = mounted.unwrap_or_else(|| PathBuf::from(&reference.file));
        self.file(&reference.field, file, |file| self.missing(reference, file)).map(Place::File)
    }

    /// The file of a volume: in a folder of the claim's name beside the campaign's file.
    pub(crate) fn find_in_volume(&self, field: &str, claim: &ClaimPath) -> Result<PathBuf, Mistake> {
        self.file(field, claim.beside(), |file| {
            let (folder, name) = (file.parent().unwrap_or(self.directory), file.file_name().unwrap_or_default());
            let meant = nearest(&name.to_string_lossy(), names_in(folder).iter().map(String::as_str)).map(str::to_owned);
            let message = format!(
                "there is no file {}: without a cluster the volume of the PersistentVolumeClaim \"{}\" is the folder of that name beside the \
                 campaign's file{}",
                file.display(),
                claim.claim_name,
                meant.map(|meant| format!("; did you mean \"{meant}\"?")).unwrap_or_default(),
            );
            Mistake::new(field, message)
        })
    }

    /// A file beside the campaign's.
    fn file(
        &self,
        field: &str,
        beside: impl AsRef<Path>,
        missing: impl FnOnce(&Path) -> Mistake,
    ) -> Result<PathBuf, Mistake> {
        let file = self.directory.join(beside);
        let wrong = |message: String| Mistake::new(field, message);
        match fs::metadata(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing(&file)),
            Err(error) => return Err(wrong(format!("{} can't be read: {error}", file.display()))),
            Ok(found) if !found.is_file() => return Err(wrong(format!("{} is not a file", file.display()))),
            Ok(_) => {}
        }
        if !self.is_inside(&file) {
            return Err(wrong(format!(
                "{} is a link that leads out of its folder; put the file itself there",
                file.display()
            )));
        }
        Ok(file)
    }

    /// The documents of the reference's kind, by name.
    fn objects(&self, reference: &Reference) -> &'a BTreeMap<String, Data> {
        match reference.content {
            ContentKey::ConfigMap(_) => &self.documents.config_maps,
            ContentKey::Secret(_) => &self.documents.secrets,
        }
    }

    /// Whether the file is in the campaign's folder, wherever links lead.
    fn is_inside(&self, file: &Path) -> bool {
        match (file.canonicalize(), self.directory.canonicalize()) {
            (Ok(file), Ok(directory)) => file.starts_with(directory),
            _ => false,
        }
    }

    /// Where was looked, and what was perhaps meant.
    fn missing(&self, reference: &Reference, file: &Path) -> Mistake {
        let key = reference.key();
        let kind = if matches!(reference.content, ContentKey::ConfigMap(_)) { "ConfigMap" } else { "Secret" };
        let (folder, name) =
            (file.parent().unwrap_or(self.directory), file.file_name().unwrap_or_default().to_string_lossy());
        let files = names_in(folder);
        let keys = self.objects(reference).get(&key.name).into_iter().flat_map(BTreeMap::keys);
        let meant = nearest(&name, keys.chain(&files).map(String::as_str).filter(|candidate| *candidate != name));
        let message = format!(
            "{}/{} is not there: {} holds no {kind} \"{}\" with a key \"{}\", and there is no file {}{}",
            key.name,
            key.key,
            self.campaign_file.display(),
            key.name,
            key.key,
            file.display(),
            meant.map(|meant| format!("; did you mean \"{meant}\"?")).unwrap_or_default(),
        );
        Mistake::new(&reference.field, message)
    }
}

/// The bytes that the reference leads to.
pub(crate) fn bytes(reference: &Reference, place: Place) -> Result<Vec<u8>, Mistake> {
    let file = match place {
        Place::Document(bytes) => return Ok(bytes),
        Place::File(file) => file,
    };
    let wrong = |message: String| Mistake::new(&reference.field, message);
    let unreadable = |error: io::Error| wrong(format!("{} can't be read: {error}", file.display()));
    let size = fs::metadata(&file).map_err(unreadable)?.len();
    if size > MAX_BYTES {
        return Err(wrong(format!(
            "{} has {} MiB, but at most {} are allowed",
            file.display(),
            size >> 20,
            MAX_BYTES >> 20
        )));
    }
    fs::read(&file).map_err(unreadable)
}
