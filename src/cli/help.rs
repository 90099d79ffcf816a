//! What `--help` says; it ends with two examples.

use super::Failed;
use crate::config;

const GENERAL: &str = "\
Hapax: a small, calm gateway for language models.

Usage: hapax [COMMAND] [OPTIONS]

Commands:
  serve     run the gateway (the default)
  demo      two simulated providers and a gateway before them: no key, no network, no file needed
  drill     play every promise about failures against simulated providers, and print the table
  check     validate the configuration and print what is in effect, secrets redacted
  explain   which providers a request would try now, in which order, and why each other one is left out
  simulate  a provider that speaks every upstream dialect and misbehaves on request
  health    exit 0 when the gateway serves: a container's health check
  usage     what was used, by whom, of which model, on which day, and what it cost
  keys new  print a new caller's key once, and the line with its hash for the configuration
  import litellm  write a configuration of LiteLLM again as one of ours
  completions  complete commands and options in bash, zsh or fish
  help      this, or 'hapax help COMMAND', or 'hapax help KEY': what a key of the configuration means

Options:
  -c, --config FILE  the configuration; else $CONFIG_PATH, else ./config.yaml or ./hapax.yaml, else built-in defaults:
                     every provider whose key is in the environment, and a local Ollama
      --validate     only say whether the configuration is valid
  -V, --version
  -h, --help

Exit status: 0 done, 1 failed at run time, 64 wrong usage, 78 the configuration is wrong.

Examples:
  hapax demo
  OPENAI_API_KEY=sk-... hapax serve
";

const DEMO: &str = "\
Usage: hapax demo [--listen ADDRESS]

Starts two simulated providers and a gateway before them on ADDRESS (127.0.0.1:8080). The preferred provider
fails for ten seconds out of every twenty; no request does. Prints curl lines to paste and the status page's address.

Examples:
  hapax demo
  hapax demo --listen 127.0.0.1:9000
";

const DRILL: &str = "\
Usage: hapax drill [--config FILE] [--json]
       hapax drill --print-config
       hapax drill --url URL [--pid PID] [--json]

Plays every row of the failure contract against simulated providers on this machine: what the caller received, what
each provider saw, and whether the promise was kept. Exit status 0 when every row was played and kept, else 1. No key
and no network is needed.
  --config FILE   with this site's ways: streams.on_failure, deduplicate, system_prompt; providers are the drill's
  --print-config  print the configuration for a gateway of your own, and nothing else
  --url URL       drill that gateway; its providers are simulated by this command, on ports 9211 to 9218
  --pid PID       its process: SIGHUP is sent for the row `reload`, SIGTERM for the last one, `drain`, which ends it;
                  without it these two count as not played
  --json          print JSON

Examples:
  hapax drill --print-config > drill.yaml
  hapax serve -c drill.yaml & hapax drill --url http://127.0.0.1:8080 --pid $!
";

const CHECK: &str = "\
Usage: hapax check [--config FILE] [--live] [--egress] [--json]

Validates the configuration and prints what is in effect, with every secret redacted. All problems are listed.
  --live    also ask each provider, unbilled, whether it is reachable and the key is accepted
  --egress  list every host:port this configuration can make Hapax connect to, and nothing else
  --json    all of it as one JSON object, the problems of a wrong file too

Examples:
  hapax check --config config.yaml
  hapax check --live
";

const EXPLAIN: &str = "\
Usage: hapax explain [--model MODEL] [--key NAME] [--url URL | --config FILE] [--json]

Which providers a request for MODEL would try now, in which order, and why each other one is left out: for lack of
the model, an open circuit, failing checks, or because it is busy. Without MODEL: a request that names none.
  --key NAME     also whether this caller's key may use the model
  --url URL      ask the gateway running there; the key it wants to see is taken from $HAPAX_API_KEY
  --config FILE  decide from the file, as if everybody were well (the default)
  --json         as one JSON object

Examples:
  hapax explain --model gpt-4o
  hapax explain --model fast --key billing-bot --url http://127.0.0.1:8080
";

const COMPLETIONS: &str = "\
Usage: hapax completions bash|zsh|fish

Prints a script that completes commands and options in this shell.

