//! The program `cardea-cloud`: `run`, `init-operator`, `check`, `verify-export`.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
