//! What holds of a candidate's health whatever happens, on several sandboxes with old copies of what they share.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use tiergate::policy::HealthSettings;
use tiergate::pop::health::{Cooling, Standing};

use crate::health_world::{Choice, Course, PROBE, World};

const SANDBOXES: usize = 4;
const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
enum Step {
    /// A request is planned by a sandbox, and asks a while later.
    Request {
        sandbox: usize,
        hesitates: Duration,
        course: Course,
    },
    /// All others have failed, so that the candidate is asked whatever its standing.
    LastResort {
        sandbox: usize,
        course: Course,
    },
    Pass(Duration),
}

fn settings(failures: u32) -> HealthSettings {
    HealthSettings {
        failures,
        cooldown: 5 * SECOND,
        max_cooldown: 60 * SECOND,
        auth_cooldown: 300 * SECOND,
        hedge_share: 0.05,
    }
}

fn milliseconds(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_millis)
}

fn innocent() -> impl Strategy<Value = Course> {
    let cooling = prop_oneof![Just(Cooling::None), Just(Cooling::Alive)];
    (milliseconds(0..20_000), cooling).prop_map(|(after, cooling)| Course::Fails { after, cooling })
}

fn course() -> impl Strategy<Value = Course> {
    let cooling = prop_oneof![
        4 => Just(Cooling::Failure),
        1 => milliseconds(0..90_000).prop_map(Cooling::Asked),
        1 => Just(Cooling::Long),
    ];
    prop_oneof![
        4 => (milliseconds(0..20_000), cooling).prop_map(|(after, cooling)| Course::Fails { after, cooling }),
        2 => (milliseconds(0..2_000), milliseconds(2_000..60_000)).prop_map(|(begins, after)| Course::Breaks { begins, after }),
        2 => (milliseconds(0..2_000), milliseconds(2_000..60_000)).prop_map(|(begins, ends)| Course::Serves { begins, ends }),
        1 => Just(Course::Vanishes),
        1 => innocent(),
    ]
}

fn steps(course: impl Strategy<Value = Course> + Clone + 'static) -> impl Strategy<Value = Vec<Step>> {
    let hesitates = prop_oneof![4 => Just(Duration::ZERO), 1 => milliseconds(0..60_000)];
    let request = (0..SANDBOXES, hesitates, course.clone()).prop_map(|(sandbox, hesitates, course)| Step::Request {
        sandbox,
        hesitates,
        course,
    });
    let last = (0..SANDBOXES, course).prop_map(|(sandbox, course)| Step::LastResort { sandbox, course });
    let pass = prop_oneof![8 => milliseconds(0..3_000), 2 => milliseconds(0..70_000), 1 => milliseconds(0..700_000)];
    let step = prop_oneof![8 => request, 1 => last, 6 => pass.prop_map(Step::Pass)];
    proptest::collection::vec(step, 1..80)
}

fn play(world: &mut World, steps: &[Step]) {
    // Who has asked under a cool-down that was a second old, by its end.
    let mut asked = BTreeSet::new();
    for (place, step) in steps.iter().enumerate() {
        world.fake.random.set(place as u64);
        match *step {
            Step::Request { sandbox, hesitates, course } => {
                let planned = world.now();
                let found = world.plan(sandbox);
                world.pass(hesitates);
                let until = world.until();
                let choice = world.choose(found, course);
                let Some((until, since)) = until.and_then(|until| world.cooldowns.get_key_value(&until)) else {
                    continue;
                };
                if planned >= *since + SECOND && choice != Choice::WentElsewhere {
                    assert_eq!(choice, Choice::Probed, "a cool-down that is a second old is known to all");
                    assert!(asked.insert(*until), "one request for each cool-down");
                }
            }
            Step::LastResort { sandbox, course } => {
                let found = world.plan(sandbox);
                world.ask(found, course);
            }
            Step::Pass(time) => world.pass(time),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_failing_candidate_is_asked_once_for_each_cooldown(failures in 1_u32..4, steps in steps(course().boxed())) {
        play(&mut World::new(settings(failures), SANDBOXES), &steps);
    }

    #[test]
    fn a_candidate_that_works_again_is_asked_within_its_cooldown(failures in 1_u32..4, steps in steps(course().boxed())) {
        let mut world = World::new(settings(failures), SANDBOXES);
        play(&mut world, &steps);
        world.finish();
        let works = Course::Serves { begins: Duration::from_millis(300), ends: 5 * SECOND };
        let from = world.now();
        let cools = world.until().map_or(Duration::ZERO, |until| until.saturating_sub(from));
        // An election that came to nothing may be known for the probe's time and as long as a copy is old.
        let at_most = cools + PROBE + 3 * SECOND;
        for request in 0_u32.. {
            let found = world.plan(request as usize % SANDBOXES);
            let is_asked = match world.choose(found, works) {
                Choice::Probed => true,
                // One that does not know of a cool-down yet ends none.
                Choice::Asked => world.state()["cooldown"].is_null(),
                Choice::WentElsewhere => false,
            };
            if is_asked {
                break;
            }
            prop_assert!(world.now() - from <= at_most, "{:?} {}", world.now() - from, world.state());
            world.pass(SECOND / 4);
        }
        world.finish();
        world.pass(SECOND);
        prop_assert_eq!(world.plan(0).standing, Standing::Healthy, "{}", world.state());
    }

    #[test]
    fn what_says_nothing_of_a_candidate_cools_it_never(failures in 1_u32..4, steps in steps(innocent().boxed())) {
        let mut world = World::new(settings(failures), SANDBOXES);
        play(&mut world, &steps);
        world.finish();
        prop_assert!(world.state().is_null(), "{}", world.state());
    }
}
