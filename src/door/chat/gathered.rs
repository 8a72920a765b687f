//! An answer for a chat client that gets it whole, gathered from what its provider says piece by piece.
//!
//! What is held is values only, each text as it came, so that an answer can be gathered on elsewhere. The same pieces give the
//! same answer whether they come one by one or all at once, and `completion` writes it.

use std::rc::Rc;

use serde_json::value::RawValue;

use crate::door::answer::{AnswerOptions, CallShape};
use crate::door::chat::answer::{ClientUsage, DIALECT};
use crate::door::chat::{ids, reasoning};
use crate::policy::Dialect;
use crate::wire::ask::Ask;
use crate::wire::call::CallKind;
use crate::wire::call_tag::CallTagger;
use crate::wire::carried::carried;
use crate::wire::containers::{elements, found_valid, members};
use crate::wire::joined::{ITEM_BYTES, JoinedDetails, JoinedFields};
use crate::wire::json::{JsonString, given, says_nothing, whole};
use crate::wire::piece::{
    AnswerCall, AnswerItem, At, Finish, FinishReason, Opaque, OpaqueHolder, Piece, ReasoningForm, Said, Start,
};
use crate::wire::seal::Sealed;

/// About how many bytes a choice, or a call, takes that says nothing.
const HOLDER_BYTES: usize = 256;

/// What an answer has said so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gathered {
    /// As JSON.
    pub id: Option<String>,
    /// As JSON.
    pub model: Option<String>,
    pub created: Option<u64>,
    /// In the order of their numbers.
    pub choices: Vec<GatheredChoice>,
    /// The client's `usage`, as JSON.
    pub usage: Option<String>,
    /// What stands beside the choices.
    pub fields: JoinedFields,
    /// About how much is held.
    bytes: usize,
    /// What says in an id whose call it is; made anew where the answer goes on elsewhere.
    pub tagger: Option<Rc<CallTagger>>,
}

carried!(Gathered { id, model, created, choices, usage, fields, bytes } without { tagger });

/// What one choice has said so far. Texts are the insides of JSON strings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatheredChoice {
    pub number: u64,
    pub text: Option<String>,
    /// The parts of a content that is more than text, each as JSON; the text that followed them is [`GatheredChoice::text`].
    pub parts: Vec<String>,
    pub refusal: Option<String>,
    pub reasoning: Option<String>,
    /// What was thought, under the other name that some providers have for it.
    pub reasoning_alias: Option<String>,
    pub details: JoinedDetails,
    /// In the order of their places.
    pub calls: Vec<GatheredCall>,
    pub finish: Option<GatheredFinish>,
    pub logprobs: JoinedFields,
    /// What stands in the message.
    pub message_fields: JoinedFields,
    /// What stands beside the message.
    pub fields: JoinedFields,
}

carried!(GatheredChoice {
    number,
    text,
    parts,
    refusal,
    reasoning,
    reasoning_alias,
    details,
    calls,
    finish,
    logprobs,
    message_fields,
    fields
});

/// What has come of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatheredCall {
    /// Which of its choice's items it is.
    pub item: u64,
    pub kind: CallKind,
    /// As JSON.
    pub id: Option<String>,
    /// As JSON.
    pub name: Option<String>,
    /// The inside of a JSON string.
    pub input: String,
    pub fields: JoinedFields,
}

carried!(GatheredCall { item, kind, id, name, input, fields });

/// Why a choice has finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatheredFinish {
    /// The client's word.
    pub word: String,
    /// Why it was refused to go on, as JSON.
    pub explanation: Option<String>,
}

carried!(GatheredFinish { word, explanation });

/// Whether a stream can bring all of the answer to `ask`. Several choices may grow past any bound, no chunk of the published
/// API has a place for audio or other media, nor for the `metadata` that a whole answer repeats.
pub fn can_gather(ask: &Ask<'_>) -> bool {
    let given = |name: &str| given(ask.field(name)).filter(|value| !says_nothing(value));
    let has_many_choices = given("n").and_then(whole).is_some_and(|choices| choices > 1);
    let is_text = |word: &&RawValue| word.get() == r#""text""#;
    let has_media = given("modalities").and_then(elements).is_some_and(|words| !words.iter().all(is_text));
    let has_others = ["audio", "metadata"].into_iter().any(|name| given(name).is_some());
    !(has_many_choices || has_media || has_others)
}

