//! Folders that a campaign names beside its file.

use campaign::{Mistake, mistake::nearest, references::volume};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Folders of `each` attachments that don't exist.
pub(crate) fn missing(campaign: &Value, beside: &Path) -> Vec<Mistake> {
    let attachments = campaign["spec"]["message"]["attachments"].as_array();
    let folders = attachments.into_iter().flatten().enumerate().filter_map(|(index, attachment)| {
        let each = &attachment["each"];
        let directory = each["directory"].as_str().map(|directory| (PathBuf::from(directory), "directory"));
        let claimed = || Some((volume(&each["persistentVolumeClaim"])?.beside(), "persistentVolumeClaim.path"));
        let (folder, field) = directory.or_else(claimed)?;
        (!beside.join(&folder).is_dir()).then(|| {
            let message = match nearest(&folder.to_string_lossy(), names_in(beside).iter().map(String::as_str)) {
                Some(meant) => {
                    format!("there is no folder {}; did you mean \"{meant}\"?", beside.join(&folder).display())
                }
                None => format!("there is no folder {}", beside.join(&folder).display()),
            };
            Mistake::new(format!("spec.message.attachments[{index}].each.{field}"), message)
        })
    });
    folders.collect()
}

/// Names of what is in a folder; none if it can't be read.
pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}
