//! The sentences in a crate's source that people read: errors, logs, help, conditions, output.
//!
//! A sentence is a string literal with at least two words. Its kind follows from where it stands.

use std::path::Path;

use anyhow::Result;
use proc_macro2::{Span, TokenStream, TokenTree};
use syn::visit::{self, Visit};

use crate::file;

/// A sentence, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The file, below the folder that was read.
    pub file: String,
    /// Its first line, from 1.
    pub line: usize,
    /// What the sentence is.
    pub kind: Kind,
    /// The sentence in one line.
    pub text: String,
}

/// What a sentence is, by where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The text of an error: `#[error("...")]`.
    Error,
    /// A log line: `warn!("...")`.
    Log,
    /// The help of a command: a doc comment, or an attribute, that clap prints.
    Help,
    /// The reason of a panic: `expect("...")`, `assert!(.., "...")`.
    Panic,
    /// Any other literal: a condition, an event, a metric's help, a line of output.
    Text,
}

/// Reads the sentences of all files below a folder, in the order of files and lines. Tests do not
/// count.
pub fn messages(src: &Path) -> Result<Vec<Message>> {
    let mut messages = Vec::new();
    for (path, file) in file::all(src)? {
        let mut reader = Reader::new(path);
        file.items.iter().for_each(|item| reader.visit_item(item));
        messages.extend(reader.messages);
    }
    messages.sort_by_key(|message| (message.file.clone(), message.line));
    Ok(messages)
}

/// Whether this reads as a sentence or a part of one: two words beside each other, one of which has
/// more than two letters.
pub fn is_sentence(text: &str) -> bool {
    let is_word = |word: &&str| {
        let word = word.trim_matches(|c: char| c.is_ascii_punctuation());
        !word.is_empty() && word.chars().all(|c| c.is_alphabetic() || "'-`".contains(c))
    };
    let words: Vec<_> = text.split_whitespace().collect();
    words
        .windows(2)
        .any(|pair| pair.iter().all(is_word) && pair.iter().any(|word| word.chars().count() > 2))
}

struct Reader {
    file: String,
    /// The kind of the literals where the reader is.
    kind: Kind,
    /// clap prints the doc comments where the reader is.
    is_help: bool,
    messages: Vec<Message>,
}

impl Reader {
    fn new(file: String) -> Self {
        Self {
            file,
            kind: Kind::Text,
            is_help: false,
            messages: Vec::new(),
        }
    }

    fn add(&mut self, text: &str, at: Span, kind: Kind) {
        let text: Vec<_> = text.split_whitespace().collect();
        let text = text.join(" ");
        if is_sentence(&text) {
            self.messages.push(Message {
                file: self.file.clone(),
                line: at.start().line,
                kind,
                text,
            });
        }
    }

    /// The literals among the tokens of a macro or an attribute.
    fn tokens(&mut self, tokens: TokenStream, kind: Kind) {
        let mut is_attribute = false;
        for token in tokens {
            let after_hash = std::mem::take(&mut is_attribute);
            match token {
                // A doc comment within a macro.
                TokenTree::Group(_) if after_hash => {}
                TokenTree::Punct(mark) => is_attribute = mark.as_char() == '#',
                TokenTree::Group(group) => self.tokens(group.stream(), kind),
                TokenTree::Literal(literal) => {
                    let at = literal.span();
                    if let syn::Lit::Str(text) = syn::Lit::new(literal) {
                        self.add(&text.value(), at, kind);
                    }
                }
                TokenTree::Ident(_) => {}
            }
        }
    }

    /// The paragraphs of the doc comment among these attributes, as clap prints them.
    fn help(&mut self, attributes: &[syn::Attribute]) {
        let mut paragraph: Option<(Span, String)> = None;
        for attribute in attributes {
            let Some((line, at)) = doc(attribute) else {
                continue;
            };
            match (line.trim(), &mut paragraph) {
                ("", _) => {
                    if let Some((at, text)) = paragraph.take() {
                        self.add(&text, at, Kind::Help);
                    }
                }
                (line, Some((_, text))) => *text = format!("{text} {line}"),
                (line, None) => paragraph = Some((at, line.to_owned())),
            }
        }
        if let Some((at, text)) = paragraph {
            self.add(&text, at, Kind::Help);
        }
    }

