//! What is told of two runs once all their examples have been compared.

use whence_schemas::RowId;

use super::agreement::{Agreement, mean};
use super::shared::{Mismatch, SharedScores};
use crate::Failure;
use crate::output::counted;

/// At most this many examples are named.
const NAMED: usize = 3;

/// The examples that were compared, and those that were not.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Rows that only one run has.
    pub(crate) alone: u64,
    /// Rows that at least one run could not attribute.
    pub(crate) failed: u64,
    compared: Vec<(RowId, Agreement)>,
    refused: u64,
    /// The first of the refused, with the reasons.
    named: Vec<(RowId, Mismatch)>,
    least_alike: Option<(RowId, f64, SharedScores)>,
}

impl Tally {
    /// Counts an example that was compared. Keeps the one whose ranks agree least.
    pub(crate) fn add(&mut self, id: RowId, agreement: Agreement, shared: SharedScores) {
        self.compared.push((id, agreement));
        let correlation = agreement.rank_correlation.unwrap_or(f64::INFINITY);
        let is_less = |(_, least, _): &(RowId, f64, SharedScores)| correlation < *least;
        if self.least_alike.as_ref().is_none_or(is_less) {
            self.least_alike = Some((id, correlation, shared));
        }
    }

    /// Counts an example that cannot be compared.
    pub(crate) fn refuse(&mut self, id: RowId, mismatch: Mismatch) {
        self.refused += 1;
        if self.named.len() < NAMED {
            self.named.push((id, mismatch));
        }
    }

    /// Fails if no example was compared.
    pub(crate) fn check(&self, wanted: Option<i64>) -> Result<(), Failure> {
        if !self.compared.is_empty() {
            return Ok(());
        }
        let reason = match (self.named.first(), wanted) {
            (Some((id, mismatch)), _) => format!("{id}: {mismatch}"),
            (None, Some(wanted)) => format!("no attributed example {wanted} is in both"),
            (None, None) => "no attributed example is in both".to_owned(),
        };
        Err(Failure::request(format!("the runs cannot be compared: {reason}")).hint(
            "compare runs over the same rows, with the same tokenizer and the same generated texts",
        ))
    }

    /// Returns the example whose ranks agree least.
    pub(crate) fn least_alike(&self) -> Option<(RowId, &SharedScores)> {
        let (id, _, shared) = self.least_alike.as_ref()?;
        Some((*id, shared))
    }

    /// Returns what the user should know about examples that were left out.
    pub(crate) fn notices(&self) -> Vec<String> {
        let mut notices = Vec::new();
        if self.alone > 0 {
            let rows = counted(self.alone, "row");
            notices.push(format!("only one of the runs has {rows}; left out"));
        }
        if self.failed > 0 {
            let rows = counted(self.failed, "row");
            notices.push(format!("{rows} could not be attributed in one of the runs"));
        }
        if self.refused > 0 {
            let named: Vec<_> = (self.named.iter())
                .map(|(id, mismatch)| format!("{id}: {mismatch}"))
                .collect();
            let examples = counted(self.refused, "example");
            notices.push(format!("left out {examples}; {}", named.join("; ")));
        }
        notices
    }

    /// Returns how far the runs agree, as a few lines.
    pub(crate) fn summary(&self, top_k: u16) -> String {
        let agreements = || self.compared.iter().map(|(_, agreement)| agreement);
        let correlation = mean(agreements().filter_map(|own| own.rank_correlation));
        let overlap = mean(agreements().filter_map(|own| own.top_overlap));
        let count = counted(self.compared.len() as u64, "example");
        let mut lines = vec![
            format!("{count} compared"),
            format!("mean rank correlation: {}", number(correlation)),
            format!("mean top-{top_k} overlap: {}", number(overlap)),
        ];
        let largest = self
            .compared
            .iter()
            .max_by(|(_, a), (_, b)| a.largest_difference.total_cmp(&b.largest_difference));
        if let Some((id, own)) = largest {
            let difference = own.largest_difference;
            lines.push(format!("largest difference: {difference:.4} in {id}"));
        }
        if self.compared.len() > 1 {
            lines.push("least alike:".to_owned());
            let mut order: Vec<_> = self.compared.iter().collect();
            let key = |own: &Agreement| own.rank_correlation.unwrap_or(f64::INFINITY);
            order.sort_by(|(_, a), (_, b)| key(a).total_cmp(&key(b)));
            lines.extend(order.iter().take(NAMED).map(|(id, own)| {
                let (correlation, overlap) =
                    (number(own.rank_correlation), number(own.top_overlap));
                format!("  {id}: rank correlation {correlation}, top-{top_k} overlap {overlap}")
            }));
        }
        lines.join("\n")
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or("undefined".to_owned(), |value| format!("{value:.3}"))
}
