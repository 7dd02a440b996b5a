//! The program `cardea-models`: see `cardea_models_cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    cardea_models_cli::cli::main()
}
