//! What guests write to log endpoints, and to standard output and error, as single lines.

use std::io::{self, Write};

use tokio::sync::mpsc::UnboundedSender;

/// The runtime puts the endpoint's name and this before each line.
const AFTER_NAME: &str = " :: ";

/// One line that a guest wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The log endpoint's name, or `stdout` or `stderr`.
    pub endpoint: String,
    /// Without a line end; those inside the text come as `\n`.
    pub text: String,
}

/// Takes the lines in order. The reader may be slow or gone: the gateway never waits for it.
pub type LogSink = UnboundedSender<LogLine>;

/// Splits the runtime's log stream into lines.
pub(crate) struct LogWriter {
    sink: Option<LogSink>,
}

impl LogWriter {
    /// Without a sink the lines are dropped.
    pub(crate) fn new(sink: Option<LogSink>) -> Self {
        Self { sink }
    }
}

impl Write for LogWriter {
    /// The runtime writes each line whole, in one call.
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        if let Some(sink) = &self.sink {
            let entry_text = String::from_utf8_lossy(entry);
            for line in entry_text.lines() {
                let (endpoint, text) = line.split_once(AFTER_NAME).unwrap_or(("", line));
                // A reader that has gone does not concern the gateway.
                let _ = sink.send(LogLine { endpoint: endpoint.to_owned(), text: text.to_owned() });
            }
        }
        Ok(entry.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_without_the_runtimes_prefix() {
        let (sink, mut lines) = tokio::sync::mpsc::unbounded_channel();
        let mut writer = LogWriter::new(Some(sink));
        for (entry, endpoint, text) in [
            ("tiergate :: {\"a\":\"b :: c\"}\n", "tiergate", "{\"a\":\"b :: c\"}"),
            ("stderr :: panicked\n", "stderr", "panicked"),
            ("no prefix\n", "", "no prefix"),
        ] {
            writer.write_all(entry.as_bytes()).expect("writing to a channel should work");
            let line = lines.try_recv().expect("the line should be there");
            assert_eq!((line.endpoint.as_str(), line.text.as_str()), (endpoint, text), "{entry}");
        }
        drop(lines);
        writer.write_all(b"tiergate :: late\n").expect("a reader that has gone is no error");
    }
}
