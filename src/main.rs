//! The thin binary: parse the command line, call one function.

use std::process::ExitCode;

fn main() -> ExitCode {
    hapax::cli::main(std::env::args_os().skip(1))
}
