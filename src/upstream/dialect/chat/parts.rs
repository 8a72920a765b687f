//! The parts of a message's content as a provider takes them: those of the published API, and those that its row lists, with
//! what either says of what they hold.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::history::{Aside, History, MessageContext};
use super::older_form;
use crate::error::{Error, Kind};
use crate::upstream::dialect::edit::{ListItem, ObjectEdit, OpenedObject, list};
use crate::wire::ask::turns::Role;
use crate::wire::chat::CACHE_MARK;
use crate::wire::json::{self, Field, says_nothing};
use crate::wire::part_types::{Holds, PartType, part_type};

/// Stands in a result of which nothing is left but what follows it.
const MOVED: &str = r#""It follows.""#;

impl<'a> History<'a> {
    /// The content of a message, its parts as the recipient takes them.
    ///
    /// # Errors
    /// A 400 with `param` for a part that the provider's API cannot carry.
    pub fn content(
        &self,
        content: &'a RawValue,
        context: &MessageContext,
        aside: &mut Aside<'a, '_>,
    ) -> Result<Cow<'a, str>, Error> {
        if !content.get().starts_with('[') || says_nothing(content) {
            return Ok(Cow::Borrowed(content.get()));
        }
        let moved = aside.behind_results.len();
        let parts = list(content, |item| self.part(&item, context, aside))?;
        let has_moved = aside.behind_results.len() > moved;
        let Some(parts) = parts else {
            return Ok(Cow::Owned(if has_moved { MOVED } else { r#""""# }.to_owned()));
        };
        let becomes_text = context.role == Role::Function;
        Ok(Some(&parts).filter(|_| becomes_text).and_then(|parts| older_form::text(parts)).map_or(parts, Cow::Owned))
    }

    fn part(
        &self,
        item: &ListItem<'a>,
        context: &MessageContext,
        aside: &mut Aside<'a, '_>,
    ) -> Result<Option<Cow<'a, str>>, Error> {
        let raw = item.raw.get();
        let known = &self.recipient.provider.part_fields;
        let Some(OpenedObject { fields, mut edit }) = ObjectEdit::open(item.raw) else {
            return Ok(Some(Cow::Borrowed(raw)));
        };
        let kind = json::field(&fields, "type").and_then(json::text);
        let kind = kind.unwrap_or_default();
        let of = part_type(&kind);
        let takes = |of: &PartType| of.is_published || known.allow(of.name);
        let Some(&PartType { name: kind, path: own_path, holds, .. }) = of.filter(|of| takes(of)) else {
            if known.allow(&kind) {
                // What else belongs to it nobody here knows.
                for field in &fields {
                    match field.name.as_ref() {
                        "cache_control" | CACHE_MARK => self.part_member(field, &mut edit, aside),
                        _ => edit.keep(field),
                    }
                }
                return Ok(Some(edit.finish()));
            }
            if let Some(PartType { holds: Holds::Thoughts, path, .. }) = of {
                aside.dropped.note(path);
                return Ok(None);
            }
            // The plan has nobody who does not take a part; whoever puts a request to one without a plan is told here.
            let param = format!("messages[{}].content[{}].type", context.position, item.position);
            let message = format!("`{param}` is a kind of part that the serving model's API does not have.");
            return Err(Error::new(Kind::InvalidRequest, message).with_param(param));
        };
        let is_of_results = context.role.is_of_results();
        let becomes_text = holds == Holds::Refusal && (is_of_results || self.recipient.lacks("messages.refusal"));
        let is_media = matches!(holds, Holds::Media(_));
        for field in &fields {
            let name = field.name.as_ref();
            match name {
                _ if json::is_null(field.value) => edit.leave(),
                "type" if becomes_text => edit.add("type", r#""text""#.to_owned()),
                "refusal" if becomes_text => edit.add("text", field.value.get().to_owned()),
                "type" => edit.keep(field),
                name if name == kind && !is_media => edit.keep(field),
                name if name == kind => edit.put(field, aside.pruned(own_path, field.value, known)),
                _ => self.part_member(field, &mut edit, aside),
            }
        }
        let part = edit.finish();
        if is_of_results && is_media && !known.allow(&format!("tool.{kind}")) {
            aside.dropped.note(own_path);
            aside.behind_results.push(part);
            return Ok(None);
        }
        Ok(Some(part))
    }

    /// What a part has beside its type and what it is.
    fn part_member(&self, field: &Field<'a>, edit: &mut ObjectEdit<'a>, aside: &mut Aside<'a, '_>) {
        let known = &self.recipient.provider.part_fields;
        let path = format!("messages.content.{}", field.name);
        match field.name.as_ref() {
            _ if json::is_null(field.value) => edit.leave(),
            CACHE_MARK if self.recipient.takes_cache_marks() => {
                edit.put(field, aside.pruned(&path, field.value, known));
            }
            name if known.allow(name) => edit.keep(field),
            _ => edit.lose(field, format_args!("{path}"), aside.dropped),
        }
    }
}
