//! What a page shows of an example.

use whence_schemas::RowId;

use crate::viz::heatmap::Heatmap;

/// The text above an example's heatmaps.
#[derive(Debug, Clone, Copy)]
pub struct Caption<'a> {
    /// The number of the example and of the sequence.
    pub id: RowId,
    /// The input text.
    pub input_text: &'a str,
    /// The generated or forced target text.
    pub generated_text: &'a str,
}

/// An example on a page.
#[derive(Debug)]
pub struct Entry<'a> {
    /// The number of the example and of the sequence.
    pub id: RowId,
    /// Its texts by name.
    pub texts: &'a [(&'a str, &'a str)],
    /// Numbers about the example, which it can be sorted by; `None` where one is undefined.
    pub measures: &'a [(&'a str, Option<f64>)],
    /// Its heatmaps.
    pub pictures: &'a [Picture<'a>],
}

/// A heatmap on a page.
#[derive(Debug, Clone, Copy)]
pub struct Picture<'a> {
    /// The run that it is from; empty on a page of a single run.
    pub run: &'a str,
    /// The heatmap.
    pub heatmap: &'a Heatmap,
}
