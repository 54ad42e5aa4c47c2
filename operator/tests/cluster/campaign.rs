//! One campaign of a test: what it declares, what its status says, and what the mail server got of it.

use crate::cluster::cluster;
use crate::mailbox::{Mail, mails_of};
use crate::world::{PATIENCE, World, until};
use campaign::status::{Phase, RecipientCounts};
use campaign::{CampaignUid, MailCampaign, MailCampaignStatus, Outcome};
use journal::kafka::{Hub, Options, Settings, Timing, Which};
use journal::{Journal as _, RowState};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// A campaign that is there.
pub(crate) struct Campaign<'w> {
    pub world: &'w World,
    pub name: String,
    pub uid: String,
}

/// What all campaigns of these tests have: the list `list`, a short message, the cluster's mail server, pods that ask for little.
fn ordinary() -> Value {
    let resources = json!({"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}});
    json!({
        "recipients": {"source": {"configMap": {"name": "list", "key": "list.csv"}}},
        "message": {
            "from": "Tests <tests@example.com>",
            "subject": "For {{ Name }}",
            "text": {"inline": "Hello {{ Name }}\n"},
        },
        "delivery": {
            "backends": [{"name": "relay", "smtp": {"host": "smtp-relay.mail.svc.cluster.local", "port": 2525, "tls": "None"}}],
            "onUnknown": "Hold",
        },
        "producer": {"resources": resources},
        "workers": {"resources": resources},
        "deletionPolicy": "Delete",
    })
}

/// Objects are merged, null takes away, everything else is replaced (RFC 7386).
fn merge(into: &mut Value, changes: &Value) {
    let (Some(fields), Some(changes)) = (into.as_object_mut(), changes.as_object()) else {
        *into = changes.clone();
        return;
    };
    for (name, change) in changes {
        if change.is_null() {
            fields.remove(name);
        } else {
            merge(fields.entry(name.clone()).or_insert(json!({})), change);
        }
    }
}

impl World {
    /// Applies a campaign that differs from the ordinary one so.
    pub(crate) async fn campaign(&self, name: &str, differs: Value) -> Campaign<'_> {
        let mut spec = ordinary();
        merge(&mut spec, &differs);
        let made = self.put::<MailCampaign>(name, json!({"spec": spec})).await;
        Campaign { world: self, name: name.to_owned(), uid: made.uid().expect("a uid") }
    }
}

impl Campaign<'_> {
    pub(crate) fn api(&self) -> Api<MailCampaign> {
        self.world.api()
    }

    /// What was said of it last; nothing if it is gone.
    pub(crate) async fn status(&self) -> MailCampaignStatus {
        let found = self.api().get_opt(&self.name).await.expect("the API server answers");
        found.and_then(|found| found.status).unwrap_or_default()
    }

    /// Waits until the status is so.
    pub(crate) async fn status_until(
        &self,
        what: &str,
        is_so: impl Fn(&MailCampaignStatus) -> bool,
    ) -> MailCampaignStatus {
        self.status_within(PATIENCE, what, is_so).await
    }

    pub(crate) async fn status_within(
        &self,
        patience: Duration,
        what: &str,
        is_so: impl Fn(&MailCampaignStatus) -> bool,
    ) -> MailCampaignStatus {
        until(&format!("{}: {what}", self.name), patience, async || Some(self.status().await).filter(&is_so)).await
    }

    pub(crate) async fn reaches(&self, phase: Phase) -> MailCampaignStatus {
        self.status_until(phase.name(), |status| status.phase == Some(phase)).await
    }

    /// Waits until a condition says this.
    pub(crate) async fn says(&self, condition: &str, status: &str, reason: &str, words: &[&str]) {
        let of = |found: &MailCampaignStatus| {
            let found = found.conditions.iter().find(|one| one.type_ == condition).cloned();
            found.map(|one| format!("{} {}: {}", one.status, one.reason, one.message)).unwrap_or_default()
        };
        let beginning = format!("{status} {reason}: ");
        let says = |said: &str| said.starts_with(&beginning) && words.iter().all(|word| said.contains(word));
        let what = format!("{condition} {beginning}{words:?}");
        self.status_until(&what, |found| says(&of(found))).await;
    }

    /// Changes the spec.
    pub(crate) async fn change(&self, spec: Value) {
        let change = json!({"spec": spec});
        self.api().patch(&self.name, &PatchParams::default(), &Patch::Merge(&change)).await.expect("it is changed");
    }

    pub(crate) async fn annotate(&self, name: &str, value: &str) {
        let change = json!({"metadata": {"annotations": {name: value}}});
        self.api().patch(&self.name, &PatchParams::default(), &Patch::Merge(&change)).await.expect("it is annotated");
    }

    pub(crate) fn mails(&self) -> Vec<Mail> {
        mails_of(&self.uid)
    }

    /// Waits until the mail server has so many.
    pub(crate) async fn has_sent(&self, count: usize) {
        until(&format!("{}: {count} mails", self.name), PATIENCE, async || (self.mails().len() >= count).then_some(()))
            .await;
    }

    /// Waits for its end, and compares: the account is that of the status, nobody got two mails, everybody who is said to have got one did, and whoever
    /// got one is said to have got it, or that nobody knows.
    pub(crate) async fn ends_exactly(&self, rows: u64) -> RecipientCounts {
        let status = self.reaches(Phase::Completed).await;
        let counts = status.recipients.expect("counts");
        let mails = self.mails();
        let mailed: BTreeSet<u64> = mails.iter().map(|mail| mail.row).collect();
        assert_eq!(mailed.len(), mails.len(), "{}: somebody got two mails", self.name);
        let (mut delivered, mut unknown) = (BTreeSet::new(), BTreeSet::new());
        for state in self.rows().await {
            match state {
                RowState::Message { row, latest: Some(latest), .. } => match latest.outcome {
                    Outcome::Delivered { .. } => assert!(delivered.insert(row)),
                    Outcome::Unknown { .. } => assert!(unknown.insert(row)),
                    other => panic!("{}: row {row} is {other:?}", self.name),
                },
                other => panic!("{}: {other:?}", self.name),
            }
        }
        let told = (counts.total, counts.published, counts.delivered, counts.unknown);
        assert_eq!(told, (rows, rows, delivered.len() as u64, unknown.len() as u64), "{}: {counts:?}", self.name);
        assert_eq!(counts.delivered + counts.unknown, rows, "{}: {counts:?}", self.name);
        let lost: Vec<_> = delivered.difference(&mailed).collect();
        assert!(lost.is_empty(), "{}: said to be delivered, and never sent: {lost:?}", self.name);
        let untold: Vec<_> = mailed.iter().filter(|row| !delivered.contains(row) && !unknown.contains(row)).collect();
        assert!(untold.is_empty(), "{}: sent, and nobody says so: {untold:?}", self.name);
        counts
    }

    /// The same where nothing happened that leaves anything unknown.
    pub(crate) async fn delivers_all(&self, rows: u64) {
        let counts = self.ends_exactly(rows).await;
        assert_eq!((counts.delivered, counts.unknown), (rows, 0), "{}", self.name);
    }

    fn which(&self) -> Which {
        Which {
            prefix: "mailcampaign".to_owned(),
            namespace: self.world.namespace.clone(),
            name: self.name.clone(),
            uid: CampaignUid(self.uid.parse().expect("a uid")),
        }
    }

    async fn rows(&self) -> Vec<RowState> {
        let settings = Settings::plaintext(cluster().kafka());
        let hub = Hub::connect(settings.clone());
        let options =
            Options { settings, which: self.which(), partitions: 4, replication: None, timing: Timing::default() };
        let journal = hub.open_existing(&options).await.expect("its topics are there");
        journal.rows(0, usize::MAX).await.expect("its rows can be read")
    }

    /// Whether nothing of it is left on Kafka.
    pub(crate) async fn has_no_topics(&self) -> bool {
        let hub = Hub::connect(Settings::plaintext(cluster().kafka()));
        hub.find(&self.which()).await.expect("Kafka answers").is_nothing()
    }

    pub(crate) async fn delete(&self) {
        self.api().delete(&self.name, &DeleteParams::default()).await.expect("it is deleted");
    }

    pub(crate) async fn is_gone(&self) -> bool {
        self.api().get_opt(&self.name).await.expect("the API server answers").is_none()
    }
}
