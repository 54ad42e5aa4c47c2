//! Watches that lose changes. A watch is a stream of lines, one JSON object each.

use super::Plan;
use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use serde_json::Value;
use tower::BoxError;

/// One line of a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// `ADDED`, `MODIFIED` or `DELETED`.
    pub(crate) kind: String,
    /// Of the object.
    pub(crate) namespace: String,
    /// Of the object.
    pub(crate) name: String,
}

/// The watch without the lines that the plan drops; it is asked at each line.
pub(super) fn filtered<B>(body: B, plan: Plan, plural: String) -> UnsyncBoxBody<Bytes, BoxError>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let data = Box::pin(body.into_data_stream());
    let lines = stream::unfold((data, Vec::new()), move |(mut data, mut begun)| {
        let (plan, plural) = (plan.clone(), plural.clone());
        async move {
            loop {
                match data.next().await? {
                    Ok(chunk) => begun.extend_from_slice(&chunk),
                    Err(error) => return Some((Err(error.into()), (data, begun))),
                }
                let whole = begun.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
                let lines: Vec<u8> = begun.drain(..whole).collect();
                let kept: Vec<&[u8]> =
                    lines.split_inclusive(|byte| *byte == b'\n').filter(|line| !plan.drops(&plural, line)).collect();
                if !kept.is_empty() {
                    return Some((Ok(Frame::data(Bytes::from(kept.concat()))), (data, begun)));
                }
            }
        }
    });
    BodyExt::boxed_unsync(StreamBody::new(lines))
}

impl Plan {
    fn drops(&self, plural: &str, line: &[u8]) -> bool {
        let Some(change) = Change::of(line) else { return false };
        let mut rules = self.rules();
        let drops = rules.dropping.iter().any(|(of, which)| *of == plural && which(&change));
        rules.dropped += usize::from(drops);
        drops
    }
}

impl Change {
    /// None: a bookmark or an error.
    fn of(line: &[u8]) -> Option<Self> {
        let event: Value = serde_json::from_slice(line).ok()?;
        let kind = event["type"].as_str().filter(|kind| ["ADDED", "MODIFIED", "DELETED"].contains(kind))?;
        let text = |field: &str| event["object"]["metadata"][field].as_str().unwrap_or_default().to_owned();
        Some(Self { kind: kind.to_owned(), namespace: text("namespace"), name: text("name") })
    }
}
