//! Judges a document by the schema and its CEL rules, as an API server does, but names every mistake at once.

use super::{
    cel::{self, Rule},
    schema::{Kind, Schema},
};
use crate::mistake::{Mistake, nearest};
use ::cel::Value as CelValue;
use serde_json::{Map, Value};
use std::{borrow::Cow, collections::HashMap};

/// Every mistake in a document. With what it was `before`, also in the change: the rules over `oldSelf` say nothing about a document alone.
pub(super) fn judge(schema: &Schema, document: &Value, before: Option<&Value>) -> Vec<Mistake> {
    let mut judge = Judge::default();
    judge.value(schema, document, before);
    judge.mistakes
}

#[derive(Default)]
struct Judge {
    path: String,
    mistakes: Vec<Mistake>,
}

/// What a group or list came to: its value for the rules, and whether it is whole enough for rules to make sense.
struct Judged {
    value: CelValue,
    whole: bool,
}

impl Judge {
    /// Judges one value, its children first. None: it is not of the right type, so that nothing can be said about it.
    fn value(&mut self, schema: &Schema, value: &Value, before: Option<&Value>) -> Option<CelValue> {
        let so_far = self.mistakes.len();
        let judged = match (schema.kind, value) {
            (Kind::Object, Value::Object(fields)) => match schema.additional_properties.as_deref() {
                Some(entry) => self.map(schema, entry, fields),
                None => self.group(schema, fields, before),
            },
            (Kind::Array, Value::Array(items)) => self.list(schema, items),
            (Kind::String | Kind::IntOrString, Value::String(text)) => {
                self.text(schema, text);
                Judged { value: cel::scalar(schema, value), whole: self.mistakes.len() == so_far }
            }
            (Kind::Integer | Kind::Number | Kind::IntOrString, Value::Number(number))
                if schema.kind == Kind::Number || !number.is_f64() =>
            {
                self.number(schema, number.as_f64().unwrap_or(f64::MAX));
                Judged { value: cel::scalar(schema, value), whole: self.mistakes.len() == so_far }
            }
            (Kind::Boolean, Value::Bool(bool)) => Judged { value: CelValue::Bool(*bool), whole: true },
            _ => {
                self.wrong_type(schema.kind, value);
                return None;
            }
        };
        if judged.whole {
            self.rules(schema, &judged.value, before, self.mistakes.len() > so_far);
        }
        Some(judged.value)
    }

    /// Fields with names that the schema knows.
    fn group(&mut self, schema: &Schema, fields: &Map<String, Value>, before: Option<&Value>) -> Judged {
        let (mut values, mut whole) = (HashMap::new(), true);
        for (name, value) in fields {
            let Some(property) = schema.properties.get(name) else {
                // A group without known fields (metadata) is open.
                if schema.properties.is_empty() {
                    values.insert(cel::key(name), cel::untyped(value));
                } else {
                    self.at(name, |judge| judge.mistake(unknown(name, schema)));
                    whole = false;
                }
                continue;
            };
            // A null that isn't allowed is dropped by an API server, and a default put in its place.
            if !value.is_null() {
                match self.at(name, |judge| judge.value(property, value, was(before, name, property))) {
                    Some(value) => drop(values.insert(cel::key(name), value)),
                    None => whole = false,
                }
            }
        }
        for (name, property) in &schema.properties {
            if fields.get(name).is_some_and(|value| !value.is_null()) {
                continue;
            }
            if let Some(default) = &property.default {
                let default = self.at(name, |judge| judge.value(property, default, was(before, name, property)));
                values.extend(default.map(|value| (cel::key(name), value)));
            } else if schema.required.contains(name) {
                self.at(name, |judge| judge.mistake(missing(property)));
                whole = false;
            }
        }
        Judged { value: cel::map(values), whole }
    }

