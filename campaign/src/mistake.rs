//! A mistake in what a person wrote: where it is and what to do about it.

use std::fmt;

/// One mistake, with its place. `validate` collects these; nothing is sent while there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where: a field path (`spec.delivery.rate.perSecond`) or a place in a file (`offers.xlsx: sheet "Candidates" row 17`).
    pub place: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl Mistake {
    /// A mistake at a field path or a place in a file.
    pub fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// The candidate nearest to `wanted` by edit distance, if one is near enough to be what was meant.
pub fn nearest<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = wanted.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.chars().count().max(wanted.chars().count()) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_and_a_far_one_is_not() {
        assert_eq!(nearest("recipents", ["message", "recipients", "delivery"]), Some("recipients"));
        assert_eq!(nearest("postion", ["Name", "Position"]), Some("Position"));
        assert_eq!(nearest("zzz", ["Name", "Position"]), None);
    }
}
