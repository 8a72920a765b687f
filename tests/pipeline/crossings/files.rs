//! What clients get, as files: `tests/golden/crossings/ROW/DOOR-from-DIALECT.sse`, `.json`, and `-gathered.json`; the error in
//! place of a stream is `-for-a-stream.json`. The client suite reads them as its SDKs do.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tiergate::policy::Dialect;

use super::rows::Row;
use super::{Column, Form};

const FOLDER: &str = "tests/golden/crossings";

/// Where the answer of a row and a column stands.
fn path_of(row: &Row, Column { door, dialect, form }: Column, answer: &str) -> PathBuf {
    let dialect = match dialect {
        Dialect::OpenaiChat => "chat",
        Dialect::AnthropicMessages => "messages",
        Dialect::OpenaiResponses => "responses",
    };
    let end = match form {
        // There was none.
        Form::Streamed if answer.starts_with('{') => "-for-a-stream.json",
        Form::Streamed => ".sse",
        Form::Whole => ".json",
        Form::Gathered => "-gathered.json",
    };
    Path::new(FOLDER).join(row.name).join(format!("{}-from-{dialect}{end}", door.as_str()))
}

/// The files of the table.
#[derive(Default)]
pub struct Files {
    paths: BTreeSet<PathBuf>,
}

impl Files {
    /// Checks what a client gets, or writes it down as what is expected.
    pub fn check(&mut self, row: &Row, column: Column, answer: &str) {
        let path = path_of(row, column, answer);
        if is_updating() {
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(&path, answer).expect("a writable file");
        }
        let expected = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(answer, expected, "{}", path.display());
        self.paths.insert(path);
    }

    /// Checks that there are no others.
    pub fn finish(self) {
        let entries =
            |folder: &Path| fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
        let all: BTreeSet<PathBuf> = entries(Path::new(FOLDER)).flat_map(|folder| entries(&folder)).collect();
        for path in all.difference(&self.paths) {
            assert!(is_updating(), "{}: no answer of the table", path.display());
            fs::remove_file(path).expect("a file");
        }
    }
}

fn is_updating() -> bool {
    std::env::var_os("UPDATE_EXPECT").is_some()
}
