//! What CEL can't say of single fields: whether an address is one, an encoding exists, a list's format is known.

use crate::{EmailAddress, Mailbox, Mistake, address::ascii_domain, spec::ListFormat};
use serde_json::Value;
use std::collections::HashMap;
use url::Url;

/// A check of one text: what is wrong with it, if anything is.
type Check = fn(&str) -> Result<(), String>;

/// Field paths below `spec`, `[]` for every entry of a list, and how to check the text there.
const CHECKS: [(&str, Check); 8] = [
    ("recipients.source.http.url", web_address),
    ("recipients.encoding", encoding),
    ("message.from", mailbox),
    ("message.replyTo", mailbox_or_template),
    ("message.listUnsubscribe.url", web_address_or_template),
    ("message.listUnsubscribe.mailto", address_or_template),
    ("startAt", timestamp),
    ("delivery.window.timeZone", time_zone),
];

/// Mistakes in `spec` that are not among `known` ones.
pub(super) fn check(spec: &Value, known: &[Mistake]) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for (path, check) in CHECKS {
        let value = path.split('.').fold(spec, |value, field| &value[field]);
        if let Some(Err(message)) = value.as_str().map(check) {
            mistakes.push(Mistake::new(format!("spec.{path}"), message));
        }
    }
    for (index, backend) in spec["delivery"]["backends"].as_array().into_iter().flatten().enumerate() {
        if let Some(Err(message)) = backend["http"]["url"].as_str().map(web_address) {
            mistakes.push(Mistake::new(format!("spec.delivery.backends[{index}].http.url"), message));
        }
    }
    mistakes.extend(quantities(spec));
    mistakes.extend(domains(&spec["delivery"]["rate"]["perDomain"]["domains"]));
    mistakes.extend(format_mistakes(&spec["recipients"]));
    mistakes.retain(|mistake| known.iter().all(|known| known.place != mistake.place));
    mistakes
}

fn web_address(text: &str) -> Result<(), String> {
    let url = Url::parse(text).map_err(|error| format!("\"{text}\" is not a web address: {error}"))?;
    if url.password().is_some() || !url.username().is_empty() {
        return Err("holds a user name or password; nothing that is secret belongs in an address".to_owned());
    }
    Ok(())
}

fn encoding(label: &str) -> Result<(), String> {
    match encoding_rs::Encoding::for_label(label.as_bytes()) {
        Some(_) => Ok(()),
        None => Err(format!(
            "\"{label}\" is not a known encoding; write a label of the WHATWG Encoding Standard like utf-8, utf-16le, windows-1252 or iso-8859-15"
        )),
    }
}

fn mailbox(text: &str) -> Result<(), String> {
    Mailbox::parse(text).map(drop).map_err(|error| error.to_string())
}

fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

fn mailbox_or_template(text: &str) -> Result<(), String> {
    if is_template(text) { Ok(()) } else { mailbox(text) }
}

fn web_address_or_template(text: &str) -> Result<(), String> {
    // A template may stand where the parser wants a host or port; what it becomes is checked per recipient.
    if is_template(text) { Ok(()) } else { web_address(text) }
}

fn address_or_template(text: &str) -> Result<(), String> {
    let address = text.split_once('?').map_or(text, |(address, _)| address);
    if is_template(text) { Ok(()) } else { EmailAddress::parse(address).map(drop).map_err(|error| error.to_string()) }
}

fn timestamp(text: &str) -> Result<(), String> {
    let wrong = |error| format!("\"{text}\" is not a time like 2027-03-01T09:00:00+01:00: {error}");
    text.parse::<jiff::Timestamp>().map(drop).map_err(wrong)
}

fn time_zone(name: &str) -> Result<(), String> {
    crate::window::time_zone(name).map(drop).map_err(|error| error.to_string())
}

/// Amounts of `resources` that are none. (An API server applies the schema's pattern.)
fn quantities(spec: &Value) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for (pods, which) in
        [("producer", "limits"), ("producer", "requests"), ("workers", "limits"), ("workers", "requests")]
    {
        for (name, amount) in spec[pods]["resources"][which].as_object().into_iter().flatten() {
            if amount.as_str().is_some_and(|amount| !is_quantity(amount))
                || amount.as_i64().is_some_and(|amount| amount < 0)
            {
                let place = format!("spec.{pods}.resources.{which}.{name}");
                mistakes
                    .push(Mistake::new(place, format!("{amount} is not an amount; write it like 500m, 2 or 256Mi")));
            }
        }
    }
    mistakes
}

/// A number and a unit, or a power of ten: `resource.Quantity` of the Kubernetes API, never negative.
fn is_quantity(text: &str) -> bool {
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let is_number = number.bytes().any(|byte| byte != b'.') && number.matches('.').count() <= 1;
    let exponent = unit.strip_prefix(['e', 'E']).map(|power| power.strip_prefix(['+', '-']).unwrap_or(power));
    let is_power = exponent.is_some_and(|power| !power.is_empty() && power.bytes().all(|byte| byte.is_ascii_digit()));
    let units = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    is_number && (is_power || units.contains(&unit))
}

/// Every key of `perDomain.domains` is a domain, and none stands there twice in different spellings.
fn domains(rates: &Value) -> Vec<Mistake> {
    let mut seen: HashMap<String, &str> = HashMap::new();
    let mut mistakes = Vec::new();
    for domain in rates.as_object().into_iter().flat_map(|rates| rates.keys()) {
        let place = format!("spec.delivery.rate.perDomain.domains.{domain}");
        match ascii_domain(domain) {
            None => mistakes.push(Mistake::new(place, "is not a domain; write it like example.com, without @")),
            Some(ascii) => {
                if let Some(other) = seen.insert(ascii, domain) {
                    mistakes.push(Mistake::new(place, format!("is the same domain as \"{other}\"; keep one of them")));
                }
            }
        }
    }
    mistakes
}

/// The format can be told, and `sheet` and `encoding` fit it.
fn format_mistakes(recipients: &Value) -> Vec<Mistake> {
    let source = &recipients["source"];
    let names = [
        &source["configMap"]["key"],
        &source["secret"]["key"],
        &source["persistentVolumeClaim"]["path"],
        &source["http"]["url"],
    ];
    let name = names.into_iter().find_map(Value::as_str);
    let format = match (recipients["format"].as_str(), name) {
        (Some("Xlsx"), _) => ListFormat::Xlsx,
        (Some("Csv"), _) => ListFormat::Csv,
        (Some("Ndjson"), _) => ListFormat::Ndjson,
        (None, Some(name)) => {
            let Some(format) = ListFormat::of_name(name) else {
                let message =
                    format!("is missing, and \"{name}\" doesn't tell by its ending; write Xlsx, Csv or Ndjson");
                return vec![Mistake::new("spec.recipients.format", message)];
            };
            format
        }
        _ => return Vec::new(),
    };
    let mut mistakes = Vec::new();
    if !recipients["sheet"].is_null() && format != ListFormat::Xlsx {
        mistakes.push(Mistake::new("spec.recipients.sheet", "only a workbook (format Xlsx) has sheets; remove it"));
    }
    if !recipients["encoding"].is_null() && format != ListFormat::Csv {
        mistakes.push(Mistake::new(
            "spec.recipients.encoding",
            "only a list of format Csv has an encoding to name; remove it",
        ));
    }
    mistakes
}
