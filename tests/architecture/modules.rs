//! The modules of a crate and what each of them names of the others.
//!
//! A file is read as tokens, so a path counts wherever it stands, in a group over several lines or in a macro, and no
//! comment or text does. What is compiled for tests only is left out: tests may look wherever they like.

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A module that is a file.
pub struct Module {
    pub file: PathBuf,
    /// The names from the crate's root to it; none for the root.
    pub path: Vec<String>,
    pub imports: Vec<Import>,
    /// The first names of paths that begin with none of `crate`, `self` and `super`: other crates, among others.
    pub beginnings: Vec<Beginning>,
}

/// A path that begins with `crate`, `self` or `super`.
pub struct Import {
    /// As it is from the crate's root, behind `crate`.
    pub path: Vec<String>,
    pub line: usize,
}

pub struct Beginning {
    pub name: String,
    pub line: usize,
}

impl Module {
    /// The part of the crate that it belongs to.
    pub fn room(&self) -> Option<&str> {
        self.path.first().map(String::as_str)
    }

    /// Where a line of it is, as compilers write it.
    pub fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.file.display())
    }
}

/// All modules of the library in a folder `src`, its root among them.
pub fn read(src: &Path) -> Vec<Module> {
    let mut files = Vec::new();
    rust_files(src, &mut files);
    files.sort();
    let mut modules = Vec::new();
    let mut only_for_tests = Vec::new();
    for file in files {
        let path = module_path(file.strip_prefix(src).expect("a file below the folder"));
        let text = fs::read_to_string(&file).expect("a readable file");
        let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut scan = Scan::default();
        scan.all(tokens, &path);
        only_for_tests.append(&mut scan.only_for_tests);
        modules.push(Module { file, path, imports: scan.imports, beginnings: scan.beginnings });
    }
    modules.retain(|module| !only_for_tests.iter().any(|path| module.path.starts_with(path)));
    modules
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("main.rs") {
            files.push(path);
        }
    }
}

/// `a/b.rs` and `a/b/mod.rs` are `a::b`.
fn module_path(below_src: &Path) -> Vec<String> {
    let whole = below_src.with_extension("");
    let mut path: Vec<String> = whole.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    if path.last().is_some_and(|name| name == "mod" || name == "lib") {
        path.pop();
    }
    path
}

#[derive(Default)]
struct Scan {
    imports: Vec<Import>,
    beginnings: Vec<Beginning>,
    only_for_tests: Vec<Vec<String>>,
}

impl Scan {
    /// Notes the paths in the code of a module.
    fn all(&mut self, tokens: TokenStream, module: &[String]) {
        let trees: Vec<TokenTree> = tokens.into_iter().collect();
        let mut rest = &trees[..];
        while let Some((_, after)) = rest.split_first() {
            rest = match rest {
                [TokenTree::Punct(mark), TokenTree::Group(attribute), item @ ..]
                    if mark.as_char() == '#' && is_for_tests(attribute.stream()) =>
                {
                    self.skip_item(item, module)
                }
                [TokenTree::Ident(word), TokenTree::Ident(name), TokenTree::Group(body), after @ ..]
                    if word == "mod" =>
                {
                    self.all(body.stream(), &joined(module, &name.to_string()));
                    after
                }
                [TokenTree::Ident(word), TokenTree::Ident(name), path @ ..] if word == "use" && !is_path_mark(path) => {
                    let line = name.span().start().line;
                    self.beginnings.push(Beginning { name: name.to_string(), line });
                    path
                }
                [TokenTree::Ident(name), path @ ..] if is_path_mark(path) => self.path(&name.to_string(), rest, module),
                [TokenTree::Group(group), ..] => {
                    self.all(group.stream(), module);
                    after
                }
                _ => after,
            };
        }
    }

