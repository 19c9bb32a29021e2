//! Sweeps: one file that names many jobs, as the combinations of models, methods, datasets and whatever
//! else varies.
//!
//! [`file`] is what the file says, [`grid`] combines it into cells, and [`options`] reads the options of
//! a cell as the command line of `attribute-dataset` does. Each cell is a job like any other. Its id
//! follows from its contents, so a cell that two sweeps share is computed once, and a sweep that was
//! edited computes only what is new.
//!
//! What must stay true: nothing in a file is ignored. A key, an option or a condition that means nothing
//! is refused by its name.

mod budget;
mod cells;
mod file;
mod grid;
mod options;
mod schema;

pub(crate) use budget::Budget;
pub(crate) use cells::Sweep;
pub(crate) use schema::schema;
