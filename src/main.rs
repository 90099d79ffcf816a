//! The thin binary: parse the command line, call one function.

use std::process::ExitCode;

/// How it behaves is compiled into it: `.cargo/config.toml`.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    hapax::cli::main(std::env::args_os().skip(1))
}
