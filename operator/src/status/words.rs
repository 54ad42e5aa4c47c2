//! The sentences of the conditions. No address and no row is in them.

use crate::observed::Kafka;
use crate::resource::{Campaign, Named};
use crate::seen::{LET_GO, RESUME, SEND_AGAIN};
use campaign::{Counts, Mistake};
use jiff::Timestamp;
use journal::{Obstacle, Preflighted, Tally};

/// So many mistakes are told.
const MISTAKES: usize = 10;

pub(super) fn mistakes(mistakes: &[Mistake]) -> String {
    let told: Vec<String> = mistakes.iter().take(MISTAKES).map(ToString::to_string).collect();
    match mistakes.len().saturating_sub(MISTAKES) {
        0 => told.join("; "),
        more => format!("{}; and {more} more", told.join("; ")),
    }
}

pub(super) fn missing(missing: &[Named]) -> String {
    let names: Vec<String> = missing.iter().map(|named| format!("{} {}", named.kind.name(), named.name)).collect();
    format!("not found in this namespace: {}; the campaign goes on by itself when it is there", names.join(", "))
}

pub(super) fn leftovers(leftovers: &[String]) -> String {
    format!(
        "an earlier campaign of this name is still being removed: {}. If it stays, somebody else made it: delete it, or choose another name",
        leftovers.join(", ")
    )
}

pub(super) fn already_sent(kafka: &Kafka, campaign: &Campaign) -> String {
    let Kafka::Absent { sent } = kafka else { return String::new() };
    let uids = sent.join(",");
    format!(
        "a campaign of this name has sent mails before (uid {uids}). To mail everybody on the list, once more: \
         {} {SEND_AGAIN}={uids}",
        annotate(campaign)
    )
}

pub(super) fn preflight(found: Option<&Preflighted>) -> String {
    match found {
        None => "list and message were looked at, and are pinned".to_owned(),
        Some(found) => format!("every letter was made once: {}", tally(&found.tally)),
    }
}

pub(super) fn published(published: &Tally) -> String {
    format!("the whole list: {}", tally(published))
}

fn tally(tally: &Tally) -> String {
    let skipped = [(tally.invalid, "invalid"), (tally.duplicate, "duplicate"), (tally.suppressed, "suppressed")];
    let mut told = vec![format!("{} mails of {} rows", tally.published, tally.total())];
    told.extend(skipped.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")));
    told.join(", ")
}

/// What became of the mails, without what there is none of.
pub(super) fn account(counts: &Counts) -> String {
    let states = [
        (counts.delivered, "delivered"),
        (counts.pending, "pending"),
        (counts.deferred, "deferred"),
        (counts.rejected, "rejected"),
        (counts.refused, "refused"),
        (counts.dead, "dead"),
        (counts.unknown, "unknown"),
    ];
    let told: Vec<String> =
        states.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    if told.is_empty() { "no mails".to_owned() } else { told.join(", ") }
}

pub(super) fn paused(kafka: &Kafka, campaign: &Campaign) -> String {
    let Some(paused) = kafka.survey().and_then(|survey| survey.paused.as_ref()) else { return String::new() };
    format!("{}. When it is mended: {} {RESUME}={}", paused.reason, annotate(campaign), paused.at)
}

pub(super) fn no_backend(obstacle: &Obstacle) -> String {
    format!(
        "no backend takes mails: {}. They are tried again and again; mend the server, its Secret or spec.delivery.backends",
        obstacle.reason
    )
}

pub(super) fn undecided(unknown: u64, campaign: &Campaign) -> String {
    format!(
        "of {unknown} mails nobody knows whether they were delivered; decide with kubectl mailcampaign resolve {} -n {} --resend (or --discard)",
        campaign.name(),
        campaign.namespace()
    )
}

/// The beginning of the command that annotates it. An annotation of an earlier time may be there.
fn annotate(campaign: &Campaign) -> String {
    format!("kubectl annotate mc {} -n {} --overwrite", campaign.name(), campaign.namespace())
}

pub(super) fn changed(fields: &[String]) -> String {
    format!(
        "changed since the content was pinned, and not used: {}. Put it back, or make a new campaign (another metadata.name) of it; \
         workers that start anew refuse it",
        fields.join(", ")
    )
}

pub(super) fn deleting(until: Option<Timestamp>) -> String {
    match until {
        Some(until) => format!(
            "the topics are being deleted; if Kafka does not answer, this is given up {}, or at once with the annotation {LET_GO}=true",
            time(until)
        ),
        None => "nothing is left to be done".to_owned(),
    }
}

/// A moment, for people.
pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}
