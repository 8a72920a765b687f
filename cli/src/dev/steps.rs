//! The progress display: what is going on, on standard error. Without a terminal, one plain line per finished step.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

const TICK: Duration = Duration::from_millis(100);

pub struct Steps {
    is_terminal: bool,
}

/// A step under way; its clones are the same step.
#[derive(Clone)]
pub struct Step {
    name: &'static str,
    started: Instant,
    bar: Option<ProgressBar>,
}

impl Steps {
    pub fn new() -> Self {
        Self { is_terminal: console::user_attended_stderr() }
    }

    pub fn begin(&self, name: &'static str) -> Step {
        let bar = self.is_terminal.then(|| {
            let style = ProgressStyle::with_template("{spinner:.cyan} {prefix} {elapsed:.dim} {wide_msg:.dim}")
                .expect("the template should be valid");
            let bar = ProgressBar::new_spinner().with_style(style).with_prefix(name);
            bar.enable_steady_tick(TICK);
            bar
        });
        Step { name, started: Instant::now(), bar }
    }
}

impl Step {
    /// What the step is doing at the moment.
    pub fn detail(&self, doing: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(doing.to_owned());
        }
    }

    pub fn finish(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let tick = console::style("✓").green().for_stderr();
        eprintln!("{tick} {} ({:.1} s)", self.name, self.started.elapsed().as_secs_f64());
    }
}
