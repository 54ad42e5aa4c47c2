//! The header of a table: which row it is, what the columns are called, which holds the addresses.
//!
//! The header is the first row that has the address column in it, provided that every row above fills fewer cells: those are titles. (A row
//! of data that happens to hold the word "mail" fills as many cells as the real header above it, and so is none.) White space in a name
//! counts as one space. A column without a name, left of the last one that has a name, is called by its letter; what stands further right
//! is not part of the table.

use super::{
    error::{Error, Problem},
    value::column_letters,
};
use campaign::Fields;
use serde_json::Value;

/// How many rows that are not blank may stand above the header, and be searched for it.
pub(super) const SEARCHED_ROWS: usize = 20;
const USUAL_NAMES: [&str; 3] = ["email", "e-mail", "mail"];

/// The columns of a table.
#[derive(Debug)]
pub(super) struct Header {
    names: Vec<String>,
    email: usize,
    /// All columns with null in them: cloned and filled for each row, which hashes no name again.
    template: Fields,
}

impl Header {
    /// How many columns there are.
    pub(super) fn width(&self) -> usize {
        self.names.len()
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Position of the column with the addresses.
    pub(super) fn email(&self) -> usize {
        self.email
    }

    /// A row's values by column, moved out of `cells`; where the row is shorter, null.
    pub(super) fn fields(&self, cells: &mut [Value]) -> Fields {
        let mut fields = self.template.clone();
        for (slot, cell) in fields.values_mut().zip(cells) {
            *slot = cell.take();
        }
        fields
    }
}

/// Whether a key or column name is the address column.
pub(super) fn is_email_column(name: &str, wanted: Option<&str>) -> bool {
    match wanted {
        Some(wanted) => name == wanted,
        None => USUAL_NAMES.iter().any(|usual| name.eq_ignore_ascii_case(usual)),
    }
}

/// Looks for the header among the first rows.
#[derive(Debug)]
pub(super) struct Search<'a> {
    wanted: Option<&'a str>,
    /// Cells filled in the fullest row so far, and the names in the first of the fullest.
    fullest: usize,
    likeliest: Vec<String>,
    rows: usize,
}

impl<'a> Search<'a> {
    pub(super) fn new(wanted: Option<&'a str>) -> Self {
        Self { wanted, fullest: 0, likeliest: Vec::new(), rows: 0 }
    }

    /// Whether enough rows were looked at.
    pub(super) fn is_over(&self) -> bool {
        self.rows >= SEARCHED_ROWS
    }

    /// Looks at the next row; the header, if this is it. `place` is that of the list.
    pub(super) fn look_at(&mut self, cells: &[Value], place: &str) -> Result<Option<Header>, Error> {
        let names: Vec<String> = cells.iter().map(name_of).collect();
        let filled = names.iter().filter(|name| !name.is_empty()).count();
        if filled == 0 {
            return Ok(None);
        }
        self.rows += 1;
        let email = names.iter().position(|name| is_email_column(name, self.wanted));
        match email {
            Some(email) if filled > self.fullest || filled == 1 => header(names, email, place).map(Some),
            _ => {
                if filled > self.fullest {
                    self.fullest = filled;
                    self.likeliest = names.into_iter().filter(|name| !name.is_empty()).collect();
                }
                Ok(None)
            }
        }
    }

    /// What to say when there is no header.
    pub(super) fn failed(self) -> Problem {
        if self.rows == 0 {
            return Problem::Empty("it has no row at all");
        }
        no_email_column(self.wanted, self.likeliest)
    }
}

/// The address column is missing among `found`.
pub(super) fn no_email_column(wanted: Option<&str>, found: Vec<String>) -> Problem {
    match wanted {
        Some(wanted) => Problem::NoEmailColumn { wanted: wanted.to_owned(), found },
        None => Problem::NoUsualEmailColumn { found },
    }
}

fn header(mut names: Vec<String>, email: usize, place: &str) -> Result<Header, Error> {
    let width = names.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
    names.truncate(width);
    let mut template = Fields::with_capacity(width);
    for (column, name) in names.iter_mut().enumerate() {
        if name.is_empty() {
            *name = column_letters(column);
        }
        if template.insert(name.clone(), Value::Null).is_some() {
            let first = template.keys().position(|key| key == name).unwrap_or(0);
            let problem = Problem::SameColumn {
                name: name.clone(),
                first: column_letters(first),
                second: column_letters(column),
            };
            return Err(Error::at(place, problem));
        }
    }
    Ok(Header { names, email, template })
}

/// A cell as a column's name: white space around it dropped, any in it one space.
fn name_of(cell: &Value) -> String {
    let text = match cell {
        Value::Null => return String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn find(rows: &[Value], wanted: Option<&str>) -> Result<(usize, Header), String> {
        let mut search = Search::new(wanted);
        for (index, row) in rows.iter().enumerate() {
            let cells = row.as_array().expect("an array");
            if let Some(header) = search.look_at(cells, "list").map_err(|e| e.to_string())? {
                return Ok((index, header));
            }
        }
        Err(search.failed().to_string())
    }

    #[test]
    fn the_header_is_found_below_titles() {
        let rows = [json!(["Offers 2027"]), json!([null]), json!(["Name", "Begin\n of  work", "E-Mail", null])];
        let (index, header) = find(&rows, None).expect("a header");
        assert_eq!((index, header.email()), (2, 2));
        assert_eq!(header.names(), ["Name", "Begin of work", "E-Mail"]);
    }

    #[test]
    fn a_row_of_data_with_the_word_mail_is_no_header() {
        let rows = [json!(["Name", "Address", "Contact by"]), json!(["Ann", "ann@example.org", "mail"])];
        let error = find(&rows, None).expect_err("no header");
        assert!(error.contains("\"Name\", \"Address\", \"Contact by\""), "{error}");
    }

    #[test]
    fn a_list_of_one_column_may_have_a_title() {
        let (index, header) = find(&[json!(["Recipients"]), json!(["MAIL"])], None).expect("a header");
        assert_eq!((index, header.width()), (1, 1));
    }

    #[test]
    fn the_wanted_column_is_taken_as_written_and_the_nearest_is_offered() {
        let rows = [json!(["Name", "Email", "Private mail"])];
        assert_eq!(find(&rows, Some("Private mail")).expect("a header").1.email(), 2);
        let error = find(&rows, Some("Private email")).expect_err("no such column");
        assert!(
            error.contains("did you mean \"Private mail\"?") && error.contains("spec.recipients.emailColumn"),
            "{error}"
        );
    }

    #[test]
    fn a_column_without_a_name_is_called_by_its_letter() {
        let (_, header) = find(&[json!([null, "Name", null, "Email"])], None).expect("a header");
        assert_eq!(header.names(), ["A", "Name", "C", "Email"]);
    }

    #[test]
    fn two_columns_of_one_name_are_refused_with_their_letters() {
        let error = find(&[json!(["Name", "Email", "Name"])], None).expect_err("ambiguous");
        assert!(error.contains("\"Name\" (A and C)"), "{error}");
    }

    #[test]
    fn nothing_at_all_is_an_empty_list() {
        assert!(find(&[json!([null]), json!(["  "])], None).expect_err("empty").contains("empty"));
    }
}
