//! The body of an HTTP request: JSON whose string values are templates, or the mail itself.

use crate::slot::Columns;
use crate::{Engine, Escape, Letter, Rows, Template, TemplateError};
use campaign::spec::{Backend, Http, HttpBody};
use campaign::{Fields, Mistake};
use minijinja::{
    Value, context,
    value::{Enumerator, Object},
};
use serde_json::{Map, Value as Json};
use std::sync::Arc;

/// The name under which templates find the mail itself.
const MAIL: &str = "mail";

/// A compiled body of the requests to an HTTP backend.
pub struct RequestBody {
    /// Field path of its template.
    place: String,
    json: Node,
    rows: Rows,
    uses_raw: bool,
}

enum Node {
    Text(Template),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
    Plain(Json),
}

impl RequestBody {
    /// Those of a campaign's backends.
    ///
    /// # Errors
    /// Every mistake in every one of them.
    pub fn all_of(backends: &[Backend]) -> Result<Vec<Self>, Vec<Mistake>> {
        let mut bodies = Vec::new();
        let mut mistakes = Vec::new();
        for (index, backend) in backends.iter().enumerate() {
            let Some(http) = &backend.http else { continue };
            match Self::of(http, &format!("spec.delivery.backends[{index}]")) {
                Ok(body) => bodies.extend(body),
                Err(found) => mistakes.extend(found),
            }
        }
        if mistakes.is_empty() { Ok(bodies) } else { Err(mistakes) }
    }

    /// That of a backend with this field path; none if it sends the mail itself.
    ///
    /// # Errors
    /// JSON that is none, and every mistake in every template, with the JSON pointer (RFC 6901) of the value.
    pub fn of(http: &Http, backend: &str) -> Result<Option<Self>, Vec<Mistake>> {
        let compiled = |body: &HttpBody| Self::compile(&body.template, &format!("{backend}.http.body.template"));
        http.body.as_ref().map(compiled).transpose()
    }

    /// Compiles a body's template, which stands at the field path `place`.
    fn compile(template: &str, place: &str) -> Result<Self, Vec<Mistake>> {
        let json: Json = serde_json::from_str(template).map_err(|error| {
            vec![Mistake::new(place, format!("is not JSON: {error}. Placeholders stand within the quotes of a value"))]
        })?;
        let mut mistakes = Vec::new();
        let json = Node::compile(&Engine::new(), json, place, "", &mut mistakes);
        if mistakes.is_empty() {
            Ok(Self { place: place.to_owned(), json, rows: Rows::default(), uses_raw: template.contains("raw") })
        } else {
            Err(mistakes)
        }
    }

    /// Field path of its template.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The body for one mail: its letter, its content (RFC 5322) and its row's values.
    ///
    /// # Errors
    /// A value that can't be made.
    pub fn render(&self, letter: &Letter, content: &[u8], fields: &Fields) -> Result<Vec<u8>, TemplateError> {
        let raw = self.uses_raw.then(|| base64_simd::STANDARD.encode_to_string(content));
        let values = Value::from_object(Values {
            row: self.rows.row(fields),
            mail: context! {
                from => letter.from.to_string(),
                to => letter.to.to_string(),
                subject => letter.subject.as_str(),
                text => letter.text.as_deref().unwrap_or_default(),
                html => letter.html.as_deref().unwrap_or_default(),
                messageId => letter.message_id.as_str(),
                raw => raw.unwrap_or_default(),
            },
        });
        Ok(self.json.render(&values)?.to_string().into_bytes())
    }

    /// Columns that it uses and the list lacks.
    pub fn missing_columns(&self, columns: &[String]) -> Vec<Mistake> {
        let columns = Columns::new(columns);
        let mut missing = Vec::new();
        self.json.for_each_text(&mut |template| {
            let used = template.usage().columns.iter().filter(|used| used.name != MAIL);
            let messages = used.filter_map(|used| columns.missing(&used.name));
            missing.extend(messages.map(|message| Mistake::new(self.place.as_str(), message)));
        });
        missing
    }
}

impl Node {
    fn compile(engine: &Engine, json: Json, place: &str, pointer: &str, mistakes: &mut Vec<Mistake>) -> Self {
        match json {
            Json::String(source) => match engine.compile(&source, Escape::None) {
                Ok(template) => Self::Text(template),
                Err(errors) => {
                    let at = format!("{place} ({pointer})");
                    mistakes.extend(errors.into_iter().map(|error| Mistake::new(at.as_str(), error.to_string())));
                    Self::Plain(Json::Null)
                }
            },
            Json::Array(items) => {
                let item = |(index, item)| Self::compile(engine, item, place, &format!("{pointer}/{index}"), mistakes);
                Self::Array(items.into_iter().enumerate().map(item).collect())
            }
            Json::Object(object) => {
                let member = |(name, item): (String, Json)| {
                    let node = Self::compile(engine, item, place, &format!("{pointer}/{name}"), mistakes);
                    (name, node)
                };
                Self::Object(object.into_iter().map(member).collect())
            }
            plain => Self::Plain(plain),
        }
    }

