//! A campaign's file with everything it names, read and compiled: what every command starts from.

use crate::failure::Failure;
use bundle::Bundle;
use campaign::spec::Recipients;
use campaign::{CampaignUid, ContentKey, Contents, Mistake};
use letter::Letters;
use producer::{Input, ListFile, Suppress};
use std::path::Path;
use std::sync::Arc;

/// A campaign that is free of mistakes as far as one can see without its list's rows.
pub(crate) struct Opened {
    pub(crate) bundle: Bundle,
    pub(crate) uid: CampaignUid,
    pub(crate) letters: Arc<Letters>,
    pub(crate) input: Arc<Input>,
}

impl Opened {
    /// Reads and compiles the campaign; `label` is that of `--run`.
    pub(crate) async fn open(file: &Path, label: Option<&str>) -> Result<Self, Failure> {
        let bundle = Bundle::open(file).await.map_err(|mistakes| Failure::mistakes(&mistakes))?;
        let uid = bundle.uid(label);
        let recipients = &bundle.campaign.spec.recipients;
        let letters = Letters::compile(&bundle.campaign.spec.message, uid, &bundle.contents);
        let suppress = read_suppress(recipients, &bundle.contents);
        let (letters, suppress) = match (letters, suppress) {
            (Ok(letters), Ok(suppress)) => (Arc::new(letters), suppress),
            (letters, suppress) => {
                let mistakes: Vec<Mistake> = letters.err().into_iter().chain(suppress.err()).flatten().collect();
                return Err(Failure::mistakes(&mistakes));
            }
        };
        let list = list_file(&bundle.list);
        let input = Input { list, recipients: recipients.clone(), suppress, letters: Arc::clone(&letters) };
        Ok(Self { bundle, uid, letters, input: Arc::new(input) })
    }

    /// `namespace.name`: the name of the campaign's state folder.
    pub(crate) fn folder_name(&self) -> String {
        format!("{}.{}", self.bundle.campaign.namespace, self.bundle.campaign.name)
    }
}

/// The bundle's list as the producer reads it. The bundle must live as long: a temporary file lives as long as it.
pub(crate) fn list_file(list: &bundle::ListFile) -> ListFile {
    ListFile { path: list.path.clone(), display_name: list.display_name.clone() }
}

/// The addresses that are never mailed.
pub(crate) fn read_suppress(recipients: &Recipients, contents: &Contents) -> Result<Suppress, Vec<Mistake>> {
    let Some(key) = recipients.suppress.as_ref().and_then(campaign::spec::ContentRef::key) else {
        return Ok(Suppress::default());
    };
    let (ContentKey::ConfigMap(name) | ContentKey::Secret(name)) = &key;
    contents.get(&key).map_or_else(|| Ok(Suppress::default()), |bytes| Suppress::read(&name.key, bytes))
}
