//! What a conversation is told by: the client, the instructions before it, the tools and the first turn of the user, which
//! are the same in all of its requests.
//!
//! A split draws by that, so that a conversation stays with the model that it began with: a change of model costs the prompt
//! cache, and histories do not pass between models without loss.

use crate::policy::{Policy, Weighted};
use crate::wire::ask::Ask;
use crate::wire::ask::turns::{Role, Turn};

/// The beginning of a text, in bytes, that counts; of the rest only its length does.
const MAX_BYTES: usize = 64 << 10;

/// The number of the conversation that a request belongs to.
pub fn number(client: &str, ask: &Ask<'_>) -> u64 {
    let mut digest = Digest::default();
    digest.add(client);
    let is_instruction = |turn: &&Turn<'_>| turn.role.is_instruction();
    ask.turns.iter().take_while(is_instruction).for_each(|turn| digest.add_turn(turn));
    for tools in ["tools", "functions"].into_iter().filter_map(|name| ask.field(name)) {
        digest.add(tools.get());
    }
    if let Some(turn) = ask.turns.iter().find(|turn| turn.role == Role::User) {
        digest.add_turn(turn);
    }
    digest.0
}

/// The position of the member that a conversation is served by: the one with the highest score, so that a member that comes
/// or goes moves no conversation between the others, and what else stands in the policy moves none. Nothing if there are no
/// members.
pub fn draw(policy: &Policy, members: &[&Weighted], conversation: u64) -> Option<usize> {
    let score = |member: &Weighted| {
        let candidate = &member.candidate;
        let mut digest = Digest(conversation);
        digest.add(&policy.model(candidate.model).name);
        digest.add(candidate.effort.map_or("", |effort| effort.as_str()));
        // Of a number between 0 and 1, whose logarithm makes the scores win in proportion to the weights.
        let share = ((digest.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        f64::from(member.weight) / -share.ln()
    };
    let scores = members.iter().map(|member| score(member)).enumerate();
    scores.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(position, _)| position)
}

/// A fast hash that is the same in every version and place; whoever picks the texts may pick its value.
#[derive(Default)]
struct Digest(u64);

impl Digest {
    /// The texts of a turn; all of it where it has none.
    fn add_turn(&mut self, turn: &Turn<'_>) {
        let mut has_texts = false;
        for text in turn.texts() {
            self.add(text);
            has_texts = true;
        }
        if !has_texts {
            self.add(turn.raw);
        }
    }

    fn add(&mut self, text: &str) {
        self.add_word(text.len() as u64);
        for chunk in text.as_bytes()[..text.len().min(MAX_BYTES)].chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.add_word(u64::from_le_bytes(word));
        }
    }

    /// Mixes a word in, as the generator SplitMix64 mixes its state.
    fn add_word(&mut self, word: u64) {
        let mut mixed = (self.0 ^ word).wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        self.0 = mixed ^ (mixed >> 31);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::{chat, messages};
    use crate::policy::{Candidate, Model, ModelId, default_policy};

    /// A policy with models of these names.
    fn policy(names: &[String]) -> Policy {
        let policy = default_policy();
        let model = policy.models.first().expect("a model").clone();
        let models = names.iter().map(|name| Model { name: name.clone(), ..model.clone() }).collect();
        Policy { models, ..policy }
    }

    /// Members of these weights, the first one of which is the model at the place `first`.
    fn members(weights: &[u32], first: usize) -> Vec<Weighted> {
        let member = |(at, weight): (usize, &u32)| Weighted {
            candidate: Candidate { model: ModelId(first + at), effort: None },
            weight: *weight,
        };
        weights.iter().enumerate().map(member).collect()
    }

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|at| format!("model-{at}")).collect()
    }

    fn number_of(client: &str, body: &str) -> u64 {
        number(client, &chat::parse(body.as_bytes()).expect("a request"))
    }

    fn numbers() -> impl Iterator<Item = u64> {
        (0..10_000)
            .map(|at| number_of("c", &format!(r#"{{"messages":[{{"role":"user","content":"Question {at}"}}]}}"#)))
    }

    #[test]
    fn weights_are_met_within_a_hundredth() {
        for weights in [&[90, 10][..], &[1, 1], &[1, 2, 3, 4], &[10_000, 100]] {
            let (policy, members) = (policy(&names(weights.len())), members(weights, 0));
            let members: Vec<&Weighted> = members.iter().collect();
            let mut served = vec![0_u32; weights.len()];
            numbers().for_each(|number| served[draw(&policy, &members, number).expect("a member")] += 1);
            let total: u32 = weights.iter().sum();
            for (served, weight) in served.iter().zip(weights) {
                let off = f64::from(*served) / 10_000.0 - f64::from(*weight) / f64::from(total);
                assert!(off.abs() < 0.01, "{weights:?}: {served} for {weight}");
            }
        }
        assert_eq!(draw(&policy(&[]), &[], 7), None);
    }

    #[test]
    fn a_member_that_goes_moves_only_its_own_conversations() {
        let (policy, members) = (policy(&names(3)), members(&[3, 2, 5], 0));
        let all: Vec<&Weighted> = members.iter().collect();
        let without = [all[0], all[2]];
        for number in numbers().take(500) {
            let before = draw(&policy, &all, number).expect("a member");
            let after = draw(&policy, &without, number).expect("a member");
            assert!(before == 1 || std::ptr::eq(all[before], without[after]), "{number}");
        }
    }

    #[test]
    fn a_model_that_comes_before_them_moves_no_conversation() {
        let (before, after) = (names(3), [vec!["another".to_owned()], names(3)].concat());
        let drawn = |names: &[String], first: usize| -> Vec<Option<usize>> {
            let (policy, members) = (policy(names), members(&[3, 2, 5], first));
            let members: Vec<&Weighted> = members.iter().collect();
            numbers().take(500).map(|number| draw(&policy, &members, number)).collect()
        };
        assert_eq!(drawn(&after, 1), drawn(&before, 0));
    }

    #[test]
    fn a_conversation_is_told_by_how_it_begins() {
        let first = r#"{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}]}"#;
        let later = r#"{"stream":true,"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"},
            {"role":"assistant","content":"Hello."},{"role":"system","content":"Now."},{"role":"user","content":"Go on."}]}"#;
        let number = number_of("a", first);
        assert_eq!(number_of("a", later), number, "a later turn changes nothing");
        for (client, body) in [
            ("b", first.to_owned()),
            ("a", first.replace("brief", "long")),
            ("a", first.replace("Hi", "Ho")),
            ("a", first.replace("]}", r#"],"tools":[{"type":"function","function":{"name":"f"}}]}"#)),
        ] {
            assert_ne!(number_of(client, &body), number, "{client}: {body}");
        }
    }

    #[test]
    fn a_conversation_of_the_messages_api_is_told_by_the_same() {
        let body = |attribution: &str, system: &str, more: &str| {
            format!(
                r#"{{"system":[{{"type":"text","text":"x-anthropic-billing-header: {attribution}"}},{{"type":"text","text":"{system}"}}],
                    "tools":[{{"name":"f","input_schema":{{}}}}],"messages":[{{"role":"user","content":[{{"type":"text","text":"Hi"}}]}}{more}]}}"#
            )
        };
        let number_of = |body: String| number("a", &messages::parse(body.as_bytes()).expect("a request"));
        let first = number_of(body("cch=1", "Be brief.", ""));
        let later = r#",{"role":"assistant","content":[{"type":"tool_use","id":"1","name":"f","input":{}}]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":"x"}]},{"role":"system","content":"Now."}"#;
        assert_eq!(number_of(body("cch=2", "Be brief.", later)), first, "a later turn, and who asks, change nothing");
        assert_ne!(number_of(body("cch=1", "Be long.", "")), first);
    }
}
