//! A campaign's file with everything it names, read and compiled: what `mailcampaign-worker` starts from.

use crate::Backends;
use bundle::Bundle;
use campaign::{CampaignUid, Mistake};
use journal::Pin;
use letter::Letters;
use std::path::Path;
use std::sync::Arc;

/// A campaign that can be sent. It must live as long as the run: a list from the web is a temporary file.
pub struct Opened {
    /// The campaign and what it refers to.
    pub bundle: Bundle,
    /// Who it is.
    pub uid: CampaignUid,
    /// Its compiled templates.
    pub letters: Arc<Letters>,
}

impl Opened {
    /// Reads and compiles the campaign; `label` is that of `--run`. With the backends of its file.
    ///
    /// # Errors
    /// Every mistake, with its place.
    pub async fn open(file: &Path, label: Option<&str>) -> Result<(Self, Backends), Vec<Mistake>> {
        let bundle = Bundle::open(file).await?;
        let uid = bundle.uid(label);
        let campaign = &bundle.campaign;
        let letters = Letters::compile(&campaign.spec.message, uid, &bundle.contents);
        let backends = Backends::build(&campaign.spec.delivery.backends, &bundle.contents, &campaign.from.address);
        match (letters, backends) {
            (Ok(letters), Ok(backends)) => Ok((Self { bundle, uid, letters: Arc::new(letters) }, backends)),
            (letters, backends) => Err(letters.err().into_iter().chain(backends.err()).flatten().collect()),
        }
    }

    /// What must be pinned in the journal; into how many shards the list was cut is the producers' business.
    pub(crate) fn pin(&self, shards: u32) -> Pin {
        Pin { uid: self.uid, contents: self.bundle.hashes.contents.clone(), destination: "backends".to_owned(), shards }
    }
}
