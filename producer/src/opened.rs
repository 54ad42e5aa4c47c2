//! A campaign's file with everything it names, read and compiled: what the programs start from.

use crate::{Input, ListFile, Shard, Suppress};
use bundle::Bundle;
use campaign::spec::{ContentRef, Recipients};
use campaign::{CampaignUid, ContentKey, Contents, Mistake};
use journal::Pin;
use letter::{Letters, RequestBody};
use std::path::Path;
use std::sync::Arc;

/// A campaign that is free of mistakes as far as one can see without its list's rows.
pub struct Opened {
    /// The campaign and what it refers to.
    pub bundle: Bundle,
    /// Who it is.
    pub uid: CampaignUid,
    /// Its compiled templates.
    pub letters: Arc<Letters>,
    /// What is published.
    pub input: Arc<Input>,
}

/// Where the mails of a campaign go, as it is pinned in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// A rehearsal: a folder on this machine.
    Outbox,
    /// The backends of the file.
    Backends,
}

impl Destination {
    /// Its name in the journal.
    pub fn name(self) -> &'static str {
        match self {
            Self::Outbox => "outbox",
            Self::Backends => "backends",
        }
    }
}

impl Opened {
    /// Reads and compiles the campaign; `label` is that of `--run`.
    ///
    /// # Errors
    /// Every mistake, with its place.
    pub async fn open(file: &Path, label: Option<&str>) -> Result<Self, Vec<Mistake>> {
        let bundle = Bundle::open(file).await?;
        let uid = bundle.uid(label);
        let recipients = &bundle.campaign.spec.recipients;
        let letters = Letters::compile(&bundle.campaign.spec.message, uid, &bundle.contents);
        let suppress = read_suppress(recipients, &bundle.contents);
        let bodies = RequestBody::all_of(&bundle.campaign.spec.delivery.backends);
        let (letters, suppress, bodies) = match (letters, suppress, bodies) {
            (Ok(letters), Ok(suppress), Ok(bodies)) => (Arc::new(letters), suppress, bodies),
            (letters, suppress, bodies) => {
                return Err([letters.err(), suppress.err(), bodies.err()].into_iter().flatten().flatten().collect());
            }
        };
        let list = list_file(&bundle.list);
        let input = Input { list, recipients: recipients.clone(), suppress, letters: Arc::clone(&letters), bodies };
        Ok(Self { bundle, uid, letters, input: Arc::new(input) })
    }

    /// `namespace.name`: the name of the campaign's state folder.
    pub fn folder_name(&self) -> String {
        format!("{}.{}", self.bundle.campaign.namespace, self.bundle.campaign.name)
    }

    /// What the campaign is made of, for the journal, with the list cut into so many shards.
    pub fn pin(&self, destination: Destination, shards: u32) -> Pin {
        Pin {
            uid: self.uid,
            contents: self.bundle.hashes.contents.clone(),
            destination: destination.name().to_owned(),
            shards: shards.max(Shard::WHOLE.of()),
        }
    }
}

/// The bundle's list as it is read here. The bundle must live as long: a temporary file lives as long as it.
pub fn list_file(list: &bundle::ListFile) -> ListFile {
    ListFile { path: list.path.clone(), display_name: list.display_name.clone() }
}

/// The addresses that are never mailed.
///
/// # Errors
/// Every line that is neither an address nor a domain.
pub fn read_suppress(recipients: &Recipients, contents: &Contents) -> Result<Suppress, Vec<Mistake>> {
    let Some(key) = recipients.suppress.as_ref().and_then(ContentRef::key) else { return Ok(Suppress::default()) };
    let (ContentKey::ConfigMap(name) | ContentKey::Secret(name)) = &key;
    contents.get(&key).map_or_else(|| Ok(Suppress::default()), |bytes| Suppress::read(&name.key, bytes))
}
