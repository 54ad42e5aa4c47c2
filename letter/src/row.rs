//! A row's values as templates see them.
//!
//! Each column is a name: `{{ Salary }}`. One whose name is no identifier is reached as Word's mail merge does it, with `_` for each
//! character that can't stand in a name (`{{ First_name }}` for `First name`), or by its own name through `row`: `{{ row["First name"] }}`.
//! Nested values (NDJSON) by dots: `{{ address.city }}`. An empty cell has no value, as if the column were not there.

use campaign::Fields;
use minijinja::{
    Value,
    value::{Enumerator, Object},
};
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

/// Makes rows. Lists have the same columns in every row, so that the last row's are kept.
#[derive(Debug, Default)]
pub struct Rows {
    columns: RwLock<Arc<Columns>>,
}

impl Rows {
    /// The values of one row, for templates.
    pub fn row(&self, fields: &Fields) -> Value {
        let known = Arc::clone(&self.columns.read().unwrap_or_else(PoisonError::into_inner));
        let columns = if known.are_those_of(fields) {
            known
        } else {
            let columns = Arc::new(Columns::of(fields));
            *self.columns.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&columns);
            columns
        };
        Value::from_object(Row { columns, values: fields.values().map(value).collect() })
    }
}

/// The name under which Word's mail merge knows a column: a letter or `_`, then letters, digits and `_`.
pub fn normalised(column: &str) -> String {
    let mut name: String =
        column.trim().chars().map(|char| if char.is_alphanumeric() || char == '_' { char } else { '_' }).collect();
    if name.starts_with(|first: char| first.is_numeric()) {
        name.insert(0, '_');
    }
    name
}

#[derive(Debug, Default)]
struct Columns {
    names: Vec<Box<str>>,
    index: HashMap<Box<str>, usize>,
}

impl Columns {
    fn of(fields: &Fields) -> Self {
        let names: Vec<Box<str>> = fields.keys().map(|name| name.as_str().into()).collect();
        let mut index: HashMap<Box<str>, usize> = HashMap::with_capacity(names.len() * 2);
        for (at, name) in names.iter().enumerate() {
            index.insert(name.clone(), at);
        }
        for (at, name) in names.iter().enumerate() {
            index.entry(normalised(name).into()).or_insert(at);
        }
        Self { names, index }
    }

    fn are_those_of(&self, fields: &Fields) -> bool {
        self.names.len() == fields.len() && self.names.iter().zip(fields.keys()).all(|(known, name)| **known == **name)
    }
}

/// Functions of the language, that an empty cell must not turn into.
const FUNCTIONS: [&str; 4] = ["range", "dict", "debug", "namespace"];

/// One row. Looks up without converting names.
#[derive(Debug)]
struct Row {
    columns: Arc<Columns>,
    values: Vec<Value>,
}

impl Object for Row {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match self.columns.index.get(key) {
            // A name that is found nowhere is told with its place in the template, so none is better than an undefined one.
            Some(&at) => self.values.get(at).filter(|value| !value.is_undefined() || FUNCTIONS.contains(&key)).cloned(),
            None if key == "row" => Some(Value::from_dyn_object(Arc::clone(self))),
            None => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.columns.names.iter().map(|name| Value::from(&**name)).collect())
    }
}

/// A nested object.
#[derive(Debug)]
struct Nested(HashMap<String, Value>, Vec<String>);

impl Object for Nested {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.0.get(key).filter(|value| !value.is_undefined()).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.1.iter().map(|name| Value::from(name.as_str())).collect())
    }
}

fn value(json: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::UNDEFINED,
        Json::Bool(bool) => Value::from(*bool),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(whole), ..) => Value::from(whole),
            (_, Some(whole), _) => Value::from(whole),
            (.., decimal) => decimal.map_or(Value::UNDEFINED, Value::from),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => items.iter().map(value).collect(),
        Json::Object(object) => {
            let values = object.iter().map(|(name, json)| (name.clone(), value(json))).collect();
            Value::from_object(Nested(values, object.keys().cloned().collect()))
        }
    }
}
