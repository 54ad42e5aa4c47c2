//! A campaign that obeys every rule: parsed once, not checked again.

use crate::{
    CampaignUid, DeliveryWindow, MailCampaignSpec, Mailbox, Mistake,
    address::ascii_domain,
    spec::{ListFormat, OnUnknown},
};
use serde_json::Value;
use uuid::Uuid;

/// A campaign that obeys every rule, with what the rules had to parse.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidCampaign {
    /// Its namespace; `default` if the file names none.
    pub namespace: String,
    /// Its name: at most 40 characters, no dots.
    pub name: String,
    /// `metadata.uid`, which a cluster gives.
    pub uid: Option<CampaignUid>,
    /// What the file declares, with defaults filled in; domains of `perDomain` in their ASCII form.
    pub spec: MailCampaignSpec,
    /// `spec.message.from`.
    pub from: Mailbox,
    /// The list's format: `spec.recipients.format`, else by the ending of its name.
    pub list_format: ListFormat,
    /// `spec.delivery.window`.
    pub window: Option<DeliveryWindow>,
}

impl ValidCampaign {
    /// `namespace/name`, as people and [`crate::CampaignUid::alone`] name it.
    pub fn namespaced_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// What becomes of mails of which nobody knows whether they were delivered.
    pub fn on_unknown(&self) -> OnUnknown {
        self.spec.delivery.on_unknown
    }
}

/// Reads a document in which no rule found a mistake.
pub(super) fn read(document: &Value) -> Result<ValidCampaign, Mistake> {
    let mut spec = document["spec"].clone();
    without_nulls(&mut spec);
    let mut spec: MailCampaignSpec =
        serde_json::from_value(spec).map_err(|error| Mistake::new("spec", error.to_string()))?;
    if let Some(domains) =
        spec.delivery.rate.as_mut().and_then(|rate| rate.per_domain.as_mut()).map(|rates| &mut rates.domains)
    {
        *domains = std::mem::take(domains)
            .into_iter()
            .map(|(domain, rate)| (ascii_domain(&domain).unwrap_or(domain), rate))
            .collect();
    }
    let from =
        Mailbox::parse(&spec.message.from).map_err(|error| Mistake::new("spec.message.from", error.to_string()))?;
    let list_format = spec
        .recipients
        .format
        .or_else(|| ListFormat::of_name(spec.recipients.source.name()))
        .ok_or_else(|| Mistake::new("spec.recipients.format", "is missing"))?;
    let window = spec
        .delivery
        .window
        .as_ref()
        .map(DeliveryWindow::new)
        .transpose()
        .map_err(|error| Mistake::new("spec.delivery.window.timeZone", error.to_string()))?;
    let text = |field: &str| document["metadata"][field].as_str().map(str::to_owned);
    Ok(ValidCampaign {
        namespace: text("namespace").unwrap_or_else(|| "default".to_owned()),
        name: text("name").unwrap_or_default(),
        uid: text("uid").and_then(|uid| Uuid::parse_str(&uid).ok()).map(CampaignUid),
        spec,
        from,
        list_format,
        window,
    })
}

/// A null is the same as nothing, as in an API server.
pub(super) fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}
