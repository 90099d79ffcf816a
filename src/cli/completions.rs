//! `hapax completions SHELL`: a script that completes commands and options, made from the tables of `args`.

use super::args::{COMMANDS, options_of};
use super::{Failed, print};

/// Options before any command.
const GENERAL: &str = "--config --validate --version --help";
/// What a file's name follows, as a pattern of the shell's.
const FILES: &str = "--config|-c|--script|litellm";

pub(super) fn run(shell: &str) -> Result<(), Failed> {
    print(&match shell {
        "bash" => bash(),
        "zsh" => zsh(),
        "fish" => fish(),
        other => {
            return Err(Failed::Usage(format!("no completions for '{other}'; there are bash, zsh, fish")));
        }
    })
}

/// What follows a command: its options, and the words it takes.
fn words_of(command: &str) -> String {
    let words: &[&str] = match command {
        "keys" => &["new"],
        "import" => &["litellm"],
        "completions" => &["bash", "zsh", "fish"],
        "help" => return [COMMANDS, &["configuration"]].concat().join(" "),
        _ => &[],
    };
    [words, options_of(command), &["--help"]].concat().join(" ")
}

fn bash() -> String {
    let cases: String =
        COMMANDS.iter().map(|command| format!("    {command}) words='{}' ;;\n", words_of(command))).collect();
    format!(
        "_hapax() {{\n  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} words\n  \
         case $previous in {FILES}) COMPREPLY=($(compgen -f -- \"$current\")); return ;; esac\n  \
         case ${{COMP_WORDS[1]}} in\n{cases}    *) words='{} {GENERAL}' ;;\n  esac\n  \
         [[ $COMP_CWORD -eq 1 ]] && words='{} {GENERAL}'\n  \
         COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n}}\n\
         complete -o filenames -F _hapax hapax\n",
        COMMANDS.join(" "),
        COMMANDS.join(" "),
    )
}

fn zsh() -> String {
    let cases: String = COMMANDS
        .iter()
        .map(|command| format!("    {command}) compadd -- {} ;;\n", words_of(command)))
        .collect();
    format!(
        "#compdef hapax\n_hapax() {{\n  \
         case $words[CURRENT-1] in {FILES}) _files; return ;; esac\n  \
         if (( CURRENT == 2 )); then compadd -- {} {GENERAL}; return; fi\n  \
         case $words[2] in\n{cases}  esac\n}}\n\
         if [[ $funcstack[1] == _hapax ]]; then _hapax \"$@\"; else compdef _hapax hapax; fi\n",
        COMMANDS.join(" "),
    )
}

fn fish() -> String {
    let mut text = format!(
        "complete -c hapax -f\ncomplete -c hapax -n __fish_use_subcommand -a '{} {GENERAL}'\n",
        COMMANDS.join(" ")
    );
    for command in COMMANDS {
        text.push_str(&format!(
            "complete -c hapax -n '__fish_seen_subcommand_from {command}' -a '{}'\n",
            words_of(command)
        ));
    }
    let before = FILES.replace('|', " ");
    text.push_str(&format!("complete -c hapax -n '__fish_prev_arg_in {before}' -F\n"));
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_command_and_option_is_completed_in_every_shell() {
        for script in [super::bash(), super::zsh(), super::fish()] {
            for command in super::COMMANDS {
                assert!(script.contains(command), "{command} is missing in {script}");
                for option in super::options_of(command) {
                    assert!(script.contains(option), "{option} is missing in {script}");
                }
            }
        }
    }
}
