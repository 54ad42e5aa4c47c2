//! Opens a campaign's journal on Kafka to publish in it, unless the same campaign was begun there with other content.
//!
//! Who a campaign is follows from its list and its message. So a changed list would be another campaign, with topics of its own, and everybody would be
//! mailed again: that is refused here, unless a label says that it is meant; and a label stands for one list and one message. On a cluster the campaign is
//! its resource, whatever is in it, and the operator asks.

use campaign::CampaignUid;
use journal::kafka::{Hub, Kafka, Options};
use journal::{Error, Journal, Pin};
use program::Failure;

/// Opens the journal of a campaign, and makes it if it isn't there; `label` is that of `--run`.
///
/// # Errors
/// Kafka can't be used; or the campaign of that name was begun, under that label if there is one, with other content than that of `pin`.
pub async fn begin(options: Options, pin: &Pin, label: Option<&str>) -> Result<Kafka, Failure> {
    let hub = Hub::connect(options.settings.clone());
    refuse_a_changed_campaign(&hub, &options, pin, label).await?;
    Ok(hub.open(&options).await?)
}

/// Compares what is to be published with what is pinned.
///
/// # Errors
/// What differs, and what to do.
pub fn must_be(pinned: &Pin, pin: &Pin) -> Result<(), Failure> {
    pinned.must_be(pin).map_err(|error| {
        Failure::bad_input(format!(
            "{error}. Put it back as it was to go on, or give --run LABEL to begin another campaign, to everybody on the list"
        ))
    })
}

async fn refuse_a_changed_campaign(
    hub: &Hub,
    options: &Options,
    pin: &Pin,
    label: Option<&str>,
) -> Result<(), Failure> {
    let name = format!("{}/{}", options.which.namespace, options.which.name);
    if !was_begun_under(pin, &name, label) {
        // A cluster says who the campaign is, and its operator has asked whether everybody is to be mailed again.
        return Ok(());
    }
    let siblings = hub.siblings(&options.which).await?.into_iter().filter_map(|sibling| sibling.pin);
    let alike = siblings.filter(|pinned| label.is_none() || was_begun_under(pinned, &name, label));
    let Some(nearest) = nearest(alike, pin) else { return Ok(()) };
    match hub.open_existing(options).await {
        // It was begun as well, so it may go on.
        Ok(journal) if journal.pinned().await?.is_some() => Ok(()),
        Ok(_) | Err(Error::NotPinned) => {
            // How the list is cut is no content.
            let cut_alike = Pin { shards: nearest.shards, ..pin.clone() };
            must_be(&nearest, &cut_alike)
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether a campaign was begun under a label: its uid tells.
fn was_begun_under(pinned: &Pin, namespaced_name: &str, label: Option<&str>) -> bool {
    bundle::Hashes::of_parts(&pinned.contents)
        .is_some_and(|hashes| CampaignUid::alone(namespaced_name, &hashes.list, &hashes.message, label) == pinned.uid)
}

/// The campaign that differs the least: what changed is told of that one.
fn nearest(others: impl Iterator<Item = Pin>, pin: &Pin) -> Option<Pin> {
    others.min_by_key(|other| match other.must_be(pin) {
        Err(Error::ContentChanged { changed }) => changed.len(),
        _ => 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pinned(list: &str, text: &str) -> Pin {
        let contents = [("spec.recipients.source", list), ("spec.message.text", text)];
        Pin {
            uid: CampaignUid::alone("hr/offers", list, text, None),
            contents: contents.map(|(path, hash)| (path.to_owned(), hash.to_owned())).into(),
            destination: "backends".to_owned(),
            shards: 1,
        }
    }

    #[test]
    fn what_changed_is_told_of_the_campaign_that_is_nearest() {
        let others = [pinned("aa", "bb"), pinned("aa", "cc"), pinned("dd", "ee")];
        let nearest = nearest(others.into_iter(), &pinned("ff", "cc")).expect("one");
        let refused = must_be(&nearest, &pinned("ff", "cc")).expect_err("another list").to_string();
        assert!(refused.contains("spec.recipients.source") && !refused.contains("text"), "{refused}");
        assert!(refused.contains("--run LABEL"), "{refused}");
    }

    #[test]
    fn the_same_content_under_another_label_is_another_campaign_too() {
        let labelled = Pin { uid: CampaignUid::alone("hr/offers", "aa", "bb", Some("again")), ..pinned("aa", "bb") };
        let refused = must_be(&labelled, &pinned("aa", "bb")).expect_err("another label").to_string();
        assert!(refused.contains("run label"), "{refused}");
    }

    #[test]
    fn a_label_stands_for_one_list_and_one_message() {
        let parts = [("spec.recipients.source", "aa"), ("spec.message.text", "bb")];
        let contents = parts.map(|(path, hash)| (path.to_owned(), hash.to_owned())).into();
        let hashes = bundle::Hashes::of_parts(&contents).expect("there is a list");
        let uid = CampaignUid::alone("hr/offers", &hashes.list, &hashes.message, Some("again"));
        let begun = Pin { uid, contents, ..pinned("aa", "bb") };
        assert!(was_begun_under(&begun, "hr/offers", Some("again")));
        assert!(!was_begun_under(&begun, "hr/offers", Some("a third time")));
        assert!(!was_begun_under(&begun, "hr/payslips", Some("again")));
    }
}
