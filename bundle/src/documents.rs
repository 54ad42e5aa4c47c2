//! The documents of a campaign's YAML file: the MailCampaign, and ConfigMaps and Secrets with what it refers to.

use campaign::Mistake;
use serde_json::{Map, Value};
use std::{collections::BTreeMap, fs, path::Path};

/// A file longer than this is no campaign: a list belongs in a file of its own.
const MAX_BYTES: u64 = 64 << 20;

/// The keys of a ConfigMap or Secret and their bytes.
pub(crate) type Data = BTreeMap<String, Vec<u8>>;

/// What a campaign's file holds. Never printed: it may hold secrets.
pub(crate) struct Documents {
    /// The one MailCampaign, not judged yet.
    pub(crate) campaign: Value,
    /// By name.
    pub(crate) config_maps: BTreeMap<String, Data>,
    /// By name.
    pub(crate) secrets: BTreeMap<String, Data>,
    /// Mistakes in ConfigMaps and Secrets.
    pub(crate) mistakes: Vec<Mistake>,
}

impl Documents {
    /// Reads a YAML file of one or more documents.
    ///
    /// # Errors
    /// The file can't be read, is no YAML, or holds no or more than one MailCampaign.
    pub(crate) fn read(file: &Path) -> Result<Self, Vec<Mistake>> {
        let name = file.display().to_string();
        let wrong = |message: String| vec![Mistake::new(&name, message)];
        let size = fs::metadata(file).map_err(|error| wrong(format!("can't be read: {error}")))?.len();
        if size > MAX_BYTES {
            return Err(wrong(format!("has {size} bytes, which no campaign has; put the list into a file of its own")));
        }
        let text = fs::read_to_string(file).map_err(|error| wrong(format!("can't be read: {error}")))?;
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).map_err(|error| vec![syntax(&name, &error)])?;
        let (campaigns, others): (Vec<_>, Vec<_>) = documents.into_iter().partition(is_campaign);
        let campaign = the_only(campaigns, &others).map_err(wrong)?;
        let mut read = Self { campaign, config_maps: BTreeMap::new(), secrets: BTreeMap::new(), mistakes: Vec::new() };
        for document in &others {
            read.add(document);
        }
        Ok(read)
    }

    /// Keeps a ConfigMap or Secret of the campaign's namespace; other documents are none of our business.
    fn add(&mut self, document: &Value) {
        let is_secret = match document["kind"].as_str() {
            Some("ConfigMap") => false,
            Some("Secret") => true,
            _ => return,
        };
        let namespace = |of: &Value| of["metadata"]["namespace"].as_str().map(str::to_owned);
        let elsewhere = namespace(document).is_some_and(|it| namespace(&self.campaign).is_some_and(|ours| it != ours));
        let Some(name) = document["metadata"]["name"].as_str().filter(|_| !elsewhere) else { return };
        let [text_field, base64_field] = if is_secret { ["stringData", "data"] } else { ["data", "binaryData"] };
        let kind = if is_secret { "Secret" } else { "ConfigMap" };
        let mut data = Data::new();
        for field in [base64_field, text_field] {
            for (key, value) in document[field].as_object().into_iter().flat_map(Map::iter) {
                match value
                    .as_str()
                    .and_then(|text| if field == base64_field { of_base64(text) } else { Some(text.into()) })
                {
                    Some(bytes) => drop(data.insert(key.clone(), bytes)),
                    None => self.mistakes.push(Mistake::new(
                        format!("{kind} {name}: {field}.{key}"),
                        if field == base64_field { "is not base64 text" } else { "is not text: put it in quotes" },
                    )),
                }
            }
        }
        let objects = if is_secret { &mut self.secrets } else { &mut self.config_maps };
        if objects.insert(name.to_owned(), data).is_some() {
            self.mistakes.push(Mistake::new(format!("{kind} {name}"), "stands twice in this file; keep one of them"));
        }
    }
}

/// Base64 (RFC 4648 §4), broken into lines or not.
fn of_base64(text: &str) -> Option<Vec<u8>> {
    base64_simd::forgiving_decode_to_vec(text.as_bytes()).ok()
}

/// A document that is meant to be a MailCampaign, however wrong its kind or apiVersion.
fn is_campaign(document: &Value) -> bool {
    let text = |field: &str| document[field].as_str().unwrap_or_default();
    text("kind") == "MailCampaign"
        || text("apiVersion").starts_with("mailcampaign.io/")
        || !document["spec"]["recipients"].is_null()
}

fn the_only(campaigns: Vec<Value>, others: &[Value]) -> Result<Value, String> {
    let count = campaigns.len();
    let mut campaigns = campaigns.into_iter();
    match (campaigns.next(), count) {
        (Some(campaign), 1) => Ok(campaign),
        (Some(_), _) => Err(format!("holds {count} MailCampaigns; put each into a file of its own")),
        (None, _) => {
            let kinds: Vec<_> =
                others.iter().map(|other| other["kind"].as_str().unwrap_or("a document without kind")).collect();
            let found = if kinds.is_empty() { "is empty".to_owned() } else { format!("only {}", kinds.join(", ")) };
            Err(format!(
                "holds no MailCampaign ({found}); begin with apiVersion: mailcampaign.io/v1alpha1 and kind: MailCampaign"
            ))
        }
    }
}

/// A syntax error with its line and column; never with the text around it, which may be a secret.
fn syntax(file: &str, error: &serde_saphyr::Error) -> Mistake {
    let message = error.without_snippet().to_string();
    match error.location() {
        Some(location) => {
            let message = message.split(" at line ").next().unwrap_or_default().to_owned();
            Mistake::new(
                format!("{file}: line {} column {}", location.line(), location.column()),
                format!("not YAML: {message}"),
            )
        }
        None => Mistake::new(file, format!("not YAML: {message}")),
    }
}