    /// Passes an item by, up to its body or semicolon.
    fn skip_item<'a>(&mut self, item: &'a [TokenTree], module: &[String]) -> &'a [TokenTree] {
        let is_end = |tree: &TokenTree| match tree {
            TokenTree::Punct(mark) => mark.as_char() == ';',
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
            TokenTree::Ident(_) | TokenTree::Literal(_) => false,
        };
        let end = item.iter().position(is_end).map_or(item.len(), |end| end + 1);
        if let Some([TokenTree::Ident(word), TokenTree::Ident(name), ..]) = item.get(..end)
            && word == "mod"
        {
            self.only_for_tests.push(joined(module, &name.to_string()));
        }
        &item[end..]
    }

    /// Notes the path at the beginning of `trees`, and gives what follows it.
    fn path<'a>(&mut self, name: &str, trees: &'a [TokenTree], module: &[String]) -> &'a [TokenTree] {
        let line = trees[0].span().start().line;
        let base = match name {
            "crate" => Vec::new(),
            "self" => module.to_vec(),
            "super" => parent(module),
            _ => {
                self.beginnings.push(Beginning { name: name.to_owned(), line });
                // The path's further names begin none; what is in its groups is looked at as all groups are.
                let mut rest = &trees[1..];
                while let [_, _, TokenTree::Ident(_), after @ ..] = rest
                    && is_path_mark(rest)
                {
                    rest = after;
                }
                return if is_path_mark(rest) { &rest[2..] } else { rest };
            }
        };
        self.names(base, &trees[1..])
    }

    /// Notes what follows `base`, which ended before `::` or as a whole.
    fn names<'a>(&mut self, mut base: Vec<String>, mut rest: &'a [TokenTree]) -> &'a [TokenTree] {
        let line = |tree: &TokenTree| tree.span().start().line;
        let mut last = rest.first().map_or(0, line);
        while is_path_mark(rest) {
            last = line(&rest[0]);
            match &rest[2..] {
                [TokenTree::Ident(word), after @ ..] => {
                    match word.to_string().as_str() {
                        "super" => base = parent(&base),
                        "self" => {}
                        name => base.push(name.to_owned()),
                    }
                    rest = after;
                }
                [TokenTree::Group(group), after @ ..] => {
                    let trees: Vec<TokenTree> = group.stream().into_iter().collect();
                    for branch in trees.split(is_comma).filter(|branch| !branch.is_empty()) {
                        self.branch(&base, branch);
                    }
                    return after;
                }
                after => {
                    rest = after;
                    break;
                }
            }
        }
        self.imports.push(Import { path: base, line: last });
        rest
    }

    /// Notes one entry of a group.
    fn branch(&mut self, base: &[String], branch: &[TokenTree]) {
        match branch {
            [TokenTree::Ident(name), rest @ ..] if name != "self" => {
                self.names(joined(base, &name.to_string()), rest);
                if let Some(import) = self.imports.last_mut() {
                    import.line = import.line.max(branch[0].span().start().line);
                }
            }
            [first, ..] => self.imports.push(Import { path: base.to_vec(), line: first.span().start().line }),
            [] => {}
        }
    }
}

fn is_for_tests(attribute: TokenStream) -> bool {
    attribute.to_string().replace(' ', "") == "cfg(test)"
}

fn is_path_mark(trees: &[TokenTree]) -> bool {
    let is_colon = |tree: &TokenTree| matches!(tree, TokenTree::Punct(mark) if mark.as_char() == ':');
    matches!(trees, [first, second, _, ..] if is_colon(first) && is_colon(second))
}

fn is_comma(tree: &TokenTree) -> bool {
    matches!(tree, TokenTree::Punct(mark) if mark.as_char() == ',')
}

fn joined(path: &[String], name: &str) -> Vec<String> {
    path.iter().cloned().chain([name.to_owned()]).collect()
}

fn parent(path: &[String]) -> Vec<String> {
    path[..path.len().saturating_sub(1)].to_vec()
}

/// What a text in the module `a::b` imports.
fn imports_of(text: &str) -> Vec<String> {
    let mut scan = Scan::default();
    scan.all(text.parse().expect("Rust"), &["a".to_owned(), "b".to_owned()]);
    scan.imports.iter().map(|import| format!("{} {}", import.line, import.path.join("::"))).collect()
}

#[test]
fn paths_count_however_they_are_written() {
    let cases: [(&str, &[&str]); 12] = [
        ("use crate::x::Y;", &["1 x::Y"]),
        ("pub(crate) use crate::x as z;", &["1 x"]),
        ("use crate::{\n    x,\n    y::{self, Z as W},\n};", &["2 x", "3 y", "3 y::Z"]),
        ("use super::c::D;", &["1 a::c::D"]),
        ("use super::super::x::{Y, super::z};", &["1 x::Y", "1 x::super::z"]),
        ("use self::c;", &["1 a::b::c"]),
        ("mod inner { use super::d; use super::super::e; }", &["1 a::b::d", "1 a::e"]),
        ("fn f(&self) -> crate::x::Y<crate::z::W> { self.g(\"crate::no\") } // crate::no", &["1 x::Y", "1 z::W"]),
        ("let text = format!(\"{}\", crate::x::name());", &["1 x::name"]),
        ("use crate::x::*;", &["1 x"]),
        ("/// [`crate::no`]\npub(in crate::a) fn f() {}", &["2 a"]),
        ("#[cfg(test)]\nmod tests {\n    use crate::no::X;\n}\n#[cfg(test)]\nmod more;\nuse crate::x;", &["7 x"]),
    ];
    for (text, expected) in cases {
        assert_eq!(imports_of(text), expected, "{text}");
    }
}

#[test]
fn only_the_first_name_of_another_path_counts() {
    let mut scan = Scan::default();
    let text = "use std::log::{fastly, x}; use serde; fn f() { fastly::send(log::X) } let a: B = c;";
    scan.all(text.parse().expect("Rust"), &[]);
    let names: Vec<&str> = scan.beginnings.iter().map(|beginning| beginning.name.as_str()).collect();
    assert_eq!(names, ["std", "serde", "fastly", "log"]);
}
