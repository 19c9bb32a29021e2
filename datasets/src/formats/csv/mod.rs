//! CSV and TSV with the meaning of pandas, as in `datasets`.
//!
//! A cell in quotes may contain line ends, which are kept as they are. Words such as `NA` and empty
//! cells are null. A row with fewer cells than the header has ends in nulls. Numbers stay as they
//! are written.
//!
//! Where pandas guesses, this refuses. A row with more cells than the header is that row's error;
//! pandas would take the first column of such a file for row labels and shift all the others. A
//! quote that is never closed is an error that names the line.

mod header;
mod records;

use records::{Dialect, Records};
use whence_schemas::FormatOptions;

use super::line_numbers::LineNumbers;
use super::text_start::text_start;
use crate::Error;
use crate::content::SharedContent;
use crate::field::{Cell, FieldPath};
use crate::format::{Format, Row, RowReader};

/// The format with its options.
#[derive(Debug)]
pub(super) struct Csv {
    dialect: Dialect,
    /// Names of the columns if the files have no header line.
    names: Vec<String>,
    num_skipped_lines: u64,
    has_na_words: bool,
}

impl Csv {
    /// Reads the options, or says what is wrong with them.
    pub(super) fn new(options: &FormatOptions) -> Result<Self, String> {
        let sign = |name: &str, value: Option<&str>, default| match value.map(str::as_bytes) {
            None => Ok(default),
            Some(&[sign]) if sign.is_ascii() && sign != b'\n' && sign != b'\r' => Ok(sign),
            Some(_) => Err(format!("`{name}` must be one ASCII character")),
        };
        let dialect = Dialect {
            separator: sign("sep", options.sep.as_deref(), b',')?,
            quote: sign("quotechar", options.quotechar.as_deref(), b'"')?,
        };
        if dialect.separator == dialect.quote {
            return Err("`sep` and `quotechar` must differ".to_owned());
        }
        Ok(Self {
            dialect,
            names: options.names.clone(),
            num_skipped_lines: options.skiprows,
            has_na_words: options.keep_default_na != Some(false),
        })
    }
}

fn header_line(content: &SharedContent, records: &mut Records) -> Result<Vec<String>, Error> {
    if records.next()?.is_none() {
        return Ok(Vec::new());
    }
    let names = records
        .fields()
        .map(|name| String::from_utf8(name.to_vec()));
    names.collect::<Result<_, _>>().map_err(|error| Error::Format {
        path: content.name().into(),
        reason: format!(
            "its header is not UTF-8 ({error}); set the option `encoding`, for example to `latin-1`"
        ),
    })
}

impl Format for Csv {
    fn open(
        &self,
        content: &SharedContent,
        offset: u64,
        fields: &[FieldPath],
    ) -> Result<Box<dyn RowReader>, Error> {
        let mut records = Records::open(content, text_start(content)?, self.dialect)?;
        for _ in 0..self.num_skipped_lines {
            records.skip_line()?;
        }
        let columns = match self.names.as_slice() {
            [] => header::column_names(header_line(content, &mut records)?),
            names => names.to_vec(),
        };
        // Offset 0 stands for the first row, and the header has just been read.
        if offset > records.offset() {
            records = Records::open(content, offset, self.dialect)?;
        }
        let place = |field: &FieldPath| columns.iter().position(|name| name == field.as_str());
        Ok(Box::new(CsvRows {
            records,
            numbers: LineNumbers::new(content),
            places: fields.iter().map(place).collect(),
            columns,
            has_na_words: self.has_na_words,
        }))
    }
}

struct CsvRows {
    records: Records,
    numbers: LineNumbers,
    columns: Vec<String>,
    /// The column of each requested field; `None` if the header lacks it.
    places: Vec<Option<usize>>,
    has_na_words: bool,
}

impl CsvRows {
    /// Returns the requested cells of the record that was read last.
    fn cells(&self) -> Row {
        let record: Vec<&[u8]> = self.records.fields().collect();
        let (found, expected) = (record.len(), self.columns.len());
        if found > expected {
            return Err(format!("has {found} fields, the header has {expected}"));
        }
        let cell = |place: &Option<usize>| {
            let Some(place) = place else {
                return Ok(Cell::Absent);
            };
            let Some(bytes) = record.get(*place) else {
                return Ok(Cell::Null);
            };
            let text = str::from_utf8(bytes)
                .map_err(|error| format!("is not UTF-8 ({error}); set the option `encoding`"))?;
            Ok(if self.has_na_words && header::is_na(text) {
                Cell::Null
            } else {
                Cell::Text(text.to_owned())
            })
        };
        self.places.iter().map(cell).collect()
    }
}

impl RowReader for CsvRows {
    fn offset(&self) -> u64 {
        self.records.offset()
    }

    fn next(&mut self) -> Result<Option<Row>, Error> {
        let Some(start) = self.records.next()? else {
            return Ok(None);
        };
        Ok(Some(match self.cells() {
            Ok(cells) => Ok(cells),
            Err(reason) => Err(format!("{} {reason}", self.numbers.name(start)?)),
        }))
    }

    fn skip(&mut self) -> Result<bool, Error> {
        Ok(self.records.next()?.is_some())
    }

    fn columns(&self) -> Vec<String> {
        self.columns.clone()
    }
}