    fn within(&mut self, attributes: &[syn::Attribute], read: impl FnOnce(&mut Self)) {
        let outside = self.is_help;
        self.is_help = derives_clap(attributes);
        if self.is_help {
            self.help(attributes);
        }
        read(self);
        self.is_help = outside;
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if !file::is_for_tests(&item.attrs) {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !file::is_for_tests(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.within(&item.attrs, |reader| visit::visit_item_struct(reader, item));
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.within(&item.attrs, |reader| visit::visit_item_enum(reader, item));
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if self.is_help {
            self.help(&field.attrs);
        }
        visit::visit_field(self, field);
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        if self.is_help {
            self.help(&variant.attrs);
        }
        visit::visit_variant(self, variant);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        let kind = match attribute.path().get_ident().map(ToString::to_string) {
            Some(name) if name == "error" => Kind::Error,
            Some(name) if ["arg", "command", "clap", "value"].contains(&name.as_str()) => {
                Kind::Help
            }
            _ => return,
        };
        if let syn::Meta::List(list) = &attribute.meta {
            self.tokens(list.tokens.clone(), kind);
        }
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        let name = called
            .path
            .segments
            .last()
            .map(|last| last.ident.to_string());
        let kind = match name.as_deref() {
            Some("trace" | "debug" | "info" | "warn" | "error" | "event") => Kind::Log,
            Some("panic" | "unreachable" | "assert" | "assert_eq" | "debug_assert") => Kind::Panic,
            _ => self.kind,
        };
        self.tokens(called.tokens.clone(), kind);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        self.visit_expr(&call.receiver);
        let outside = self.kind;
        if ["expect", "expect_err"].contains(&call.method.to_string().as_str()) {
            self.kind = Kind::Panic;
        }
        call.args
            .iter()
            .for_each(|argument| self.visit_expr(argument));
        self.kind = outside;
    }

    fn visit_lit_str(&mut self, literal: &'ast syn::LitStr) {
        self.add(&literal.value(), literal.span(), self.kind);
    }
}

fn doc(attribute: &syn::Attribute) -> Option<(String, Span)> {
    let syn::Meta::NameValue(pair) = &attribute.meta else {
        return None;
    };
    let syn::Expr::Lit(syn::ExprLit {
        lit: syn::Lit::Str(line),
        ..
    }) = &pair.value
    else {
        return None;
    };
    pair.path
        .is_ident("doc")
        .then(|| (line.value(), line.span()))
}

fn derives_clap(attributes: &[syn::Attribute]) -> bool {
    let clap = ["Parser", "Args", "Subcommand", "ValueEnum"];
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else {
            return false;
        };
        list.path.is_ident("derive")
            && list.tokens.clone().into_iter().any(
                |token| matches!(token, TokenTree::Ident(name) if clap.contains(&name.to_string().as_str())),
            )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &str) -> Vec<(usize, Kind, String)> {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("lib.rs"), source).expect("written");
        let messages = messages(folder.path()).expect("Rust");
        let shown = messages.into_iter().map(|message| {
            assert_eq!(message.file, "lib.rs");
            (message.line, message.kind, message.text)
        });
        shown.collect()
    }

    #[test]
    fn a_sentence_is_of_the_kind_of_its_place() {
        let found = read(
            r##"
/// No person reads this.
#[derive(Debug, thiserror::Error)]
enum Wrong {
    #[error("cannot read \
             {0}")]
    Read(String),
}
/// Lends an item
#[derive(clap::Parser)]
struct Arguments {
    /// The vault
    /// and its item
    #[arg(long, value_name = "VAULT/ITEM", help_heading = "What to borrow")]
    item: String,
}
fn f() {
    warn!(grant = %name, "cannot watch; retrying");
    let all = vec![format!(r#"waits for "{name}""#), "FlowChosen".into()];
    all.first().expect("one is there");
    let path = "keyloan.dev/token";
    reasons! { /// No person reads this.
        FlowChosen }
}
#[cfg(test)]
impl Arguments { fn sample() -> &'static str { "no person reads this" } }
#[cfg(test)]
mod tests { const WORDS: &str = "no person reads this"; }
"##,
        );
        let expected = [
            (5, Kind::Error, "cannot read {0}"),
            (9, Kind::Help, "Lends an item"),
            (12, Kind::Help, "The vault and its item"),
            (14, Kind::Help, "What to borrow"),
            (18, Kind::Log, "cannot watch; retrying"),
            (19, Kind::Text, "waits for \"{name}\""),
            (20, Kind::Panic, "one is there"),
        ];
        let expected = expected.map(|(line, kind, text)| (line, kind, text.to_owned()));
        assert_eq!(found, expected);
    }

    #[test]
    fn names_and_expressions_are_no_sentences() {
        for text in [
            "FlowChosen",
            "keyloan.dev/token",
            "self.spec == oldSelf.spec",
            "{namespace}/{name}",
            "v1:sha256:",
        ] {
            assert!(!is_sentence(text), "{text}");
        }
        for text in [
            "to the end",
            "{kind} \"{name}\" is gone",
            "requires approval",
        ] {
            assert!(is_sentence(text), "{text}");
        }
    }
}