Examples:
  source <(hapax completions bash)
  hapax completions fish > ~/.config/fish/completions/hapax.fish
";

const SIMULATE: &str = "\
Usage: hapax simulate [--listen ADDRESS] [--script FILE]

A provider on ADDRESS (127.0.0.1:9100) that speaks OpenAI (chat and Responses, also Azure's), Anthropic, Gemini and Ollama,
whole and streamed, and misbehaves as the script or the model's name says: 'gpt-4o!status=503', 'gpt-4o!cut_after=5', 'gpt-4o!first=2s,pace=50ms'.
The script is JSON: {\"default\": \"pace=20ms\", \"models\": {\"gpt-4o\": \"status=503\"}, \"key\": \"sk-test\"}

Examples:
  hapax simulate
  hapax simulate --listen 127.0.0.1:9101 --script faults.json
";

const HEALTH: &str = "\
Usage: hapax health [--config FILE | --url URL] [--providers] [--json]

Exit 0 when the gateway at URL (default: the port the configuration says, on this host) answers /health/live;
with --providers when /health says that a provider can be used; else 1. --json prints what it answered.

Examples:
  hapax health
  hapax health --url http://127.0.0.1:9000 --providers
";

const USAGE: &str = "\
Usage: hapax usage [--by LIST] [--since WHEN] [--format table|csv|json | --json] [--config FILE]

What was used and what it cost, from the ledger at usage.path, whether the gateway runs or not. A running one is at most
a second ahead of its file. Days and hours are UTC; what is older than two days is known to the hour.
  --by LIST      key (the default), model, provider, endpoint, day, or several with commas
  --since WHEN   7d (the default), 12h, 90m, 2w, or a day such as 2026-11-01
  --format WORD  table (the default), csv, json

Examples:
  hapax usage --by key,model --since 30d
  hapax usage --by day --since 2026-11-01 --format csv > november.csv
";

const KEYS: &str = "\
Usage: hapax keys new NAME [--json]

Prints a new key once, and the line with its hash to put under auth.keys. Only the hash is kept anywhere.

Examples:
  hapax keys new billing-bot
  hapax keys new laptop >> keys.txt
";

const IMPORT: &str = "\
Usage: hapax import litellm FILE [--json]

Prints a configuration of ours that does what LiteLLM's proxy did with FILE: its models with their deployments, fallbacks
and aliases, time-outs, strategy and master key. What has no counterpart is named, with its line, in comments at the top.
  --json  the file's text and the notes as one JSON object

Examples:
  hapax import litellm litellm.yaml > config.yaml && hapax check --config config.yaml
  hapax import litellm litellm.yaml --json
";

/// The text for a command, for a key of the configuration (`configuration` itself: those of its top), or the general one.
///
/// # Errors
/// Usage, when the topic is neither.
pub(super) fn of(topic: Option<&str>) -> Result<String, Failed> {
    let text = match topic {
        None | Some("serve" | "help") => GENERAL,
        Some("demo") => DEMO,
        Some("drill") => DRILL,
        Some("check") => CHECK,
        Some("explain") => EXPLAIN,
        Some("completions") => COMPLETIONS,
        Some("simulate") => SIMULATE,
        Some("health") => HEALTH,
        Some("usage") => USAGE,
        Some("import") => IMPORT,
        Some("keys") => KEYS,
        Some(key) => {
            let words = config::describe(if key == "configuration" { "" } else { key });
            return words.ok_or_else(|| Failed::Usage(format!("there is no command and no key '{key}'")));
        }
    };
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_help_ends_with_two_examples() {
        for command in super::super::args::COMMANDS {
            let text = super::of(Some(command)).expect("a command");
            let examples = text.split("Examples:\n").nth(1).expect("it has examples");
            assert_eq!(examples.lines().count(), 2, "{command}");
        }
    }

    #[test]
    fn help_knows_commands_and_keys_and_nothing_else() {
        assert!(super::of(Some("server.workers")).is_ok_and(|text| text.contains("default 512")));
        assert!(super::of(Some("configuration")).is_ok_and(|text| text.contains("circuit_breaker: section")));
        assert!(super::of(Some("server.wrokers")).is_err());
    }
}
