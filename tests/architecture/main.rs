//! The rules of the repository that no lint knows: who may import whom, what needs a Wasm engine, how long files are.
#![allow(clippy::panic, clippy::unreachable, clippy::unwrap_used, reason = "a test that cannot go on stops there")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

mod modules;

use modules::Module;

/// Folders of libraries whose root states which part may use which.
const LIBRARIES: [&str; 3] = ["src", "cli/src", "simulator/src"];
/// Those that no circle is in, between files of one room either.
const WITHOUT_CIRCLES: [&str; 2] = ["cli/src", "simulator/src"];

/// Rooms of the core that do not know each other, whatever their order.
const STRANGERS: [&str; 2] = ["door", "upstream"];

/// The crates of the platform, which are the shell's alone.
const PLATFORM_CRATES: [&str; 4] = ["fastly", "fastly_shared", "fastly_sys", "getrandom"];

const MAX_LINES: usize = 500;
/// Where paths begin that pages name.
const FOLDERS: [&str; 9] =
    ["src/", "tests/", "simulator/", "e2e/", "clients/", "cli/", "guests/", "start/", "oracles/"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The rooms in the order of the table in a library's root: each may use those before it.
fn rooms(library: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(library).join("lib.rs")).expect("a library's root");
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("//!")?.split('|').map(str::trim).collect();
        let [_, _, rooms, _] = cells[..] else { return None };
        rooms.starts_with('`').then(|| rooms.to_owned())
    });
    let rows: Vec<String> = rows.collect();
    rows.iter().flat_map(|row| row.split(',')).map(|room| room.trim().trim_matches('`').to_owned()).collect()
}

fn modules(library: &str) -> Vec<Module> {
    modules::read(&root().join(library))
}

