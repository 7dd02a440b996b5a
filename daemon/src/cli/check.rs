//! `cardead check`: prints what `crate::check` finds. Exit code 1 if something does not work.

use std::process::ExitCode;
use std::sync::Arc;

use cardea_protocol::clock::{SharedClock, SystemClock};
use clap::Args;

use super::{CliError, ConfigFile, print};
use crate::check::{self, Finding, Verdict};

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: CheckArgs) -> Result<ExitCode, CliError> {
    let clock: SharedClock = Arc::new(SystemClock);
    let findings = check::run(&args.file.config, &clock).await;
    if args.json {
        let text = serde_json::to_string_pretty(&findings).unwrap_or_default();
        print(&format!("{text}\n"))?;
    } else {
        print(&text(&findings))?;
    }
    let failed = findings.iter().any(|finding| finding.verdict == Verdict::Failure);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn text(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Finding { check, verdict, found, todo } in findings {
        let mark = match verdict {
            Verdict::Ok => '✓',
            Verdict::Warning => '!',
            Verdict::Failure => '✗',
        };
        text.push_str(&format!("{mark} {check:width$}  {found}\n"));
        if let Some(todo) = todo {
            text.push_str(&format!("  {:width$}  → {todo}\n", ""));
        }
    }
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let (failures, warnings) = (count(Verdict::Failure), count(Verdict::Warning));
    text.push_str(&match (failures, warnings) {
        (0, 0) => "Everything is in order.\n".to_owned(),
        _ => format!("{failures} to mend (✗), {warnings} to look at (!).\n"),
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_say_what_is_wrong_and_what_to_do() {
        let finding = |verdict, todo: Option<&str>| Finding {
            check: "clock",
            verdict,
            found: "it is 1970".to_owned(),
            todo: todo.map(str::to_owned),
        };
        let failed = text(&[finding(Verdict::Failure, Some("set it")), finding(Verdict::Ok, None)]);
        assert!(failed.contains("✗ clock  it is 1970\n         → set it\n✓ clock"), "{failed}");
        assert!(failed.ends_with("1 to mend (✗), 0 to look at (!).\n"));
        assert!(text(&[finding(Verdict::Ok, None)]).ends_with("Everything is in order.\n"));
    }
}
