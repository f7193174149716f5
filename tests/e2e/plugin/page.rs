//! A page of the documentation that shows commands and what they print: they are run in their order, by the people in its prompts, and
//! compared.

use super::program::Ran;
use super::steady::lines;

/// A page.
pub struct Page {
    /// Where it is.
    pub name: &'static str,
    /// What it says.
    pub text: &'static str,
}

/// What is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Helm,
    Kubectl,
    Plugin,
}

/// One command of a page, and what the page says it prints.
#[derive(Debug)]
pub struct Shown {
    pub who: String,
    pub program: Program,
    pub line: Vec<String>,
    printed: Vec<String>,
}

impl Page {
    /// The commands in the page's blocks, each after a prompt such as `alice$`. Other blocks are none of ours.
    pub fn commands(&self) -> Vec<Shown> {
        let blocks = self.text.split("```console\n").skip(1);
        let blocks = blocks.filter_map(|block| block.split("```").next());
        let mut all: Vec<Shown> = Vec::new();
        for block in blocks.filter(|block| Shown::prompted(block).is_some()) {
            for line in block.lines() {
                match Shown::prompted(line) {
                    Some(shown) => all.push(shown),
                    None => {
                        let last = all.last_mut().expect("a command first");
                        last.printed.push(line.to_owned());
                    }
                }
            }
        }
        assert!(!all.is_empty(), "{} shows no commands", self.name);
        all
    }

    /// Every line of the page was printed, in this order; and every line of the result is on the page.
    pub fn compare(&self, shown: &Shown, ran: &Ran) {
        let (out, err) = (lines(&ran.out), lines(&ran.err));
        let page = lines(&shown.printed.join("\n"));
        let on_page: Vec<_> = page.iter().filter(|line| out.contains(line)).collect();
        let strange: Vec<_> = page
            .iter()
            .filter(|line| !out.contains(line) && !err.contains(line))
            .collect();
        assert!(
            strange.is_empty() && on_page == out.iter().collect::<Vec<_>>(),
            "{}, {:?}: not printed: {strange:#?}\nprinted, with exit code {}:\n{}\n{}",
            self.name,
            shown.line,
            ran.code,
            ran.out,
            ran.err
        );
    }
}

impl Shown {
    /// The command in a line that begins with somebody's prompt.
    fn prompted(line: &str) -> Option<Self> {
        let (who, command) = line.lines().next()?.split_once("$ ")?;
        if who.is_empty() || !who.bytes().all(|b| b.is_ascii_lowercase()) {
            return None;
        }
        let mut line = shell_words::split(command).expect("quoted");
        let program = match line.remove(0).as_str() {
            "helm" => Program::Helm,
            "kubectl" if line[0] == "keyloan" => {
                line.remove(0);
                Program::Plugin
            }
            "kubectl" => Program::Kubectl,
            other => panic!("who shows {other} has to say here how to run it"),
        };
        Some(Self {
            who: who.to_owned(),
            program,
            line,
            printed: Vec::new(),
        })
    }
}
