//! `List-Unsubscribe` (RFC 2369) and `List-Unsubscribe-Post` (RFC 8058).

use crate::{
    filters::percent_encoded,
    letters::RenderError,
    slot::{Columns, Slot},
    template::{Engine, Escape},
};
use campaign::{EmailAddress, Fields, Mistake, spec::ListUnsubscribe};
use lettre::message::header::{HeaderName, HeaderValue};
use minijinja::Value;
use url::Url;

/// Longest address in the field: each stands in a line of its own, which has at most 998 octets.
const MAX_LENGTH: usize = 900;

const PLACE: &str = "spec.message.listUnsubscribe";

/// How a recipient leaves the list, compiled.
pub(crate) struct Unsubscribe {
    url: Option<Slot>,
    mailto: Option<Slot>,
    one_click: bool,
}

impl Unsubscribe {
    /// Compiles the templates.
    pub(crate) fn compile(spec: &ListUnsubscribe, engine: &Engine) -> Result<Self, Vec<Mistake>> {
        let slot = |field: &str, source: &Option<String>| {
            source
                .as_ref()
                .map(|source| Slot::compile(engine, &format!("{PLACE}.{field}"), source, Escape::None))
                .transpose()
        };
        match (slot("url", &spec.url), slot("mailto", &spec.mailto)) {
            (Ok(None), Ok(None)) => Err(vec![Mistake::new(PLACE, "give at least one of url and mailto")]),
            (Ok(None), Ok(_)) if spec.one_click => Err(vec![Mistake::new(
                format!("{PLACE}.oneClick"),
                "oneClick (RFC 8058) needs a url that begins with https://",
            )]),
            (Ok(url), Ok(mailto)) => Ok(Self { url, mailto, one_click: spec.one_click }),
            (url, mailto) => Err([url.err(), mailto.err()].into_iter().flatten().flatten().collect()),
        }
    }

    /// The templates.
    pub(crate) fn missing(&self, columns: &Columns<'_>) -> Vec<Mistake> {
        self.url.iter().chain(&self.mailto).flat_map(|slot| slot.missing(columns)).collect()
    }

    /// The value of `List-Unsubscribe` for a row.
    pub(crate) fn value(&self, row: &Value, fields: &Fields) -> Result<String, RenderError> {
        let mut addresses = Vec::with_capacity(2);
        if let Some(slot) = &self.url {
            addresses.push(format!("<{}>", web_address(slot, &slot.render(row, fields)?, self.one_click)?));
        }
        if let Some(slot) = &self.mailto {
            addresses.push(format!("<{}>", mail_address(slot, &slot.render(row, fields)?)?));
        }
        Ok(addresses.join(",\r\n "))
    }

    /// The fields of the mail.
    pub(crate) fn headers(&self, row: &Value, fields: &Fields) -> Result<Vec<HeaderValue>, RenderError> {
        let field = |name: &'static str, value: String| {
            HeaderValue::dangerous_new_pre_encoded(HeaderName::new_from_ascii_str(name), value.clone(), value)
        };
        let mut headers = vec![field("List-Unsubscribe", self.value(row, fields)?)];
        if self.one_click {
            headers.push(field("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()));
        }
        Ok(headers)
    }
}

/// A web address in ASCII (RFC 3986), without anything that could end it in the field.
fn web_address(slot: &Slot, rendered: &str, one_click: bool) -> Result<String, RenderError> {
    let refuse = |what: &str| slot.refuse(format!("\"{}\" {what}", rendered.escape_debug()));
    if rendered.trim().contains(|char: char| char.is_control()) {
        return Err(refuse("is not a web address: it has a line break or control character"));
    }
    let url = Url::parse(rendered.trim()).map_err(|error| refuse(&format!("is not a web address: {error}")))?;
    if !(url.scheme() == "https" || (url.scheme() == "http" && !one_click)) {
        return Err(refuse(if one_click {
            "must begin with https:// for oneClick"
        } else {
            "must begin with https:// or http://"
        }));
    }
    let text: String = url
        .as_str()
        .chars()
        .map(|char| match char {
            '<' => "%3C".to_owned(),
            '>' => "%3E".to_owned(),
            ',' => "%2C".to_owned(),
            char => char.to_string(),
        })
        .collect();
    if text.len() > MAX_LENGTH || !text.is_ascii() {
        return Err(refuse(&format!("is longer than {MAX_LENGTH} octets")));
    }
    Ok(text)
}

/// `mailto:` with an address and, if there is one, a query (RFC 6068).
fn mail_address(slot: &Slot, rendered: &str) -> Result<String, RenderError> {
    let text = rendered.trim();
    let (address, query) = text.split_once('?').map_or((text, None), |(address, query)| (address, Some(query)));
    let address = EmailAddress::parse(address).map_err(|error| slot.refuse(error.to_string()))?;
    let mut mailto = format!("mailto:{}@{}", percent_encoded(address.local(), "-._~+!$'*="), address.ascii_domain());
    if let Some(query) = query {
        mailto.push('?');
        mailto.push_str(&percent_encoded(query, "-._~+!$'*=&%@"));
    }
    if mailto.len() > MAX_LENGTH {
        return Err(slot.refuse(format!("it is longer than {MAX_LENGTH} octets")));
    }
    Ok(mailto)
}
