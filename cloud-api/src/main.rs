//! The program `cardea-cloud`: `run` and the commands beside it.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
