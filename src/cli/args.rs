//! The command line as typed, made into one command.

use super::Failed;
use super::usage::Wish;
use lexopt::prelude::*;
use std::ffi::OsString;
use std::path::PathBuf;

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Serve { config: Option<PathBuf> },
    Demo { listen: String },
    Check { config: Option<PathBuf>, asked: Asked },
    Explain(Question),
    Completions { shell: String },
    Drill { config: Option<PathBuf>, place: Option<Place>, json: bool, print_config: bool },
    Simulate { listen: String, script: Option<PathBuf> },
    Usage(Wish),
    Health(super::health::Wish),
    NewKey { name: String, json: bool },
    Import { file: PathBuf, json: bool },
    Validate { config: Option<PathBuf> },
    Help(Option<String>),
    Version,
}

/// What `hapax check` is to say besides "valid".
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) live: bool,
    pub(super) egress: bool,
    pub(super) json: bool,
}

/// A gateway that was started elsewhere, for `hapax drill`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) url: String,
    /// Its process, for what is done by signals.
    pub(super) pid: Option<i32>,
}

/// What `hapax explain` is to explain, and from which source.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) model: Option<String>,
    pub(super) key: Option<String>,
    pub(super) url: Option<String>,
    pub(super) config: Option<PathBuf>,
    pub(super) json: bool,
}

/// The commands, for help and for suggestions.
pub(super) const COMMANDS: &[&str] = &[
    "serve",
    "demo",
    "drill",
    "check",
    "explain",
    "simulate",
    "health",
    "usage",
    "keys",
    "import",
    "completions",
    "help",
];

/// The options a command takes, besides `--help`.
pub(super) fn options_of(command: &str) -> &'static [&'static str] {
    match command {
        "serve" => &["--config", "--validate"],
        "demo" => &["--listen"],
        "drill" => &["--config", "--url", "--pid", "--json", "--print-config"],
        "check" => &["--config", "--live", "--egress", "--json"],
        "explain" => &["--model", "--key", "--url", "--config", "--json"],
        "simulate" => &["--listen", "--script"],
        "usage" => &["--config", "--by", "--since", "--format", "--json"],
        "health" => &["--config", "--url", "--providers", "--json"],
        "keys" | "import" => &["--json"],
        _ => &[],
    }
}

/// Everything any command may be given; each takes what it knows and refuses the rest.
#[derive(Default)]
struct Options {
    config: Option<PathBuf>,
    listen: Option<String>,
    script: Option<PathBuf>,
    url: Option<String>,
    pid: Option<i32>,
    print_config: bool,
    live: bool,
    egress: bool,
    providers: bool,
    validate: bool,
    json: bool,
    model: Option<String>,
    key: Option<String>,
    by: Option<String>,
    since: Option<String>,
    format: Option<String>,
    given: Vec<&'static str>,
    words: Vec<String>,
}

/// Parses everything after the program's name.
///
/// # Errors
/// Usage, in words.
pub(super) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Command, Failed> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut options = Options::default();
    while let Some(argument) = parser.next().map_err(usage)? {
        match argument {
            Long("help") | Short('h') => return Ok(Command::Help(options.words.into_iter().next())),
            Long("version") | Short('V') => return Ok(Command::Version),
            Long("config") | Short('c') => {
                options.given.push("--config");
                options.config = Some(parser.value().map_err(usage)?.into());
            }
            Long("listen") => {
                options.given.push("--listen");
                options.listen = Some(text(&mut parser)?);
            }
            Long("url") => {
                options.given.push("--url");
                options.url = Some(text(&mut parser)?);
            }
            Long("pid") => {
                options.given.push("--pid");
                let pid = text(&mut parser)?;
                // kill(2) takes 0 and less for many processes at once.
                let one = pid.parse().ok().filter(|pid| *pid > 0);
                let wrong = || Failed::Usage(format!("--pid takes a process's number, not '{pid}'"));
                options.pid = Some(one.ok_or_else(wrong)?);
            }
            Long("script") => {
                options.given.push("--script");
                options.script = Some(parser.value().map_err(usage)?.into());
            }
            Long("model") => {
                options.given.push("--model");
                options.model = Some(text(&mut parser)?);
            }
            Long("key") => {
                options.given.push("--key");
                options.key = Some(text(&mut parser)?);
            }
            Long(name @ ("by" | "since" | "format")) => {
                let (given, place) = match name {
                    "by" => ("--by", &mut options.by),
                    "since" => ("--since", &mut options.since),
                    _ => ("--format", &mut options.format),
                };
                options.given.push(given);
                *place = Some(text(&mut parser)?);
            }
            Long("json") => flag(&mut options.json, &mut options.given, "--json"),
            Long("print-config") => flag(&mut options.print_config, &mut options.given, "--print-config"),
            Long("live") => flag(&mut options.live, &mut options.given, "--live"),
            Long("egress") => flag(&mut options.egress, &mut options.given, "--egress"),
            Long("providers") => flag(&mut options.providers, &mut options.given, "--providers"),
            Long("validate") => flag(&mut options.validate, &mut options.given, "--validate"),
            Value(word) => options.words.push(word.string().map_err(usage)?),
            Long(unknown) => return Err(Failed::Usage(no_option(unknown))),
            other => return Err(usage(other.unexpected())),
        }
    }
    command(options)
}