impl Gathered {
    /// About how much is held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes what an event, or a whole body, says.
    pub fn take(&mut self, options: &AnswerOptions, said: &Said<'_>) {
        let dialect = said.dialect;
        for piece in said.pieces {
            match piece {
                Piece::Start(start) => self.start(start),
                Piece::Text { at, text } => self.add(at.choice, |choice| &mut choice.text, text),
                Piece::Refusal { at, text } => self.add(at.choice, |choice| &mut choice.refusal, text),
                Piece::Reasoning { at, form, text } => {
                    if options.shows(dialect, piece) {
                        self.add(at.choice, reasoning_slot(*form), text);
                    }
                }
                Piece::Sealed { at, .. } => {
                    if let Some(sealed) = options.state(dialect, piece) {
                        self.seal(at.choice, sealed);
                    }
                }
                Piece::Begin { at, item: AnswerItem::Call(call) } => {
                    let kind = if options.calls == CallShape::FunctionCall { CallKind::Legacy } else { call.kind };
                    self.begin_call(*at, Named { dialect, kind, call });
                }
                Piece::Input { at, fragment } => {
                    self.bytes += fragment.inside().len();
                    self.call(*at).input.push_str(fragment.inside());
                }
                Piece::Finish { choice, finish } => {
                    self.finish(*choice, options.finish_word(dialect, finish).into(), finish);
                }
                Piece::Usage { usage, raw, .. } => {
                    let own = raw.map(|raw| raw.0.get());
                    let counted = usage.map(|usage| own.map_or_else(|| ClientUsage::json(usage), str::to_owned));
                    if counted.is_some() || self.usage.is_none() {
                        let usage = counted.or_else(|| own.map(str::to_owned));
                        self.resize(length(self.usage.as_deref()), length(usage.as_deref()));
                        self.usage = usage;
                    }
                }
                Piece::Opaque(opaque) => self.keep(opaque),
                // A text that says nothing is one all the same.
                Piece::Begin { at, item: AnswerItem::Text } => {
                    self.choice(at.choice).text.get_or_insert_default();
                }
                Piece::Begin { item: AnswerItem::Reasoning, .. } | Piece::End { .. } | Piece::Alive(_) => {}
            }
        }
    }

    fn start(&mut self, start: &Start<'_>) {
        let owned = |name: &Option<JsonString<'_>>| name.as_ref().map(|name| name.get().to_owned());
        let before = length(self.id.as_deref()) + length(self.model.as_deref());
        self.id = self.id.take().or_else(|| owned(&start.id));
        self.model = self.model.take().or_else(|| owned(&start.model));
        self.resize(before, length(self.id.as_deref()) + length(self.model.as_deref()));
        // What is made before an answer has a name, or at no time, is only about its prompt.
        self.created = self.created.filter(|created| *created > 0).or(Some(start.created));
    }

    fn add(&mut self, choice: u64, slot: Slot, text: &JsonString<'_>) {
        self.bytes += text.inside().len();
        slot(self.choice(choice)).get_or_insert_default().push_str(text.inside());
    }

    fn seal(&mut self, choice: u64, sealed: &Sealed<'_>) {
        let index = self.choice(choice).details.len() as u64;
        let mut entry = Vec::new();
        reasoning::write(sealed, index, &mut entry);
        let entry = String::from_utf8(entry).expect("an entry should be made of texts");
        self.add_details(choice, &[found_valid(&entry)]);
    }

    /// Takes entries of `reasoning_details`; false, and nothing is taken, if one of them is no object.
    fn add_details(&mut self, choice: u64, entries: &[&RawValue]) -> bool {
        let Some(entries) = entries.iter().map(|entry| members(entry)).collect::<Option<Vec<_>>>() else {
            return false;
        };
        let details = &mut self.choice(choice).details;
        let before = details.bytes();
        entries.iter().for_each(|entry| details.join(entry));
        let after = details.bytes();
        self.resize(before, after);
        true
    }

    fn begin_call(&mut self, at: At, Named { dialect, kind, call }: Named<'_>) {
        let known = self.choice(at.choice).calls.iter().rposition(|known| known.item == at.item);
        let known = known.filter(|position| {
            let known = &self.choice(at.choice).calls[*position];
            // Some name a call with every fragment of it, some give each fragment an id, and some do not count their calls.
            let ids = known.id.as_deref().zip(call.id.as_ref());
            let has_other_id = ids.is_some_and(|(known, given)| known != given.get());
            dialect == DIALECT && !(has_other_id && call.name.is_some())
        });
        let position = known.unwrap_or_else(|| self.add_call(at, GatheredCall::unnamed(at)));
        let tagger = self.tagger.clone();
        let known = &mut self.choice(at.choice).calls[position];
        if known.id.is_none() && known.name.is_none() {
            known.kind = kind;
        }
        self.bytes += known.name_as(call, tagger.as_deref());
    }

    /// Says at which place among its choice's calls it stands.
    fn add_call(&mut self, at: At, call: GatheredCall) -> usize {
        self.bytes += HOLDER_BYTES;
        let calls = &mut self.choice(at.choice).calls;
        let position = calls.partition_point(|known| known.item <= call.item);
        calls.insert(position, call);
        position
    }

    /// The call that a part belongs to, even if nobody has seen it begin.
    fn call(&mut self, at: At) -> &mut GatheredCall {
        let position = self.choice(at.choice).calls.iter().rposition(|call| call.item == at.item);
        let position = position.unwrap_or_else(|| self.add_call(at, GatheredCall::unnamed(at)));
        &mut self.choice(at.choice).calls[position]
    }