#[test]
fn rooms_import_those_that_are_named_before_them() {
    let mut faults = Vec::new();
    for library in LIBRARIES {
        let (rooms, modules) = (rooms(library), modules(library));
        let found: BTreeSet<&str> = modules.iter().filter_map(Module::room).collect();
        assert_eq!(found, rooms.iter().map(String::as_str).collect(), "the rooms of {library}, and those in its table");
        let place_of = |name: &str| rooms.iter().position(|room| room == name);
        let mut checked = 0;
        for module in &modules {
            let Some(own) = module.room() else { continue };
            for import in &module.imports {
                let Some(other) = import.path.first().map(String::as_str).filter(|other| *other != own) else {
                    continue;
                };
                checked += 1;
                let are_strangers = STRANGERS.contains(&own) && STRANGERS.contains(&other);
                if place_of(other) >= place_of(own) || place_of(other).is_none() || are_strangers {
                    faults.push(format!("{}: `{own}` may not import `{other}`", module.place(import.line)));
                }
            }
        }
        assert!(checked > 10, "the imports of {library} should have been found: {checked}");
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A parent knows its children, so a child that takes something from its parent's file closes a circle.
#[test]
fn files_import_in_no_circle() {
    for library in WITHOUT_CIRCLES {
        let modules = modules(library);
        let paths: BTreeSet<&[String]> = modules.iter().map(|module| &module.path[..]).collect();
        let file_of = |path: &[String]| {
            (0..=path.len()).rev().map(|end| path[..end].to_vec()).find(|path| paths.contains(&path[..]))
        };
        let mut uses: BTreeMap<Vec<String>, BTreeSet<Vec<String>>> = BTreeMap::new();
        for module in &modules {
            let own = uses.entry(module.path.clone()).or_default();
            own.extend(
                module.imports.iter().filter_map(|import| file_of(&import.path)).filter(|path| *path != module.path),
            );
            if let Some((_, parent)) = module.path.split_last() {
                uses.entry(parent.to_vec()).or_default().insert(module.path.clone());
            }
        }
        // What uses nothing that is left is in no circle, nor is what nothing uses that is left.
        loop {
            let used: BTreeSet<&Vec<String>> = uses.values().flatten().collect();
            let is_outside =
                |path: &Vec<String>, others: &BTreeSet<Vec<String>>| others.is_empty() || !used.contains(path);
            let done: Vec<Vec<String>> =
                uses.iter().filter(|(path, others)| is_outside(path, others)).map(|(path, _)| path.clone()).collect();
            if done.is_empty() {
                break;
            }
            uses.retain(|path, _| !done.contains(path));
            uses.values_mut().for_each(|others| others.retain(|path| !done.contains(path)));
        }
        let left: Vec<String> = uses
            .iter()
            .flat_map(|(path, others)| {
                others.iter().map(move |other| format!("{} -> {}", path.join("::"), other.join("::")))
            })
            .collect();
        assert!(left.is_empty(), "a circle in {library} is among these:\n{}", left.join("\n"));
    }
}

#[test]
fn only_the_shell_knows_the_platform() {
    for module in modules("src").iter().filter(|module| module.room() != Some("edge")) {
        for beginning in &module.beginnings {
            let is_platform = PLATFORM_CRATES.contains(&beginning.name.as_str());
            assert!(!is_platform, "{}: only `edge` may know `{}`", module.place(beginning.line), beginning.name);
        }
    }
}

/// Whatever the tests of the core are compiled with is in the closure of its entry in `Cargo.lock`.
#[test]
fn the_core_is_tested_without_a_wasm_engine() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock");
    let mut needs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in lock.split("[[package]]").skip(1) {
        let mut texts = package.lines().filter_map(|line| line.split('"').nth(1).map(|text| (line, text)));
        let (_, name) = texts.next().expect("a package's name");
        let others = texts.filter(|(line, _)| line.starts_with(' ')).filter_map(|(_, text)| text.split(' ').next());
        needs.entry(name).or_default().extend(others);
    }
    let mut found = BTreeSet::from([env!("CARGO_PKG_NAME")]);
    let mut left: Vec<&str> = found.iter().copied().collect();
    while let Some(name) = left.pop() {
        left.extend(needs[name].iter().copied().filter(|other| found.insert(other)));
    }
    assert!(found.contains("tiergate-simulator") && found.contains("serde"), "the closure should be found: {found:?}");
    let engines: Vec<&&str> = found
        .iter()
        .filter(|name| name.contains("wasmtime") || name.contains("viceroy") || name.contains("cranelift"))
        .collect();
    assert!(engines.is_empty() && !found.contains("tiergate-cli"), "{engines:?}");
}

#[test]
fn no_file_is_long() {
    let mut files = Vec::new();
    written_files(root(), &mut files);
    assert!(files.len() > 200, "the files should be found: {}", files.len());
    for file in files {
        let name = file.strip_prefix(root()).expect("a file of the repository").to_string_lossy().replace('\\', "/");
        let lines = fs::read_to_string(&file).expect("a readable file").lines().count();
        assert!(lines <= MAX_LINES, "{name} has {lines} lines of at most {MAX_LINES}");
    }
}

/// What people write: code and pages, not data, and nothing that is installed or built.
fn written_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && !["target", "node_modules", "pkg"].contains(&name.as_str()) {
                written_files(&path, files);
            }
        } else if path
            .extension()
            .is_some_and(|end| ["rs", "py", "mjs", "md", "toml"].iter().any(|known| end == *known))
        {
            files.push(path);
        }
    }
}

/// What the pages name of the code is there: `docs/architecture.md` says which file to open for what.
#[test]
fn the_pages_name_files_that_exist() {
    let mut pages = Vec::new();
    written_files(root(), &mut pages);
    let mut checked = 0;
    for page in pages.iter().filter(|page| page.extension().is_some_and(|end| end == "md")) {
        let text = fs::read_to_string(page).expect("a readable page");
        // What stands between back-quotes, outside of blocks of code.
        let prose = text.split("```").step_by(2).flat_map(|part| part.split('`').skip(1).step_by(2));
        for path in
            prose.filter(|path| FOLDERS.iter().any(|folder| path.starts_with(folder)) && !path.contains([' ', '*']))
        {
            assert!(root().join(path).exists(), "{}: there is no `{path}`", page.display());
            checked += 1;
        }
    }
    assert!(checked > 50, "the paths should have been found: {checked}");
}
