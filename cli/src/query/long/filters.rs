//! What the filters of a query say about the rows that it needs.

use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use crate::query::views::keys::KEYS;

/// Returns whether a filter reads only columns that a slot's rows have too.
pub(super) fn is_about_slots(filter: &Expr) -> bool {
    let columns = filter.column_refs();
    !columns.is_empty()
        && columns
            .iter()
            .all(|column| KEYS.contains(&column.name.as_str()))
}

/// Returns the text that `column` must be equal to for the filter to hold.
pub(super) fn required_text(filter: &Expr, column: &str) -> Option<String> {
    match comparison(filter, column)? {
        (Operator::Eq, value) => value.try_as_str().flatten().map(str::to_owned),
        _ => None,
    }
}

/// Returns the largest `rank` for which the filter can hold.
pub(super) fn largest_rank(filter: &Expr) -> Option<u32> {
    let (operator, value) = comparison(filter, "rank")?;
    let value = match value {
        ScalarValue::Int32(value) => i64::from((*value)?),
        ScalarValue::Int64(value) => (*value)?,
        _ => return None,
    };
    let largest = match operator {
        Operator::Eq | Operator::LtEq => value,
        Operator::Lt => value.saturating_sub(1),
        _ => return None,
    };
    Some(u32::try_from(largest.max(0)).unwrap_or(u32::MAX))
}

/// Takes a filter apart that compares `column` with a value, which is returned as the right side.
fn comparison<'a>(filter: &'a Expr, column: &str) -> Option<(Operator, &'a ScalarValue)> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else {
        return None;
    };
    let is_column = |of: &Expr| matches!(of, Expr::Column(Column { name, .. }) if name == column);
    match (&**left, &**right) {
        (of, Expr::Literal(value, _)) if is_column(of) => Some((*op, value)),
        (Expr::Literal(value, _), of) if is_column(of) => Some((op.swap()?, value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};

    use super::*;

    #[test]
    fn a_filter_bounds_the_rank_only_from_above() {
        assert_eq!(largest_rank(&col("rank").eq(lit(2_i32))), Some(2));
        assert_eq!(largest_rank(&col("rank").lt(lit(2_i32))), Some(1));
        assert_eq!(largest_rank(&lit(2_i64).gt_eq(col("rank"))), Some(2));
        assert_eq!(largest_rank(&col("rank").lt_eq(lit(-3_i32))), Some(0));
        assert_eq!(largest_rank(&lit(2_i32).lt(col("rank"))), None);
        assert_eq!(largest_rank(&col("rank").not_eq(lit(2_i32))), None);
        assert_eq!(largest_rank(&col("step").eq(lit(2_i32))), None);
    }

    #[test]
    fn a_text_is_required_whichever_side_it_is_on() {
        let required = |filter: Expr| required_text(&filter, "side");
        assert_eq!(
            required(col("side").eq(lit("source"))),
            Some("source".to_owned())
        );
        assert_eq!(
            required(lit("source").eq(col("side"))),
            Some("source".to_owned())
        );
        assert_eq!(required(col("side").not_eq(lit("source"))), None);
    }
}
