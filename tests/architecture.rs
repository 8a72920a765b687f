//! The import rule that `src/lib.rs` states: modules import downwards only, and only `edge` knows Fastly.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms in the order of the table in `lib.rs`: each may use those before it.
fn rooms() -> Vec<String> {
    let text = fs::read_to_string(source("lib.rs")).expect("src/lib.rs");
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<&str> = line.trim_start_matches("//!").split('|').map(str::trim).collect();
        let [_, _, rooms, _] = cells[..] else { return None };
        rooms.starts_with('`').then(|| rooms.to_owned())
    });
    let rows: Vec<String> = rows.collect();
    rows.iter().flat_map(|row| row.split(',')).map(|room| room.trim().trim_matches('`').to_owned()).collect()
}

/// Rooms that do not know each other, whatever their order.
const STRANGERS: [(&str, &str); 1] = [("upstream", "door")];

fn source(path: &str) -> PathBuf {
    // Cargo runs tests in their package's folder.
    Path::new("src").join(path)
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The module of the crate that a file belongs to: its folder below `src`, or its own name.
fn module_of(path: &Path) -> String {
    let below = path.strip_prefix(source("")).expect("below src");
    let first = below.components().next().expect("a name").as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// The modules that stand after `crate::` in a line, also in a group.
fn imports(line: &str) -> Vec<String> {
    let name =
        |text: &str| text.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("").to_owned();
    line.match_indices("crate::")
        .flat_map(|(at, found)| {
            let rest = &line[at + found.len()..];
            match rest.strip_prefix('{') {
                Some(group) => group.trim_end_matches([';', '}']).split(',').map(name).collect(),
                None => vec![name(rest)],
            }
        })
        .collect()
}

#[test]
fn modules_import_downwards_only() {
    let rooms = rooms();
    let place_of = |name: &str| rooms.iter().position(|room| room == name);
    let mut files = Vec::new();
    rust_files(&source(""), &mut files);
    let mut checked = 0;
    for path in files {
        let module = module_of(&path);
        if module == "lib" || module == "main" {
            continue;
        }
        let own = place_of(&module).unwrap_or_else(|| panic!("`{module}` is missing from the table in lib.rs"));
        let text = fs::read_to_string(&path).expect("a file");
        // Tests may look wherever they like.
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            let place = format!("{}:{}", path.display(), number + 1);
            for import in imports(line).into_iter().filter(|import| *import != module) {
                let other = place_of(&import).unwrap_or_else(|| panic!("{place}: `{import}` is not in the table"));
                let are_strangers = STRANGERS.contains(&(module.as_str(), import.as_str()));
                assert!(other < own && !are_strangers, "{place}: `{module}` may not import `{import}`");
                checked += 1;
            }
            let knows_fastly = ["fastly::", "fastly_sys::", "log_fastly::"].iter().any(|name| line.contains(name));
            assert!(!knows_fastly || module == "edge", "{place}: only `edge` may know Fastly");
            let impure =
                ["std::env", "std::fs", "std::net", "SystemTime::now", "Instant::now", "println!", "getrandom"];
            let pure = impure.iter().all(|name| !line.contains(name)) || line.contains("std::net::{Ipv");
            assert!(pure || module == "edge", "{place}: the core has no clock, randomness, environment or I/O");
        }
    }
    assert!(checked > 50, "the test should have found the imports: {checked}");
}
