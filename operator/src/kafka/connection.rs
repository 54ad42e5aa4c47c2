//! A way to a Kafka: by the operator's own settings, or by those in a Secret, whose files stay for as long as somebody may make a client of them.

use journal::kafka::{Hub, Settings};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use std::collections::{HashMap, HashSet};
use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tracing::warn;
use uuid::Uuid;

/// A Kafka, and how it is reached.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    pub(super) settings: Settings,
    pub(super) hub: Hub,
    /// A client reads them when it is made, and is made when it is needed: who keeps `settings` or what was opened with them keeps these.
    pub(super) files: Option<Arc<Files>>,
}

impl Connection {
    /// By settings whose files are somebody else's.
    pub(super) fn by(settings: Settings) -> Self {
        Self { hub: Hub::connect(settings.clone()), settings, files: None }
    }

    /// As a Secret says, whose files are kept in a folder of their own inside `scratch`.
    ///
    /// # Errors
    /// What to change.
    pub(super) fn in_secret(secret: &Secret, scratch: &Path) -> Result<Self, String> {
        let (namespace, name) = (secret.namespace().unwrap_or_default(), secret.name_any());
        let folder = scratch.join(format!("{namespace}.{name}.{}", Uuid::new_v4().simple()));
        let files =
            Files::write(secret, folder).map_err(|error| format!("can't be kept for the connection: {error}"))?;
        let as_text =
            |mistakes: Vec<campaign::Mistake>| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let settings = Settings::in_folder(&files.0).map_err(as_text)?;
        Ok(Self { files: Some(Arc::new(files)), ..Self::by(settings) })
    }
}

/// The content of a Secret as files. Their folder is gone when nobody has this any more.
#[derive(Debug)]
pub(super) struct Files(PathBuf);

impl Files {
    fn write(secret: &Secret, folder: PathBuf) -> std::io::Result<Self> {
        // Made first, so that what fails halfway is removed.
        let files = Self(folder);
        // There are credentials in it.
        DirBuilder::new().recursive(true).mode(0o700).create(&files.0)?;
        for (name, content) in secret.data.iter().flatten() {
            std::fs::write(files.0.join(name), &content.0)?;
        }
        Ok(files)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        match std::fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                warn!(folder = %self.0.display(), %error, "the files of a connection to Kafka can't be removed");
            }
            _ => {}
        }
    }
}

/// Namespace and name of a Secret.
pub(super) type Place = (String, String);

/// The latest connection by each Secret.
#[derive(Default)]
pub(super) struct Latest(Mutex<HashMap<Place, (String, Connection)>>);

impl Latest {
    /// The connection by a Secret, with the Secret's version.
    pub(super) fn get(&self, place: &Place) -> Option<(String, Connection)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(place).cloned()
    }

    /// Takes the place of an earlier version's, which ends with who still uses it.
    pub(super) fn put(&self, place: Place, version: &str, connection: Connection) {
        let superseded =
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(place, (version.to_owned(), connection));
        // Not while others wait for the lock: it may remove files.
        drop(superseded);
    }

    /// Lets all others go.
    pub(super) fn keep_only(&self, places: &HashSet<Place>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<_> = all.extract_if(|place, _| !places.contains(place)).collect();
        drop(all);
        drop(gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::Journals;
    use crate::resource::Campaign;
    use campaign::CampaignUid;
    use serde_json::json;

    fn secret(properties: &str) -> Secret {
        let data = [("client.properties", properties), ("user.txt", "ann")];
        let data = data.map(|(name, content)| (name.to_owned(), k8s_openapi::ByteString(content.into())));
        Secret { data: Some(data.into()), ..Secret::default() }
    }

    fn folders(scratch: &Path) -> usize {
        std::fs::read_dir(scratch).expect("a folder").count()
    }

    #[test]
    fn the_files_of_a_superseded_secret_stay_until_nobody_can_make_a_client_of_them_any_more() {
        let scratch = tempfile::tempdir().expect("a folder");
        let (latest, place) = (Latest::default(), ("hr".to_owned(), "kafka".to_owned()));
        let connect = || Connection::in_secret(&secret("bootstrap.servers=127.0.0.1:9"), scratch.path()).expect("good");
        latest.put(place.clone(), "1", connect());
        let (version, first) = latest.get(&place).expect("it is known");
        let campaign: Campaign = serde_json::from_value(json!({"metadata": {}, "spec": {}})).expect("a campaign");
        let in_use = Journals::of(first, &campaign, CampaignUid(Uuid::nil()));
        let folder = in_use.connection.files.as_ref().expect("files").0.clone();
        assert_eq!((version.as_str(), folders(scratch.path())), ("1", 1));
        latest.put(place.clone(), "2", connect());
        assert_eq!(latest.get(&place).map(|(version, _)| version).as_deref(), Some("2"));
        assert_eq!(std::fs::read_to_string(folder.join("user.txt")).expect("a reconcile still uses it"), "ann");
        drop(in_use);
        assert!(!folder.exists());
        assert_eq!(folders(scratch.path()), 1, "those of the second version");
        latest.keep_only(&[place.clone()].into());
        assert_eq!(folders(scratch.path()), 1, "a campaign still names it");
        latest.keep_only(&HashSet::new());
        assert_eq!((latest.get(&place).is_none(), folders(scratch.path())), (true, 0));
    }

    #[test]
    fn a_secret_that_names_no_kafka_leaves_no_files() {
        let scratch = tempfile::tempdir().expect("a folder");
        let why = Connection::in_secret(&secret(""), scratch.path()).expect_err("no broker is named");
        assert!(why.contains("bootstrap.servers"), "{why}");
        assert_eq!(folders(scratch.path()), 0);
    }
}
