//! One file per command; `main` picks it. Exit status: 0 done, 1 failed, 64 wrong usage, 78 wrong configuration.

mod args;
pub mod assemble;
mod books;
mod check;
mod completions;
mod container;
mod demo;
pub mod drill;
mod duty;
mod explain;
mod exposition;
mod health;
mod help;
mod import;
mod keys;
mod paint;
mod reload;
mod serve;
mod simulate;
mod systemd;
mod usage;
mod watch;

use args::Command;
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Why a command did not succeed, as its exit status (sysexits.h).
#[derive(Debug)]
pub(crate) enum Failed {
    /// 1: at run time.
    Running(String),
    /// 64: wrong usage.
    Usage(String),
    /// 78: the configuration is wrong; one line per problem.
    Config(String),
}

/// Runs the command line and returns the exit status.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let done = args::parse(arguments).and_then(|command| match command {
        Command::Serve { config } => serve::run(config.as_deref()),
        Command::Demo { listen } => demo::run(&listen),
        Command::Check { config, asked } => check::run(config.as_deref(), asked),
        Command::Explain(question) => explain::run(&question),
        Command::Completions { shell } => completions::run(&shell),
        Command::Drill { config, place, json, print_config } => {
            drill::run(&drill::Wish { config: config.as_deref(), place, json, print_config })
        }
        Command::Simulate { listen, script } => simulate::run(&listen, script.as_deref()),
        Command::Usage(wish) => usage::run(&wish),
        Command::Health(wish) => health::run(&wish),
        Command::NewKey { name, json } => keys::new(&name, json),
        Command::Import { file, json } => import::litellm(&file, json),
        Command::Validate { config } => check::validate(config.as_deref()),
        Command::Help(topic) => help::of(topic.as_deref()).and_then(|text| print(&text)),
        Command::Version => print(concat!("hapax ", env!("CARGO_PKG_VERSION"))),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            let (status, words) = match failed {
                Failed::Running(words) => (1, format!("hapax: {words}")),
                Failed::Usage(words) => (64, format!("hapax: {words}\nTry 'hapax --help'.")),
                Failed::Config(words) => (78, words),
            };
            // Nobody is left to tell if standard error is gone too.
            let _ = writeln!(std::io::stderr(), "{words}");
            ExitCode::from(status)
        }
    }
}

/// Why nobody can listen there, with what to do about it.
fn cannot_listen(address: &str, error: &std::io::Error) -> Failed {
    use std::io::ErrorKind;
    let hint = match error.kind() {
        ErrorKind::AddrInUse => {
            ": another program has the port, and `ss -ltnp` names it. Take another one: server.listen, \
             HAPAX_PORT, or --listen of demo and simulate"
        }
        ErrorKind::AddrNotAvailable => ": no interface of this machine has that address",
        ErrorKind::InvalidInput => ": say HOST:PORT, such as 127.0.0.1:9000",
        ErrorKind::PermissionDenied => ": ports below 1024 want root or CAP_NET_BIND_SERVICE",
        _ => "",
    };
    Failed::Running(format!("cannot listen on {address}: {error}{hint}"))
}

/// Writes one text to standard output. A reader who left early is no failure.
fn print(text: &str) -> Result<(), Failed> {
    match writeln!(std::io::stdout(), "{}", text.trim_end()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failed::Running(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// The settings a command works with: `--config`, else `$CONFIG_PATH`, else `./config.yaml`, else built in.
fn settings(explicit: Option<&Path>) -> Result<crate::config::Settings, Failed> {
    use crate::config;
    let environment = &config::process_environment;
    match config::find(explicit, environment) {
        Some(path) => {
            config::load(&path, environment).map_err(|problems| Failed::Config(problems.to_string()))
        }
        None => Ok(config::defaults(environment)),
    }
}