    /// Entries with names that the user chooses.
    fn map(&mut self, schema: &Schema, entry: &Schema, fields: &Map<String, Value>) -> Judged {
        if let Some(max) = schema.max_properties.filter(|max| fields.len() > *max) {
            self.mistake(format!("has {} entries, but at most {max} are allowed", fields.len()));
        }
        let (mut values, mut whole) = (HashMap::new(), true);
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
            match self.at(name, |judge| judge.value(entry, value, None)) {
                Some(value) => drop(values.insert(cel::key(name), value)),
                None => whole = false,
            }
        }
        Judged { value: cel::map(values), whole }
    }

    fn list(&mut self, schema: &Schema, items: &[Value]) -> Judged {
        if items.len() < schema.min_items {
            self.mistake(format!("is empty; it needs at least {}", schema.min_items));
        }
        if let Some(max) = schema.max_items.filter(|max| items.len() > *max) {
            self.mistake(format!("has {} entries, but at most {max} are allowed", items.len()));
        }
        let (mut values, mut whole) = (Vec::new(), true);
        if let Some(entry) = &schema.items {
            for (index, item) in items.iter().enumerate() {
                match self.at_index(index, |judge| judge.value(entry, item, None)) {
                    Some(value) => values.push(value),
                    None => whole = false,
                }
            }
        }
        self.distinct(schema, items);
        Judged { value: cel::list(values), whole }
    }

    /// `x-kubernetes-list-type`: no two entries of a `set` are the same, no two of a `map` have the same keys.
    fn distinct(&mut self, schema: &Schema, items: &[Value]) {
        if schema.list_type.as_deref() == Some("set") {
            for (index, item) in items.iter().enumerate().filter(|(index, item)| items[..*index].contains(item)) {
                self.at_index(index, |judge| judge.mistake(format!("{item} stands there already; keep one of them")));
            }
        }
        for key in &schema.keys {
            let mut seen: HashMap<&str, usize> = HashMap::new();
            for (index, text) in
                items.iter().enumerate().filter_map(|(index, item)| Some((index, item.get(key)?.as_str()?)))
            {
                if let Some(first) = seen.get(text) {
                    let message = format!(
                        "\"{text}\" is already the {key} of entry [{first}]; give each entry a {key} of its own"
                    );
                    self.at_index(index, |judge| judge.at(key, |judge| judge.mistake(message)));
                } else {
                    seen.insert(text, index);
                }
            }
        }
    }

    fn text(&mut self, schema: &Schema, text: &str) {
        if !schema.allowed.is_empty() && !schema.allowed.iter().any(|allowed| allowed == text) {
            self.mistake(not_allowed(text, &schema.allowed));
            return;
        }
        let length = text.chars().count();
        if length < schema.min_length {
            self.mistake(match length {
                0 => "is empty; write something or leave the field out".to_owned(),
                _ => format!("has {length} characters, but needs at least {}", schema.min_length),
            });
        }
        if let Some(max) = schema.max_length.filter(|max| length > *max) {
            self.mistake(format!("has {length} characters, but at most {max} are allowed"));
        }
    }

    fn number(&mut self, schema: &Schema, number: f64) {
        if let Some(min) = schema.minimum.filter(|min| number < *min) {
            self.mistake(format!("is {number}, but must be at least {min}"));
        }
        if let Some(max) = schema.maximum.filter(|max| number > *max) {
            self.mistake(format!("is {number}, but must be at most {max}"));
        }
    }

    /// `after_mistakes`: something below is wrong already, so that a rule which can't be evaluated says nothing new.
    fn rules(&mut self, schema: &Schema, value: &CelValue, before: Option<&Value>, after_mistakes: bool) {
        let is_change = before.is_some() && schema.rules.iter().any(Rule::is_about_a_change);
        let before = before.filter(|_| is_change).and_then(|before| Self::default().value(schema, before, None));
        for rule in schema.rules.iter().filter(|rule| before.is_some() || !rule.is_about_a_change()) {
            let message = match rule.holds(value, before.as_ref()) {
                Ok(true) => continue,
                Ok(false) => rule.message.clone(),
                Err(_) if after_mistakes => continue,
                Err(error) => format!("{} ({error})", rule.message),
            };
            match rule.field_path.strip_prefix('.') {
                Some(field) => self.at(field, |judge| judge.mistake(message)),
                None => self.mistake(message),
            }
        }
    }

    fn wrong_type(&mut self, wanted: Kind, value: &Value) {
        let (found, hint): (Cow<'_, str>, &str) = match value {
            Value::Null => ("nothing".into(), ""),
            Value::Bool(bool) => (format!("{bool}").into(), quote_it(wanted)),
            Value::Number(number) => (format!("the number {number}").into(), quote_it(wanted)),
            Value::String(text)
                if matches!(wanted, Kind::Integer | Kind::Number) && text.trim().parse::<f64>().is_ok() =>
            {
                (format!("the text \"{text}\"").into(), ": remove the quotes")
            }
            Value::String(_) => ("text".into(), ""),
            Value::Array(_) if wanted == Kind::Object => ("a list".into(), ": remove the dash"),
            Value::Array(_) => ("a list".into(), ""),
            Value::Object(_) if wanted == Kind::Array => ("a group of fields".into(), ": begin each entry with a dash"),
            Value::Object(_) => ("a group of fields".into(), ""),
        };
        self.mistake(format!("must be {}, not {found}{hint}", wanted.name()));
    }

    fn mistake(&mut self, message: String) {
        // A rule about the whole document begins its message with the field that it is about.
        let mistake = match message.split_once(": ") {
            Some((place, message)) if self.path.is_empty() => Mistake::new(place, message),
            _ => Mistake::new(self.path.clone(), message),
        };
        self.mistakes.push(mistake);
    }

    fn at<T>(&mut self, name: &str, within: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        let result = within(self);
        self.path.truncate(length);
        result
    }

    fn at_index<T>(&mut self, index: usize, within: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        self.path.extend(["[", &index.to_string(), "]"]);
        let result = within(self);
        self.path.truncate(length);
        result
    }
}

/// What a field was before; where it was absent, its default.
fn was<'a>(before: Option<&'a Value>, name: &str, property: &'a Schema) -> Option<&'a Value> {
    before?.get(name).filter(|value| !value.is_null()).or(property.default.as_ref())
}

fn quote_it(wanted: Kind) -> &'static str {
    if wanted == Kind::String { ": put it in quotes" } else { "" }
}

fn missing(schema: &Schema) -> String {
    format!("is missing ({})", schema.description.trim_end_matches('.'))
}

fn unknown(name: &str, schema: &Schema) -> String {
    unknown_field(name, schema.properties.keys().map(String::as_str))
}

/// Says that there is no such field, and which was perhaps meant.
pub(super) fn unknown_field<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(name, known.clone()) {
        Some(meant) => format!("there is no such field; did you mean \"{meant}\"?"),
        None => format!("there is no such field; there are {}", known.collect::<Vec<_>>().join(", ")),
    }
}

/// Says that a word is not allowed, and which are, the nearest first.
fn not_allowed(text: &str, allowed: &[String]) -> String {
    let lower = text.to_lowercase();
    let mut words: Vec<&str> = allowed.iter().map(String::as_str).collect();
    words.sort_by_key(|word| strsim::damerau_levenshtein(&lower, &word.to_lowercase()));
    format!("\"{text}\" is not allowed; write {}", words.join(" or "))
}