/// What is said of an option no command takes, with the one that was probably meant.
fn no_option(unknown: &str) -> String {
    let mut options = COMMANDS.iter().flat_map(|command| options_of(command));
    let meant = options.find(|known| resembles(known.trim_start_matches('-'), unknown));
    let hint = meant.map_or_else(String::new, |meant| format!("; did you mean '{meant}'?"));
    format!("there is no option '--{unknown}'{hint}")
}

fn text(parser: &mut lexopt::Parser) -> Result<String, Failed> {
    parser.value().and_then(ValueExt::string).map_err(usage)
}

fn flag(flag: &mut bool, given: &mut Vec<&'static str>, name: &'static str) {
    *flag = true;
    given.push(name);
}

fn drill(options: Options) -> Result<Command, Failed> {
    let place = match (options.url, options.pid) {
        (None, None) => None,
        (None, Some(_)) => return Err(Failed::Usage("--pid is the process behind a --url".to_owned())),
        (Some(_), _) if options.config.is_some() => {
            return Err(Failed::Usage("say either --url or --config".to_owned()));
        }
        (Some(url), pid) => Some(Place { url, pid }),
    };
    let Options { config, json, print_config, .. } = options;
    Ok(Command::Drill { config, place, json, print_config })
}

fn command(options: Options) -> Result<Command, Failed> {
    let words: Vec<&str> = options.words.iter().map(String::as_str).collect();
    let takes = options_of(words.first().copied().unwrap_or("serve"));
    if let Some(stray) = options.given.iter().find(|given| !takes.contains(given)) {
        let of = words.first().map_or("hapax".to_owned(), |word| format!("hapax {word}"));
        return Err(Failed::Usage(format!("{of} takes no {stray}")));
    }
    match words.as_slice() {
        [] | ["serve"] if options.validate => Ok(Command::Validate { config: options.config }),
        [] | ["serve"] => Ok(Command::Serve { config: options.config }),
        ["demo"] => {
            Ok(Command::Demo { listen: options.listen.unwrap_or_else(|| "127.0.0.1:8080".to_owned()) })
        }
        ["drill"] => drill(options),
        ["check"] => {
            let asked = Asked { live: options.live, egress: options.egress, json: options.json };
            Ok(Command::Check { config: options.config, asked })
        }
        ["explain" | "health"] if options.url.is_some() && options.config.is_some() => {
            Err(Failed::Usage("say either --url or --config".to_owned()))
        }
        ["explain"] => Ok(Command::Explain(Question {
            model: options.model,
            key: options.key,
            url: options.url,
            config: options.config,
            json: options.json,
        })),
        ["completions", shell] => Ok(Command::Completions { shell: (*shell).to_owned() }),
        ["completions"] => Err(Failed::Usage("say: hapax completions bash|zsh|fish".to_owned())),
        ["simulate"] => {
            let listen = options.listen.unwrap_or_else(|| "127.0.0.1:9100".to_owned());
            Ok(Command::Simulate { listen, script: options.script })
        }
        ["usage"] if options.json && options.format.is_some() => {
            Err(Failed::Usage("say either --json or --format".to_owned()))
        }
        ["usage"] => Ok(Command::Usage(Wish {
            config: options.config,
            by: options.by,
            since: options.since,
            format: if options.json { Some("json".to_owned()) } else { options.format },
        })),
        ["health"] => {
            let Options { url, config, providers, json, .. } = options;
            Ok(Command::Health(super::health::Wish { url, config, providers, json }))
        }
        ["keys", "new", name] => Ok(Command::NewKey { name: (*name).to_owned(), json: options.json }),
        ["keys", ..] => Err(Failed::Usage("say: hapax keys new NAME".to_owned())),
        ["import", "litellm", file] => Ok(Command::Import { file: file.into(), json: options.json }),
        ["import", ..] => Err(Failed::Usage("say: hapax import litellm FILE".to_owned())),
        ["help"] => Ok(Command::Help(None)),
        ["help", topic] | ["help", topic @ "keys", "new"] | ["help", topic @ "import", "litellm"] => {
            Ok(Command::Help(Some((*topic).to_owned())))
        }
        [known, stray, ..] if COMMANDS.contains(known) => {
            Err(Failed::Usage(format!("hapax {known} takes no '{stray}'")))
        }
        [unknown, ..] => {
            let known = COMMANDS.join(", ");
            let meant = COMMANDS.iter().find(|known| resembles(known, unknown));
            let hint = meant
                .map_or_else(|| format!("there are {known}"), |meant| format!("did you mean '{meant}'?"));
            Err(Failed::Usage(format!("there is no command '{unknown}'; {hint}")))
        }
    }
}

