//! The program `cardea-cloud`: `run` and the commands beside it.

mod cli;

use zeroizing_alloc::ZeroAlloc;

/// What is given back is overwritten: also copies of which no type knows that they are of a key or a template.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<std::alloc::System> = ZeroAlloc(std::alloc::System);

fn main() -> std::process::ExitCode {
    cli::main()
}