    /// A value can only become the content of a JSON string, so that it can't change the body's structure.
    fn render(&self, values: &Value) -> Result<Json, TemplateError> {
        Ok(match self {
            Self::Text(template) => Json::String(template.render(values)?),
            Self::Array(items) => Json::Array(items.iter().map(|item| item.render(values)).collect::<Result<_, _>>()?),
            Self::Object(members) => {
                let member = |(name, node): &(String, Self)| Ok((name.clone(), node.render(values)?));
                Json::Object(members.iter().map(member).collect::<Result<Map<_, _>, TemplateError>>()?)
            }
            Self::Plain(json) => json.clone(),
        })
    }

    fn for_each_text(&self, visit: &mut impl FnMut(&Template)) {
        match self {
            Self::Text(template) => visit(template),
            Self::Array(items) => items.iter().for_each(|item| item.for_each_text(visit)),
            Self::Object(members) => members.iter().for_each(|(_, node)| node.for_each_text(visit)),
            Self::Plain(_) => {}
        }
    }
}

/// The row's columns and `mail`.
#[derive(Debug)]
struct Values {
    row: Value,
    mail: Value,
}

impl Object for Values {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            MAIL => Some(self.mail.clone()),
            column => self.row.get_attr(column).ok().filter(|value| !value.is_undefined()),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&[MAIL])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use campaign::EmailAddress;
    use serde_json::json;

    fn letter() -> Letter {
        let address = |text| EmailAddress::parse(text).expect("an address");
        Letter {
            from: address("people@example.com"),
            to: address("ann@example.org"),
            message_id: "x.2@example.com".into(),
            bytes: b"Subject: hi\r\n\r\nDear \"Ann\"\r\n".to_vec(),
            subject: "hi".into(),
            text: Some("Dear \"Ann\"\n".into()),
            html: None,
        }
    }

    fn rendered(template: &str, fields: &Json) -> Result<Json, String> {
        let Json::Object(fields) = fields.clone() else { panic!("an object") };
        let fields: Fields = fields;
        let body = RequestBody::compile(template, "body").map_err(|mistakes| format!("{mistakes:?}"))?;
        let letter = letter();
        let bytes = body.render(&letter, &letter.bytes, &fields).map_err(|error| error.to_string())?;
        Ok(serde_json::from_slice(&bytes).expect("JSON"))
    }

    #[test]
    fn every_string_is_a_template_over_the_row_and_the_mail_and_the_rest_stays() {
        let template = r#"{"to": [{"email": "{{ mail.to }}", "name": "{{ Name }}"}], "n": 1, "text": "{{ mail.text }}", "raw": "{{ mail.raw }}", "html": "{{ mail.html }}"}"#;
        let body = rendered(template, &json!({"Name": "Ann"})).expect("rendered");
        let raw = base64_simd::STANDARD.encode_to_string(letter().bytes);
        let expected = json!({"to": [{"email": "ann@example.org", "name": "Ann"}], "n": 1, "text": "Dear \"Ann\"\n", "raw": raw, "html": ""});
        assert_eq!(body, expected);
    }

    #[test]
    fn a_value_can_not_change_the_structure() {
        let body = rendered(r#"{"name": "{{ Name }}"}"#, &json!({"Name": "\", \"bcc\": \"x"})).expect("rendered");
        assert_eq!(body, json!({"name": "\", \"bcc\": \"x"}));
    }

    #[test]
    fn mistakes_are_found_when_compiled_each_with_its_place() {
        assert!(rendered("{", &json!({})).expect_err("no JSON").contains("is not JSON"));
        let error = rendered(r#"{"a": {"b": "{{ x"}, "c": ["{% if %}"]}"#, &json!({})).expect_err("templates");
        assert!(error.contains("(/a/b)") && error.contains("(/c/0)"), "{error}");
    }

    #[test]
    fn a_column_that_the_list_lacks_is_found_before_and_never_empty() {
        assert!(rendered(r#"{"a": "{{ Nmae }}"}"#, &json!({"Name": "Ann"})).is_err());
        let body = RequestBody::compile(r#"{"a": "{{ Nmae }} {{ mail.to }}"}"#, "body").expect("compiled");
        let mistakes = body.missing_columns(&["Name".to_owned()]);
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        assert!(mistakes[0].message.contains("\"Nmae\"; did you mean \"Name\"?"), "{mistakes:?}");
    }
}
