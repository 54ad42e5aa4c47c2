//! Rules that several fields share: each a CEL expression and what to do when it fails. An API server and [`crate::rules`] both apply them.

use super::HeaderValue;
use schemars::{Schema, SchemaGenerator, json_schema};

/// A CEL expression over `self`, and the message for people.
type Rule = (&'static str, &'static str);

/// A rule over a group of fields about one of them, which the mistake then names as its place: `.maxReplicas`.
pub(super) fn at(field: &str, expression: &str, message: &str) -> kube::core::Rule {
    kube::core::Rule::new(expression).message(message).field_path(field)
}

/// A rule over the whole resource that counts from the moment at which a condition of the status is true: before, everything may be mended.
pub(super) fn once(condition: &str, field: &str, expression: &str, message: &str) -> kube::core::Rule {
    let expression = format!(
        "!has(oldSelf.status) || !has(oldSelf.status.conditions) || \
         !oldSelf.status.conditions.exists(c, c.type == '{condition}' && c.status == 'True') || ({expression})"
    );
    at(field, &expression, message)
}

/// A topic name has 249 characters at most, of which a campaign's name may have 40; a dot separates its parts.
pub(super) const CAMPAIGN_NAME: Rule = (
    "!has(self.metadata.name) || (size(self.metadata.name) <= 40 && !self.metadata.name.contains('.'))",
    "metadata.name: a campaign's name has at most 40 characters and no dots",
);

/// Name of a ConfigMap or Secret: a DNS subdomain (RFC 1123).
pub(super) const OBJECT_NAME: Rule = (
    "self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",
    "write the name of the object: lower case letters, digits, - and . (it begins and ends with a letter or digit)",
);

/// Key of a ConfigMap or Secret. Alone it is a file's name, so nothing that leads out of the folder.
pub(super) const DATA_KEY: Rule = (
    "self.matches('^[.]?[-_a-zA-Z0-9][-._a-zA-Z0-9]*$')",
    "write a key of the object, which is also the file's name: letters, digits, - _ and . only, no folder",
);

/// Name of a backend: a DNS label, for it is used in metrics.
pub(super) const BACKEND_NAME: Rule = (
    "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
    "write a name of lower case letters, digits and - (it begins and ends with a letter or digit)",
);

/// A host name or an IP address.
pub(super) const HOST: Rule = (
    "self.matches('^[a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9.])?$') || self.matches('^[0-9a-fA-F:.]*:[0-9a-fA-F:.]+$')",
    "write a host name or an IP address alone, without port and without smtp://",
);

/// An address of the web.
pub(super) const WEB_ADDRESS: Rule =
    ("self.matches('^https?://[^/]')", "write a web address that begins with https:// or http://");

/// An address of the web, or a template that makes one.
pub(super) const WEB_ADDRESS_OR_TEMPLATE: Rule = (
    "self.matches('^(https?://[^/]|[{]{2})')",
    "write a web address that begins with https://, or a template that makes one",
);

/// What becomes part of a header.
pub(super) const ONE_LINE: Rule = ("!self.matches('[\\\\r\\\\n]')", "write it in one line, without a line break");

/// A path in a volume.
pub(super) const PATH_IN_VOLUME: Rule =
    ("!self.startsWith('/') && !self.matches('(^|/)[.][.](/|$)')", "write a path in the volume: relative, without ..");

/// Name of a time zone. Whether there is one of that name, no API server knows for sure: the programs look it up.
pub(super) const TIME_ZONE: Rule = (
    "self.matches('^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$')",
    "write the name of a time zone, like Europe/Berlin, America/New_York or UTC",
);

/// The first part of a topic's name. (249 characters less namespace, name, uid, kind and dots.)
pub(super) const TOPIC_PREFIX: Rule = (
    "self.matches('^[a-zA-Z0-9][-._a-zA-Z0-9]*$')",
    "write letters, digits, - _ and . only; it begins with a letter or digit",
);

/// A folder beside the campaign's file.
pub(super) const FOLDER_BESIDE: Rule = (
    "!self.startsWith('/') && !self.matches('(^|/)[.][.](/|$)')",
    "write a folder beside the campaign's file: a relative path without ..",
);

