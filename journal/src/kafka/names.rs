//! What the topics, the group and the transactions of a campaign are called.

use campaign::CampaignUid;

/// Which campaign, for the names of its topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Which {
    /// What all topic names begin with.
    pub prefix: String,
    /// The campaign's namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Who it is.
    pub uid: CampaignUid,
}

/// The names of one campaign's topics, `<prefix>.<namespace>.<name>.<uid8>.<kind>`, and of what goes with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// One record a row of the list: its message, or why there is none.
    pub outbox: String,
    /// What became of the messages; as many partitions as `outbox`, and a row has the same in both.
    pub outcomes: String,
    /// One partition: what is pinned, how far the list is published, pauses and commands.
    pub control: String,
    /// The consumer group of the workers.
    pub group: String,
    uid: CampaignUid,
}

impl Names {
    /// The names of a campaign.
    pub fn of(which: &Which) -> Self {
        let uid = which.uid.0.as_simple().to_string();
        let base = format!("{}{}", Self::siblings(which), &uid[..8]);
        Self {
            outbox: format!("{base}.outbox"),
            outcomes: format!("{base}.outcomes"),
            control: format!("{base}.control"),
            group: base,
            uid: which.uid,
        }
    }

    /// What the topics of every campaign of that namespace and name begin with, whatever their uid.
    pub fn siblings(which: &Which) -> String {
        format!("{}.{}.{}.", which.prefix, which.namespace, which.name)
    }

    /// The transactional id of a shard's publisher: the same for each that takes the shard over, so that the one before is fenced (KIP-98).
    pub fn publisher(&self, shard: u32) -> String {
        format!("{}.producer.{shard}", self.uid)
    }

    /// The transactional id of one life of a worker.
    pub fn worker(&self, life: &str) -> String {
        format!("{}.worker.{life}", self.uid)
    }

    /// The transactional id of those who pin the content and write down what people decide: one at a time.
    pub fn clerk(&self) -> String {
        format!("{}.clerk", self.uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_named_after_the_campaign_and_the_beginning_of_its_uid() {
        let uid = CampaignUid::alone("hr/offers", "list", "message", None);
        let which =
            Which { prefix: "mailcampaign".to_owned(), namespace: "hr".to_owned(), name: "offers".to_owned(), uid };
        let names = Names::of(&which);
        let uid8 = &uid.0.as_simple().to_string()[..8];
        assert_eq!(names.outbox, format!("mailcampaign.hr.offers.{uid8}.outbox"));
        assert_eq!(names.group, format!("mailcampaign.hr.offers.{uid8}"));
        assert!(names.control.starts_with(&Names::siblings(&which)));
    }
}
