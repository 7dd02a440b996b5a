//! The report for programs.

use super::Report;
use crate::eval::EvalError;

/// All that was found, without texts of plates or names of people. Numbers that are not finite (a threshold no impostor
/// sets) are `null`.
pub(super) fn report(report: &Report) -> Result<String, EvalError> {
    serde_json::to_string_pretty(report).map(|text| text + "\n").map_err(EvalError::Json)
}
