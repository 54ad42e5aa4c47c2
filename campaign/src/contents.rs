//! Contents that a campaign refers to by name, already read: templates, documents, secrets. The list itself stays a file.

use crate::spec::{ContentRef, KeyRef, TemplateSource};
use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc};

/// Which content: a key of a ConfigMap or of a Secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ContentKey {
    /// Of a ConfigMap.
    ConfigMap(KeyRef),
    /// Of a Secret.
    Secret(KeyRef),
}

impl ContentRef {
    /// The one key that is set.
    pub fn key(&self) -> Option<ContentKey> {
        key_of(self.config_map.as_ref(), self.secret.as_ref())
    }
}

impl TemplateSource {
    /// The one key that is set; none when the text is inline.
    pub fn key(&self) -> Option<ContentKey> {
        key_of(self.config_map.as_ref(), self.secret.as_ref())
    }
}

fn key_of(config_map: Option<&KeyRef>, secret: Option<&KeyRef>) -> Option<ContentKey> {
    config_map.cloned().map(ContentKey::ConfigMap).or_else(|| secret.cloned().map(ContentKey::Secret))
}

/// All contents of a campaign but its list.
#[derive(Clone, Default)]
pub struct Contents {
    /// The folder to which `each.directory` and a backend's `maildir.path` are relative.
    pub directory: PathBuf,
    by_key: BTreeMap<ContentKey, Arc<[u8]>>,
}

impl Contents {
    /// No contents yet, relative to `directory`.
    pub fn in_directory(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), by_key: BTreeMap::new() }
    }

    /// Adds one.
    pub fn insert(&mut self, key: ContentKey, bytes: impl Into<Arc<[u8]>>) {
        self.by_key.insert(key, bytes.into());
    }

    /// Every key and its bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&ContentKey, &Arc<[u8]>)> {
        self.by_key.iter()
    }

    /// The bytes of one, if it was found.
    pub fn get(&self, key: &ContentKey) -> Option<&Arc<[u8]>> {
        self.by_key.get(key)
    }
}

/// Sizes instead of bytes: some of them are secrets.
impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entry(&"directory", &self.directory)
            .entries(self.by_key.iter().map(|(key, bytes)| (key, format!("{} bytes", bytes.len()))))
            .finish()
    }
}
