//! Rules in CEL (`x-kubernetes-validations`): compiled when first needed, applied to values as an API server sees them.

use super::schema::{Kind, Schema};
use cel::{
    Context, Env, Program, Value as CelValue,
    objects::{Key, Map},
};
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, OnceLock},
};

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// One rule: an expression over `self` that must be true, and what to do when it isn't.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Rule {
    #[serde(rename = "rule")]
    expression: String,
    pub(super) message: String,
    /// The field below that it is about, `.maxReplicas`.
    #[serde(default)]
    pub(super) field_path: String,
    #[serde(skip)]
    program: OnceLock<Result<Program, String>>,
}

impl Rule {
    /// Whether it compares a value with what it was before: then it says nothing about a value alone.
    pub(super) fn is_about_a_change(&self) -> bool {
        self.expression.contains("oldSelf")
    }

    /// Whether the rule holds. An error tells that it could not be evaluated, e.g. because what it compares is malformed.
    pub(super) fn holds(&self, value: &CelValue, before: Option<&CelValue>) -> Result<bool, String> {
        let program = self.program.get_or_init(|| ENV.compile(&self.expression).map_err(|error| error.to_string()));
        let program = program.as_ref().map_err(Clone::clone)?;
        let mut context = Context::with_env(Arc::clone(&ENV));
        context.add_variable_from_value("self", value.clone());
        if let Some(before) = before {
            context.add_variable_from_value("oldSelf", before.clone());
        }
        match program.execute(&context).map_err(|error| error.to_string())? {
            CelValue::Bool(holds) => Ok(holds),
            other => Err(format!("the rule {:?} gives {other:?}, not true or false", self.expression)),
        }
    }
}

/// A text, number or boolean as CEL sees it; `schema` says whether a number is an int or a double.
pub(super) fn scalar(schema: &Schema, value: &Value) -> CelValue {
    match value {
        Value::String(text) => CelValue::String(Arc::new(text.clone())),
        Value::Bool(bool) => CelValue::Bool(*bool),
        Value::Number(number) if schema.kind != Kind::Number => CelValue::Int(number.as_i64().unwrap_or(i64::MAX)),
        Value::Number(number) => CelValue::Float(number.as_f64().unwrap_or(f64::MAX)),
        Value::Null | Value::Array(_) | Value::Object(_) => CelValue::Null,
    }
}

/// A list of values that are already CEL's.
pub(super) fn list(values: Vec<CelValue>) -> CelValue {
    CelValue::List(Arc::new(values))
}

/// A map of values that are already CEL's.
pub(super) fn map(fields: HashMap<Key, CelValue>) -> CelValue {
    CelValue::Map(Map { map: Arc::new(fields) })
}

/// The key of a map.
pub(super) fn key(name: &str) -> Key {
    Key::String(Arc::new(name.to_owned()))
}

/// A value for which there is no schema.
pub(super) fn untyped(value: &Value) -> CelValue {
    match value {
        Value::Object(fields) => map(fields.iter().map(|(name, value)| (key(name), untyped(value))).collect()),
        Value::Array(items) => list(items.iter().map(untyped).collect()),
        Value::String(text) => CelValue::String(Arc::new(text.clone())),
        Value::Bool(bool) => CelValue::Bool(*bool),
        Value::Number(number) => {
            number.as_i64().map_or_else(|| CelValue::Float(number.as_f64().unwrap_or(f64::MAX)), CelValue::Int)
        }
        Value::Null => CelValue::Null,
    }
}
