//! The `cardead` program: see `cardea_daemon::cli`.

use std::process::ExitCode;

use cardea_daemon::cli::{self, Cli};
use clap::Parser as _;
use zeroizing_alloc::ZeroAlloc;

/// What is given back is overwritten: also copies of which no type knows that they are of a key or a template.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<std::alloc::System> = ZeroAlloc(std::alloc::System);

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    cli::start_logging(cli.log);
    cli::forbid_dumps();
    match cli::execute(cli).await {
        Ok(code) => code,
        Err(error) => {
            cli::print_error(&error);
            ExitCode::FAILURE
        }
    }
}
