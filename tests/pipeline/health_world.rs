//! A model of a POP: sandboxes that each know the index for a second, one cache, one clock, and attempts at one candidate that
//! overlap and are told of when they end. Another candidate is there for those who are not to ask it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tiergate::platform::Platform;
use tiergate::policy::HealthSettings;
use tiergate::pop::health::{self, Cooling, Extent, Found, Setback, Stage, Standing, Success};
use tiergate::pop::index::{self, Index};

use crate::fake::Fake;

const NAME: &str = "first/one";
/// How long a sandbox uses its copy of the index.
const COPY_AGE: Duration = Duration::from_secs(1);
/// How long a cool-down that has ended is remembered.
const MEMORY: Duration = Duration::from_secs(600);
/// How long a probe lasts.
pub const PROBE: Duration = Duration::from_secs(15);

/// How an attempt goes, from its beginning.
#[derive(Clone, Copy, Debug)]
pub enum Course {
    /// An answer begins, and is whole later.
    Serves { begins: Duration, ends: Duration },
    /// Nothing begins.
    Fails { after: Duration, cooling: Cooling },
    /// An answer begins and breaks off later.
    Breaks { begins: Duration, after: Duration },
    /// Nobody hears of it again.
    Vanishes,
}

/// An attempt under way.
struct Attempt {
    course: Course,
    began: Duration,
    found: Found,
    has_begun: bool,
    /// When it is heard of next.
    due: Duration,
}

/// What a request did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    Asked,
    Probed,
    WentElsewhere,
}

pub struct World {
    pub fake: Fake,
    settings: HealthSettings,
    /// What each sandbox knows of the index, and since when.
    copies: Vec<Option<(Index, Duration)>>,
    attempts: Vec<Attempt>,
    /// When each cool-down or probe began, by its end.
    pub cooldowns: BTreeMap<Duration, Duration>,
    /// The end of the cool-down or probe that came last, until a success or until it may be forgotten.
    last: Option<Duration>,
}

impl World {
    pub fn new(settings: HealthSettings, sandboxes: usize) -> Self {
        let copies = vec![None; sandboxes];
        Self { fake: Fake::default(), settings, copies, attempts: Vec::new(), cooldowns: BTreeMap::new(), last: None }
    }

    pub fn now(&self) -> Duration {
        self.fake.unix_time()
    }

    /// A new sandbox, which knows nothing.
    pub fn add_sandbox(&mut self) -> usize {
        self.copies.clear();
        self.copies.push(None);
        0
    }

    /// What a sandbox finds of the candidate now.
    pub fn plan(&mut self, sandbox: usize) -> Found {
        let now = self.now();
        let copy = self.copies[sandbox].filter(|(_, since)| now - *since < COPY_AGE);
        let index = copy.map_or_else(|| index::read(&self.fake).expect("a cache"), |(index, _)| index);
        if copy.is_none() {
            self.copies[sandbox] = Some((index, now));
        }
        let found = health::look_up(&self.fake, index, &[NAME.to_owned()])[0];
        self.fake.events.take();
        found
    }

    /// A request that found this asks the candidate, if it is to.
    pub fn choose(&mut self, found: Found, course: Course) -> Choice {
        let choice = match found.standing {
            Standing::Healthy => Choice::Asked,
            Standing::ProbeDue if health::elect_probe(&self.fake, NAME, found, PROBE) => Choice::Probed,
            Standing::ProbeDue | Standing::Cooling => return Choice::WentElsewhere,
        };
        self.note_cooldown();
        self.ask(found, course);
        choice
    }

    /// The candidate is asked, whatever its standing.
    pub fn ask(&mut self, found: Found, course: Course) {
        let began = self.now();
        let due = match course {
            Course::Serves { begins, .. } | Course::Breaks { begins, .. } => begins,
            Course::Fails { after, .. } => after,
            Course::Vanishes => return,
        };
        self.attempts.push(Attempt { course, began, found, has_begun: false, due: began + due });
    }

    /// Lets time pass, in which attempts begin and end.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now() + time;
        while let Some(position) = self.first_due().filter(|position| self.attempts[*position].due <= until) {
            let attempt = self.attempts.swap_remove(position);
            self.fake.sleep(attempt.due.saturating_sub(self.now()));
            self.hear(attempt);
        }
        self.fake.sleep(until - self.now());
    }

    /// Lets all attempts end.
    pub fn finish(&mut self) {
        while let Some(position) = self.first_due() {
            let due = self.attempts[position].due;
            self.pass(due.saturating_sub(self.now()));
        }
    }

    fn first_due(&self) -> Option<usize> {
        let dues = self.attempts.iter().enumerate();
        dues.min_by_key(|(_, attempt)| attempt.due).map(|(position, _)| position)
    }

    fn hear(&mut self, attempt: Attempt) {
        let Attempt { course, began, found, has_begun, .. } = attempt;
        let at = self.now();
        let before = self.state();
        let mut speaks_for_itself = true;
        match course {
            Course::Serves { ends: end, .. } | Course::Breaks { after: end, .. } if !has_begun => {
                health::succeeded(&self.fake, NAME, found, Success { began, extent: Extent::Begun });
                self.attempts.push(Attempt { has_begun: true, due: began + end, ..attempt });
            }
            Course::Serves { .. } => {
                let success = Success { began, extent: Extent::Whole };
                if found.is_clear() {
                    health::confirm(&self.fake, NAME, success);
                } else {
                    health::succeeded(&self.fake, NAME, found, success);
                }
            }
            Course::Breaks { .. } => {
                let setback = Setback { cooling: Cooling::Failure, began, at, stage: Stage::AfterBegin };
                health::failed(&self.fake, NAME, setback, &self.settings);
            }
            Course::Fails { cooling, .. } => {
                speaks_for_itself = !matches!(cooling, Cooling::None | Cooling::Alive);
                let setback = Setback { cooling, began, at, stage: Stage::BeforeBegin };
                health::failed(&self.fake, NAME, setback, &self.settings);
            }
            Course::Vanishes => {}
        }
        self.note_cooldown();
        let after = self.state();
        assert!(speaks_for_itself || before["cooldown"] == after["cooldown"], "{course:?}: {before} {after}");
        self.fake.events.take();
    }

    fn note_cooldown(&mut self) {
        let state = self.state();
        if !state.is_null() {
            self.last = state["cooldown"]["until_ms"].as_u64().map(Duration::from_millis);
        }
        if let Some(until) = self.last {
            self.cooldowns.entry(until).or_insert(self.fake.unix_time());
        }
    }

    /// What the cache holds of the candidate.
    pub fn state(&self) -> Value {
        let cache = self.fake.cache.borrow();
        let stored = cache.get("tiergate/health/first/one").filter(|(_, end)| self.now() < *end);
        stored.map_or(Value::Null, |(value, _)| serde_json::from_slice(value).expect("JSON"))
    }

    /// When the present cool-down, or probe, ends; also one that has ended, until a success.
    pub fn until(&self) -> Option<Duration> {
        self.last.filter(|until| self.now() < *until + MEMORY)
    }
}