/// Whether one word is a slip of the other: a letter too many, too few, wrong, or two exchanged.
fn resembles(known: &str, typed: &str) -> bool {
    let (known, typed): (Vec<char>, Vec<char>) = (known.chars().collect(), typed.chars().collect());
    let head = known.iter().zip(&typed).take_while(|(one, other)| one == other).count();
    let tail = |from: usize, to: usize| known.get(from..) == typed.get(to..);
    let exchanged = || {
        known
            .get(head..head + 2)
            .zip(typed.get(head..head + 2))
            .is_some_and(|(one, other)| one[0] == other[1] && one[1] == other[0])
            && tail(head + 2, head + 2)
    };
    head > 0 && (tail(head + 1, head) || tail(head, head + 1) || tail(head + 1, head + 1) || exchanged())
}

#[expect(clippy::needless_pass_by_value, reason = "it is the shape map_err wants")]
fn usage(error: lexopt::Error) -> Failed {
    Failed::Usage(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, Failed> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn the_old_spelling_and_the_new_one_mean_the_same() {
        let config = Some(PathBuf::from("x.yaml"));
        for line in ["--config x.yaml", "serve --config=x.yaml", "-c x.yaml"] {
            assert_eq!(parsed(line).expect(line), Command::Serve { config: config.clone() });
        }
        assert_eq!(parsed("--validate --config x.yaml").expect("valid"), Command::Validate { config });
        assert_eq!(parsed("usage --json").expect("valid"), parsed("usage --format json").expect("valid"));
        for line in ["demo --help", "help demo", "keys new --help", "help keys new", "help import litellm"] {
            let command = line.split(' ').find(|word| *word != "help").expect(line);
            assert_eq!(parsed(line).expect(line), Command::Help(Some(command.to_owned())));
        }
        assert_eq!(
            parsed("keys new bot").expect("valid"),
            Command::NewKey { name: "bot".to_owned(), json: false }
        );
    }

    #[test]
    fn a_slip_is_answered_with_what_was_meant() {
        for (typed, meant) in
            [("chekc", "check"), ("drll", "drill"), ("serv", "serve"), ("keyss", "keys"), ("demi", "demo")]
        {
            let Err(Failed::Usage(words)) = parsed(typed) else { panic!("{typed} is no command") };
            assert!(words.contains(&format!("did you mean '{meant}'?")), "{words}");
        }
        let Err(Failed::Usage(words)) = parsed("check --confg x") else { panic!("it is no option") };
        assert_eq!(words, "there is no option '--confg'; did you mean '--config'?");
        let Err(Failed::Usage(words)) = parsed("frobnicate") else { panic!("it is no command") };
        assert!(words.contains("there are serve, "), "{words}");
    }

    #[test]
    fn what_a_command_does_not_know_is_refused() {
        for line in [
            "demo --config x",
            "serve --live",
            "frobnicate",
            "keys",
            "keys new",
            "check now",
            "drill --pid 7",
            "usage --json --format csv",
            "drill --url http://x --pid seven",
            "drill --url http://x --pid 0",
            "drill --url http://x --pid -1",
            "drill --url http://x --config x.yaml",
            "health --url http://x --config x.yaml",
            "--wat",
            "--config",
        ] {
            assert!(matches!(parsed(line), Err(Failed::Usage(_))), "{line}");
        }
    }
}