    fn finish(&mut self, choice: u64, word: String, finish: &Finish<'_>) {
        let is_refusal = finish.reason == FinishReason::Filtered;
        let explanation = finish.explanation.as_ref().filter(|_| is_refusal).map(|why| why.get().to_owned());
        let finish = GatheredFinish { word, explanation };
        let after = finish.bytes();
        let before = self.choice(choice).finish.replace(finish);
        self.resize(before.as_ref().map_or(0, GatheredFinish::bytes), after);
    }

    /// Keeps what nobody here knows: beside the choices as it was last, elsewhere with its lists joined.
    fn keep(&mut self, opaque: &Opaque<'_>) {
        let Opaque { choice, holder, name, value, .. } = opaque;
        let (choice, value) = (*choice, value.0);
        if *holder == OpaqueHolder::Delta && name == "content" {
            return self.add_parts(choice, value);
        }
        let is_of_details = *holder == OpaqueHolder::Delta && name == reasoning::FIELD;
        let details = Some(value).filter(|_| is_of_details).and_then(elements);
        if details.is_some_and(|entries| self.add_details(choice, &entries)) {
            return;
        }
        let fields = match holder {
            OpaqueHolder::Answer => &mut self.fields,
            OpaqueHolder::Delta => &mut self.choice(choice).message_fields,
            OpaqueHolder::Choice if name == "logprobs" && value.get().starts_with('{') => {
                &mut self.choice(choice).logprobs
            }
            OpaqueHolder::Choice => &mut self.choice(choice).fields,
            OpaqueHolder::Call(item) => &mut self.call(At { choice, item: *item }).fields,
        };
        let before = fields.bytes();
        match holder {
            OpaqueHolder::Answer => fields.replace(name, value),
            OpaqueHolder::Choice if name == "logprobs" && fields.join_members(value) => {}
            OpaqueHolder::Choice | OpaqueHolder::Delta | OpaqueHolder::Call(_) => fields.join(name, value),
        }
        let after = fields.bytes();
        self.resize(before, after);
    }

    /// Takes a content that is no text: from here on it is a list.
    fn add_parts(&mut self, choice: u64, value: &RawValue) {
        let parts = elements(value).unwrap_or_else(|| vec![value]);
        self.bytes += parts.iter().map(|part| ITEM_BYTES + part.get().len()).sum::<usize>();
        let choice = self.choice(choice);
        choice.end_text();
        choice.parts.extend(parts.into_iter().map(|part| part.get().to_owned()));
    }

    /// What took `before` bytes takes `after` now.
    fn resize(&mut self, before: usize, after: usize) {
        self.bytes = self.bytes - before + after;
    }

    fn choice(&mut self, number: u64) -> &mut GatheredChoice {
        let position = self.choices.partition_point(|choice| choice.number < number);
        if self.choices.get(position).is_none_or(|choice| choice.number != number) {
            self.bytes += HOLDER_BYTES;
            self.choices.insert(position, GatheredChoice { number, ..GatheredChoice::default() });
        }
        &mut self.choices[position]
    }
}

/// Which of a choice's texts one belongs to.
type Slot = fn(&mut GatheredChoice) -> &mut Option<String>;

/// A call as it is named when it begins.
struct Named<'p> {
    dialect: Dialect,
    kind: CallKind,
    call: &'p AnswerCall<'p>,
}

impl GatheredChoice {
    /// The content as far as it is a list, with what text has come since.
    pub fn end_text(&mut self) {
        let text = self.text.take().filter(|text| !text.is_empty());
        self.parts.extend(text.map(|text| format!(r#"{{"type":"text","text":"{text}"}}"#)));
    }
}

impl GatheredCall {
    /// Takes what a part says of its id and name, and says how many bytes that adds. A name may come in fragments, before any
    /// input; the same one again says nothing new.
    fn name_as(&mut self, call: &AnswerCall<'_>, tagger: Option<&CallTagger>) -> usize {
        let mut grown = 0;
        if let (None, Some(id)) = (&self.id, &call.id) {
            let id = ids::told(id, tagger);
            grown += id.len();
            self.id = Some(id.into_owned());
        }
        match (&mut self.name, &call.name) {
            (None, Some(name)) => {
                grown += name.get().len();
                self.name = Some(name.get().to_owned());
            }
            (Some(known), Some(more)) if self.input.is_empty() && known != more.get() => {
                grown += more.inside().len();
                known.pop();
                known.push_str(more.inside());
                known.push('"');
            }
            (Some(_) | None, _) => {}
        }
        grown
    }

    fn unnamed(at: At) -> Self {
        Self {
            item: at.item,
            kind: CallKind::Function,
            id: None,
            name: None,
            input: String::new(),
            fields: JoinedFields::default(),
        }
    }
}

impl GatheredFinish {
    fn bytes(&self) -> usize {
        self.word.len() + length(self.explanation.as_deref())
    }
}

fn length(text: Option<&str>) -> usize {
    text.map_or(0, str::len)
}

fn reasoning_slot(form: ReasoningForm) -> Slot {
    match form {
        ReasoningForm::Text | ReasoningForm::Summary => |choice| &mut choice.reasoning,
        ReasoningForm::Alias => |choice| &mut choice.reasoning_alias,
    }
}
