//! The words that can follow a command line: commands, options and their values.
//!
//! In the format of kubectl's completion, which is cobra's: a line for each candidate, with a tab
//! before its description, and a last line with a directive for the shell.

use clap::{Arg, Command, ValueHint};

/// `ShellCompDirectiveDefault`: without candidates, the shell offers files.
const FILES: &str = ":0";

/// `ShellCompDirectiveNoFileComp`: the shell offers only the candidates.
const NO_FILES: &str = ":4";

/// Completes the last word, which may be empty.
pub fn complete(mut program: Command, words: &[String]) -> String {
    program.build();
    let (typed, before) = match words.split_last() {
        Some((typed, before)) => (typed.as_str(), before),
        None => ("", &[][..]),
    };
    let place = Place::after(&program, before);
    let (candidates, files) = place.candidates(typed);
    let fitting = candidates
        .into_iter()
        .filter(|(word, _)| word.starts_with(typed))
        .map(|(word, about)| match about {
            Some(about) => format!("{word}\t{about}"),
            None => word,
        });
    let end = if files { FILES } else { NO_FILES };
    fitting
        .chain([end.to_owned()])
        .collect::<Vec<_>>()
        .join("\n")
}

type Candidate = (String, Option<String>);

/// The position of a word: its command, the option whose value it is, or its number among the
/// positional arguments.
struct Place<'a> {
    command: &'a Command,
    option: Option<&'a Arg>,
    position: usize,
    only_positions: bool,
}

impl<'a> Place<'a> {
    fn after(program: &'a Command, words: &[String]) -> Self {
        let start = Self {
            command: program,
            option: None,
            position: 0,
            only_positions: false,
        };
        words.iter().fold(start, |place, word| place.next(word))
    }

    fn next(self, word: &str) -> Self {
        if self.option.is_some() {
            return Self {
                option: None,
                ..self
            };
        }
        if self.only_positions {
            return Self {
                position: self.position + 1,
                ..self
            };
        }
        if word == "--" {
            return Self {
                only_positions: true,
                ..self
            };
        }
        if word.starts_with('-') && word.len() > 1 {
            let option = self.option_before_value(word);
            return Self { option, ..self };
        }
        match self.command.find_subcommand(word) {
            Some(command) => Self {
                command,
                option: None,
                position: 0,
                only_positions: false,
            },
            None => Self {
                position: self.position + 1,
                ..self
            },
        }
    }

    /// The option whose value is the next word, such as `--namespace` or `-n`. `None` if the word
    /// contains the value already.
    fn option_before_value(&self, word: &str) -> Option<&'a Arg> {
        match word.strip_prefix("--") {
            Some(long) => self.option(|arg| arg.get_long() == Some(long)),
            None => {
                let mut letters = word.chars().skip(1);
                let takes_value =
                    letters.find_map(|letter| self.option(|a| a.get_short() == Some(letter)));
                takes_value.filter(|_| letters.next().is_none())
            }
        }
    }

    /// An option of the command that takes a value.
    fn option(&self, is_it: impl Fn(&Arg) -> bool) -> Option<&'a Arg> {
        let mut options = self.command.get_opts();
        options.find(|arg| is_it(arg))
    }

    /// The candidates for this position, and whether the shell may offer files.
    fn candidates(&self, typed: &str) -> (Vec<Candidate>, bool) {
        if let Some(option) = self.option {
            return values(option, "");
        }
        if let Some((long, _)) = typed.strip_prefix("--").and_then(|t| t.split_once('=')) {
            let option = self.option(|arg| arg.get_long() == Some(long));
            let values = option.map(|option| values(option, &format!("--{long}=")));
            return values.unwrap_or_default();
        }
        if typed.starts_with('-') && !self.only_positions {
            return (self.options(), false);
        }
        let commands = self.command.get_subcommands().filter(|c| !c.is_hide_set());
        let mut all: Vec<_> = commands
            .map(|c| (c.get_name().to_owned(), c.get_about().map(line)))
            .collect();
        let positional = self.command.get_positionals().nth(self.position);
        let (values, files) = positional.map(|arg| values(arg, "")).unwrap_or_default();
        all.extend(values);
        (all, files)
    }

    fn options(&self) -> Vec<Candidate> {
        let all = self
            .command
            .get_arguments()
            .filter(|arg| !arg.is_hide_set());
        let words = |arg: &Arg| {
            let about = arg.get_help().map(line);
            let long = arg.get_long().map(|long| format!("--{long}"));
            let short = arg.get_short().map(|short| format!("-{short}"));
            let words = long.into_iter().chain(short);
            words.map(|word| (word, about.clone())).collect::<Vec<_>>()
        };
        all.flat_map(words).collect()
    }
}

/// The possible values of an argument, and whether it is a file.
fn values(arg: &Arg, prefix: &str) -> (Vec<Candidate>, bool) {
    let possible = arg.get_possible_values();
    let values = possible.iter().filter(|value| !value.is_hide_set());
    let values = values.map(|value| {
        let word = format!("{prefix}{}", value.get_name());
        (word, value.get_help().map(line))
    });
    let file = matches!(
        arg.get_value_hint(),
        ValueHint::AnyPath | ValueHint::FilePath
    );
    (values.collect(), file)
}

/// The first line of a help text.
fn line(help: impl ToString) -> String {
    let help = help.to_string();
    help.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::plugin::Arguments;

    fn completed(line: &[&str]) -> Vec<String> {
        let words: Vec<_> = line.iter().map(|word| (*word).to_owned()).collect();
        let lines = complete(Arguments::command(), &words);
        let word = |line: &str| line.split('\t').next().unwrap().to_owned();
        lines.lines().map(word).collect()
    }

    #[rstest::rstest]
    #[case(&["re"], &["request", "revoke", "report", ":4"])]
    #[case(&["-n", "team-a", "--context=prod", "exp"], &["explain", "exposed", "export", ":4"])]
    #[case(&["list", "--for"], &["--for-me", ":4"])]
    #[case(&["list", "-n", ""], &[":4"])]
    #[case(&["ls", "-o", ""], &["wide", "json", "yaml", "name", ":4"])]
    #[case(&["ls", "-Ao", "j"], &["json", ":4"])]
    #[case(&["list", "--output=j"], &["--output=json", ":4"])]
    #[case(&["export", ""], &["integration", "flow", "notifier", ":4"])]
    #[case(&["export", "flow", ""], &[":4"])]
    #[case(&["open", "--", "-"], &[":4"])]
    #[case(&["completion", "k"], &["kubectl", ":4"])]
    #[case(&["list", "--kubeconfig", ""], &[":0"])]
    #[case(&["nonsense", "x"], &[":4"])]
    fn what_can_follow_is_offered(#[case] line: &[&str], #[case] words: &[&str]) {
        assert_eq!(completed(line), words);
    }

    #[test]
    fn each_command_is_offered_with_what_it_does() {
        let lines = complete(Arguments::command(), &[String::new()]);
        assert!(
            lines.contains("request\tRequest an item and wait for its link\n"),
            "{lines}"
        );
        assert!(!lines.contains("__complete"), "{lines}");
        assert_eq!(complete(Arguments::command(), &[]), lines);
    }
}
