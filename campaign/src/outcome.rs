//! What became of a message.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a server said: the last line of evidence about a message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reply {
    /// SMTP (RFC 5321 §4.2) or HTTP status code; 0 when no server spoke (connection lost, timeout).
    pub code: u16,
    /// Enhanced status code (RFC 3463), e.g. `5.1.1`, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enhanced: Option<String>,
    /// The text, control characters removed, at most 500 characters.
    pub text: String,
}

/// The state of a message after an attempt. See DESIGN "Outcomes" in ARCHITECTURE.md.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "camelCase")]
pub enum Outcome {
    /// A server took responsibility for it.
    Delivered {
        /// Its reply; the queue id stands in the text.
        reply: Reply,
    },
    /// Transient: try again at `due`.
    Deferred {
        /// Not before this time.
        #[schemars(with = "String")]
        due: Timestamp,
        /// Why.
        reply: Reply,
    },
    /// The recipient's address is bad (RFC 3463 5.1.x and the like). Final.
    Rejected {
        /// Why.
        reply: Reply,
    },
    /// The sender is misconfigured or blocked (5.7.x, or any refusal at AUTH or MAIL FROM). Says nothing about the address.
    Refused {
        /// Why.
        reply: Reply,
    },
    /// Between the final dot and its reply the connection was lost (RFC 1047), or the sender died: perhaps delivered.
    Unknown {
        /// What is known.
        reply: Reply,
    },
    /// Attempts or age are exhausted; `reply` is the last one. Final.
    Dead {
        /// The last reason.
        reply: Reply,
    },
    /// Claimed but never begun: back in the queue, at no attempt.
    Released,
}

impl Outcome {
    /// The reply that stands behind it, if a server or the network said something.
    pub fn reply(&self) -> Option<&Reply> {
        match self {
            Self::Delivered { reply }
            | Self::Deferred { reply, .. }
            | Self::Rejected { reply }
            | Self::Refused { reply }
            | Self::Unknown { reply }
            | Self::Dead { reply } => Some(reply),
            Self::Released => None,
        }
    }
}

/// The result of one attempt at one message, as it goes into the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Settlement {
    /// The message's row.
    pub row: u64,
    /// Which attempt it was, from 1.
    pub attempt: u32,
    /// When it ended.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The backend that was used, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}