/// A field name of HTTP (RFC 9110 §5.1).
pub(super) const HEADER_NAME: Rule = (
    "self.matches('^[-!#$%&*+.^_`|~a-zA-Z0-9]+$')",
    "write a header's name: letters, digits and - only, without the colon",
);

/// `spec.message.headers`: names of RFC 5322 §3.6.8 that the mailer doesn't set itself.
pub(super) fn message_headers(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 30,
        "additionalProperties": {
            "type": "string",
            "maxLength": 2000,
            "x-kubernetes-validations": [{"rule": ONE_LINE.0, "message": ONE_LINE.1}],
        },
        "x-kubernetes-validations": [
            {
                "rule": "self.all(name, size(name) <= 76 && name.matches('^[-!#$%&*+.^_`|~a-zA-Z0-9]+$'))",
                "message": "a header's name has letters, digits and - only, without the colon, and at most 76 characters",
            },
            {
                "rule": "self.all(name, !name.matches('^(?i)(from|to|cc|bcc|reply-to|subject|date|message-id|mime-version|content-.*|resent-.*|\
                         list-unsubscribe|list-unsubscribe-post|return-path|received|dkim-signature)$'))",
                "message": "From, To, Cc, Bcc, Reply-To, Subject, Date, Message-ID, MIME-Version, Content-*, Resent-*, List-Unsubscribe, Return-Path, \
                            Received and DKIM-Signature are set by the mailer or by servers: remove them here (use replyTo and listUnsubscribe)",
            },
        ],
    })
}

/// `http.headers` of a backend.
pub(super) fn request_headers(generate: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 30,
        "additionalProperties": generate.subschema_for::<HeaderValue>(),
        "x-kubernetes-validations": [{
            "rule": "self.all(name, size(name) <= 128 && name.matches('^[-!#$%&*+.^_`|~a-zA-Z0-9]+$'))",
            "message": "a header's name has letters, digits and - only, without the colon",
        }],
    })
}

/// Mails a second.
pub(super) fn rate(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "number",
        "maximum": 1_000_000,
        "x-kubernetes-validations": [{
            "rule": "self > 0.0",
            "message": "a rate is more than 0 mails a second; to stop sending, stop the campaign",
        }],
    })
}

/// Mails a second by domain.
pub(super) fn rates_by_domain(generate: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "maxProperties": 500, "additionalProperties": rate(generate)})
}

/// A point in time (RFC 3339). No format `date-time`: an API server takes offsets for it that are none.
pub(super) fn timestamp(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 40,
        "x-kubernetes-validations": [{
            "rule": "self.matches('^20[0-9]{2}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$') \
                     && timestamp(self) > timestamp('1999-12-30T00:00:00Z')",
            "message": "write a time with its offset from UTC, like 2027-03-01T08:00:00Z or 2027-03-01T09:00:00+01:00",
        }],
    })
}

/// Amounts by the name of the resource. The pattern is that of the Kubernetes API's own quantities.
pub(super) fn quantities(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 20,
        "additionalProperties": {
            "x-kubernetes-int-or-string": true,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": "^([0-9]+([.][0-9]*)?|[.][0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$",
            "maxLength": 40,
        },
    })
}

/// Labels: texts by name. The API server judges names and values when pods are made of them.
pub(super) fn labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "maxProperties": 50, "additionalProperties": {"type": "string", "maxLength": 63}})
}

/// Annotations: longer texts by name.
pub(super) fn annotations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "maxProperties": 50, "additionalProperties": {"type": "string", "maxLength": 16_384}})
}

/// Fields that only the Kubernetes API knows: large, rarely used, and judged by it when pods are made of them.
pub(super) fn anything(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// A list of them.
pub(super) fn list_of_anything(generate: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "maxItems": 16, "items": anything(generate)})
}

/// Numbers of groups.
pub(super) fn groups(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "maxItems": 32, "items": {"type": "integer", "minimum": 0, "maximum": 2_147_483_647}})
}
