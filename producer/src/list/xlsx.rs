//! A sheet of a workbook as a stream of rows, over calamine's reader of cells: the sheet is never in memory as a whole.
//!
//! Formulas count by the value that the last program to save the sheet worked out. Hidden and filtered rows count like others; of merged
//! cells the first has the value. A cell with an error (`#N/A`) makes its row one that can't be mailed.

use super::{
    Error, ListFile, Problem, guard,
    table::Cells,
    value::{column_letters, of_cell},
};
use calamine::{Cell, DataRef, Reader, SheetType, SheetVisible, Xlsx, XlsxCellReader, XlsxError};
use self_cell::{MutBorrow, self_cell};
use serde_json::Value;
use std::{
    fs::File,
    io::BufReader,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// The size of a sheet in Excel.
const MOST_COLUMNS: usize = 16_384;
const MOST_ROWS: u32 = 1_048_576;

type Workbook = Xlsx<BufReader<File>>;

/// The cells of an open sheet, in the order of the file, the next one looked at already.
struct CellStream<'a> {
    reader: XlsxCellReader<'a, BufReader<File>>,
    next: Option<Cell<DataRef<'a>>>,
}

self_cell!(
    /// A workbook together with the stream of cells that borrows from it.
    struct OpenSheet {
        owner: MutBorrow<Workbook>,
        #[not_covariant]
        dependent: CellStream,
    }
);

/// An open sheet.
pub(super) struct Sheet {
    file: String,
    name: String,
    is_1904: bool,
    width: usize,
    open: OpenSheet,
}

impl Sheet {
    /// Opens the sheet `wanted`, or the first visible one.
    pub(super) fn open(file: &ListFile, wanted: Option<&str>) -> Result<Self, Error> {
        let list = || file.display_name.clone();
        let mut opened = BufReader::new(File::open(&file.path).map_err(|error| Error::read(list(), error))?);
        guard::check(&mut opened).map_err(|problem| Error::at(list(), problem))?;
        let workbook: Workbook =
            calm(|| Xlsx::new(opened)).map_err(|error| Error::at(list(), problem_of(error, "the workbook")))?;
        let name = sheet_name(&workbook, wanted).map_err(|problem| Error::at(list(), problem))?;
        let is_1904 = workbook.has_1904_epoch();
        let open = OpenSheet::try_new(MutBorrow::new(workbook), |workbook| {
            let workbook = workbook.borrow_mut();
            calm(|| {
                let mut reader = workbook.worksheet_cells_reader(&name)?;
                let next = reader.next_cell()?;
                Ok(CellStream { reader, next })
            })
        });
        let place = format!("{}: sheet \"{name}\"", file.display_name);
        let open = open.map_err(|error| Error::at(place, problem_of(error, "its beginning")))?;
        Ok(Self { file: list(), name, is_1904, width: usize::MAX, open })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// From now on cells right of the first `width` columns are passed over.
    pub(super) fn only_columns(&mut self, width: usize) {
        self.width = width;
    }

    /// Reads the next row that has a cell. False at the end.
    pub(super) fn read(&mut self, cells: &mut Cells) -> Result<bool, Error> {
        let (width, is_1904) = (self.width, self.is_1904);
        let read = self.open.with_dependent_mut(|_, stream| stream.row(cells, width, is_1904));
        read.map_err(|error| {
            let after =
                format!("what follows cell {}{}", column_letters(cells.values.len().saturating_sub(1)), cells.number);
            Error::at(format!("{}: sheet \"{}\"", self.file, self.name), problem_of(error, &after))
        })
    }
}

impl CellStream<'_> {
    fn row(&mut self, cells: &mut Cells, width: usize, is_1904: bool) -> Result<bool, XlsxError> {
        let Some(first) = &self.next else { return Ok(false) };
        let row = first.get_position().0;
        cells.start(u64::from(row) + 1, None);
        while let Some(cell) = &self.next {
            let (this_row, column) = cell.get_position();
            if this_row != row {
                if this_row < row {
                    return Err(XlsxError::Unexpected("rows out of order"));
                }
                break;
            }
            let column = column as usize;
            if column >= MOST_COLUMNS || row >= MOST_ROWS {
                return Err(XlsxError::Unexpected("a cell beyond XFD1048576"));
            }
            if column < width {
                place(cells, column, of_cell(cell.get_value(), is_1904), cell.get_value());
            }
            self.next = calm(|| self.reader.next_cell())?;
        }
        Ok(true)
    }
}

/// Puts a value into its column.
fn place(cells: &mut Cells, column: usize, value: Result<Value, String>, cell: &DataRef<'_>) {
    if cells.values.len() <= column {
        cells.values.resize(column + 1, Value::Null);
    }
    cells.values[column] = value.unwrap_or_else(|why| {
        let number = cells.number;
        cells.note(|| format!("cell {}{number} {why}; correct it", column_letters(column)));
        Value::String(match cell {
            DataRef::DateTime(serial) => serial.as_f64().to_string(),
            DataRef::Error(error) => error.to_string(),
            _ => why,
        })
    });
}

/// Runs calamine so that a workbook made to trip it is an error like any other damage.
fn calm<T>(read: impl FnOnce() -> Result<T, XlsxError>) -> Result<T, XlsxError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or(Err(XlsxError::Unexpected("a number that is out of range")))
}

fn sheet_name(workbook: &Workbook, wanted: Option<&str>) -> Result<String, Problem> {
    let sheets = || workbook.sheets_metadata().iter().filter(|sheet| sheet.typ == SheetType::WorkSheet);
    let found = || sheets().map(|sheet| sheet.name.clone()).collect();
    let chosen = match wanted {
        Some(wanted) => sheets().find(|sheet| sheet.name == wanted),
        None => sheets().find(|sheet| sheet.visible == SheetVisible::Visible),
    };
    match (chosen, wanted) {
        (Some(sheet), _) => Ok(sheet.name.clone()),
        (None, _) if sheets().next().is_none() => Err(Problem::Damaged("it has no sheet".to_owned())),
        (None, Some(wanted)) => Err(Problem::NoSheet { wanted: wanted.to_owned(), found: found() }),
        (None, None) => Err(Problem::NoVisibleSheet { found: found() }),
    }
}

fn problem_of(error: XlsxError, part: &str) -> Problem {
    match error {
        XlsxError::Password => Problem::Encrypted,
        XlsxError::Io(error) if error.raw_os_error().is_some() => Problem::Read(error),
        XlsxError::CellError(error) => {
            Problem::Damaged(format!("{part} holds {error}, an error that this program does not know; mend that cell"))
        }
        other => Problem::Damaged(format!("{part} can't be read ({other})")),
    }
}
