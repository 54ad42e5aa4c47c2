//! The table, in Markdown.

use std::fmt::Write;

/// A measured row.
pub(crate) struct Line {
    /// What was measured.
    pub(crate) what: String,
    /// Our figure, with its unit.
    pub(crate) ours: String,
    /// The peer's name and figure, where there is one.
    pub(crate) peer: String,
    /// What is compared with the two bounds.
    pub(crate) result: Bounded,
}

/// A figure and what is asked of it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bounded {
    /// Ours divided by the peer's; more is better.
    Times { ratio: f64, at_least: f64, goal: f64 },
    /// Memory, time or a share; less is better.
    AtMost { figure: f64, at_least: f64, goal: f64, unit: &'static str },
}

impl Line {
    /// Whether the figure is at least what it must be.
    pub(crate) fn is_enough(&self) -> bool {
        match self.result {
            Bounded::Times { ratio, at_least, .. } => ratio >= at_least,
            Bounded::AtMost { figure, at_least, .. } => figure <= at_least,
        }
    }
}

/// The lines as a table.
pub(crate) fn markdown(lines: &[Line]) -> String {
    let mut text = String::from("| what | ours | peer | ratio | at least | goal |\n|---|---|---|---|---|---|\n");
    for line in lines {
        let (ratio, at_least, goal) = match line.result {
            Bounded::Times { ratio, at_least, goal } => {
                (format!("**{ratio:.2}×**"), format!("{at_least}×"), format!("{goal}×"))
            }
            Bounded::AtMost { at_least, goal, unit, .. } => {
                ("–".to_owned(), format!("{at_least} {unit}"), format!("{goal} {unit}"))
            }
        };
        let missed = if line.is_enough() { "" } else { " (missed)" };
        let _ =
            writeln!(text, "| {} | {} | {} | {ratio}{missed} | {at_least} | {goal} |", line.what, line.ours, line.peer);
    }
    text
}

/// A figure with thousands apart.
pub(crate) fn grouped(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_read_in_thousands() {
        assert_eq!([7.4, 999.0, 1000.0, 1_234_567.0].map(grouped), ["7", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn a_row_that_misses_its_bound_says_so() {
        let result = Bounded::AtMost { figure: 70.0, at_least: 60.0, goal: 40.0, unit: "MB" };
        let line = Line { what: "memory".to_owned(), ours: "70 MB".to_owned(), peer: "–".to_owned(), result };
        assert!(markdown(&[line]).contains("| memory | 70 MB | – | – (missed) | 60 MB | 40 MB |"));
    }
}
