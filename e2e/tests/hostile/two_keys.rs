//! A client cannot try its guesses: the same request under two different keys gets the same answer, byte by byte.
//!
//! Two gateways differ in nothing but the characters of their keys. The provider prints the key that it was given and the
//! client's own words, which hold parts of both keys. What time alone decides is left out of the comparison.

use tiergate_cli::wasm::Guest;

use crate::client::{Got, Sending, send};
use crate::keys::not_of_the_answer;
use crate::places::{self, ALIKE, Printed};
use crate::planted::{HOSTS, PLANTED, Set};
use crate::provider::{Asked, mark};
use crate::random::{Random, cases};
use crate::reply::{Dialect, Reply};
use crate::report::Report;
use crate::requests;
use crate::world::{AT_ONCE, GRACE, KINDS, LANES, STAGE, Stage, TOTAL, World, all, policy, tier};

/// What differs from request to request, whatever the key.
const OF_THE_MOMENT: [&str; 5] = ["x-route-id", "x-request-id", "server-timing", "date", "retry-after"];
/// A difference that is the key's comes again; one of a cool-down or of a busy machine does not.
const TRIES: usize = 3;

#[test]
fn the_same_request_under_two_keys_gets_the_same_answer() {
    STAGE.run("two_keys", async |stage, report| {
        let policy = policy().to_string();
        let second = World::start(&stage.provider, Guest::Edge, Set::Second, &policy).await;
        let cases = cases(400, 10_000);
        for some in cases.chunks(500) {
            let answers = all(some, AT_ONCE, async |case| compare(stage, &second, case, report).await).await;
            stage.world.log([]).await;
            second.log([]).await;
            report.count("pairs", answers.len() as u64);
            report.count("pairs that differed once", answers.iter().filter(|tries| **tries > 1).count() as u64);
        }
        second.gateway.stop().await;
    });
}

/// Asks both gateways the same until they agree, and gives how often that was.
async fn compare(stage: &Stage, second: &World, case: u64, report: &Report) -> usize {
    let mut random = Random::new("two_keys", case);
    // Cases that run beside each other have lanes of their own.
    let lane = case as usize % LANES;
    let tier = if random.once_in(8) {
        String::new()
    } else {
        tier(random.pick::<&str>(&KINDS), *random.pick(&[Dialect::Chat, Dialect::Messages]), lane)
    };
    let streams = random.once_in(2);
    let guess = guess(lane % HOSTS, &mut random);
    let echoes = random.once_in(2);
    let request = requests::chat(&tier, streams, &format!("{}please {guess} now", mark(case)));
    let sending = Sending::new(request, TOTAL + GRACE * 2);
    let mut different = None;
    for tries in 1..=TRIES {
        if tries > 1 {
            for world in [&stage.world, second] {
                world.heal(&tier).await;
            }
        }
        let mut told = Vec::new();
        for world in [&stage.world, second] {
            let (random, guess) = (random.clone(), guess.clone());
            stage.provider.plan(case, move |asked| reply(asked, &guess, echoes, random.clone()));
            let got = send(world.addr(), &sending).await;
            // An answer's own names are the provider's word to the client, as its text is; it may print its key there.
            let body = if echoes { got.text() } else { not_of_the_answer(&got, streams) };
            told.push(normal(&got, &body, echoes));
            stage.provider.forget(case);
        }
        if told[0] == told[1] {
            return tries;
        }
        let at = told[0].bytes().zip(told[1].bytes()).take_while(|(first, second)| first == second).count();
        let around = |text: &str| {
            let from = text.floor_char_boundary(at.saturating_sub(100));
            text[from..text.ceil_char_boundary((at + 100).min(text.len()))].to_owned()
        };
        different =
            Some(format!("tier `{tier}`, guess {guess:?}: {:?} against {:?}", around(&told[0]), around(&told[1])));
    }
    report.finding("the answer tells the key", case, different.unwrap_or_default());
    TRIES
}

/// A part of one of the host's two keys, or something near it.
fn guess(host: usize, random: &mut Random) -> String {
    let key = PLANTED[host].key(*random.pick(&[Set::First, Set::Second])).as_bytes();
    let length = *random.pick(&[3, 4, 5, 6, 7, 8, 10, 12, 20]);
    let length = length.min(key.len());
    let at = random.below(key.len() - length + 1);
    let mut part = key[at..at + length].to_vec();
    if random.once_in(3) {
        let last = part.len() - 1;
        part[last] = if part[last] == b'q' { b'w' } else { b'q' };
    }
    String::from_utf8_lossy(&part).into_owned()
}

/// The client's words in the provider's, or the key.
fn reply(asked: &Asked, guess: &str, echoes: bool, mut random: Random) -> Reply {
    // The second attempts of a request say something else, the same for both keys.
    for _ in 0..asked.before {
        random.next();
    }
    let printed = match echoes {
        true => Printed { key: guess, codings: &ALIKE[..1] },
        false => Printed { key: &asked.key, codings: ALIKE },
    };
    places::leak(&printed, asked.dialect, asked.streams, &mut random).1
}

/// An answer without what the moment decides; its length counts if all of it is compared.
fn normal(got: &Got, body: &str, is_all: bool) -> String {
    let mut text = format!("{:?} {:?}\n", got.status, got.end);
    let is_compared = |name: &str| !OF_THE_MOMENT.contains(&name) && (is_all || name != "content-length");
    for (name, value) in got.headers.iter().filter(|(name, _)| is_compared(name)) {
        text.push_str(&format!("{name}: {value}\n"));
    }
    // The time of a translated answer, and of the id that it may have from it.
    let body =
        ["\"created\":", "\"id\":\"chatcmpl-"].iter().fold(body.to_owned(), |body, name| without_numbers(&body, name));
    text + &body
}

/// `text` without the digits that follow `name`.
fn without_numbers(text: &str, name: &str) -> String {
    let mut parts = text.split(name);
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        kept.push_str(name);
        kept.push_str(part.trim_start_matches(|character: char| character.is_ascii_digit()));
    }
    kept
}
