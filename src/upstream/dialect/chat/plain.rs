//! Messages of the user that say what everybody takes, found in one pass: they are most of a request's bytes where it holds
//! images or files, and opening them level by level would read these again and again.

use super::below::fields_at;
use crate::wire::part_types::{Holds, PartType, part_type};
use crate::wire::walk::Walk;

/// Whether a message holds nothing but its role and content, and that nothing but texts and media in the fields of the
/// published API: one that goes up as it came wherever these are taken. The text must be valid JSON.
pub fn is_plain(message: &str) -> bool {
    let mut walk = Walk::new(message);
    if !walk.pass(b'{') {
        return false;
    }
    while let Some(name) = walk.member() {
        let fits = match name.as_ref() {
            "role" => !walk.value().is_empty(),
            "content" => is_plain_content(&mut walk),
            _ => false,
        };
        if !fits {
            return false;
        }
    }
    true
}

fn is_plain_content(walk: &mut Walk<'_>) -> bool {
    if walk.peek() == Some(b'"') {
        return !walk.value().is_empty();
    }
    let mut has_parts = false;
    if walk.pass(b'[') {
        while walk.element() {
            if !is_plain_part(walk) {
                return false;
            }
            has_parts = true;
        }
    }
    has_parts
}

fn is_plain_part(walk: &mut Walk<'_>) -> bool {
    let (mut kind, mut held) = (None, None);
    if !walk.pass(b'{') {
        return false;
    }
    while let Some(name) = walk.member() {
        if name == "type" && kind.is_none() {
            kind = Some(walk.value());
            continue;
        }
        let known = part_type(&name).filter(|known| known.is_published && held.is_none());
        let Some(&PartType { name, path, holds, .. }) = known else { return false };
        held = Some(name);
        let fits = match holds {
            Holds::Text => walk.peek() == Some(b'"') && !walk.value().is_empty(),
            Holds::Media(_) => has_only(walk, fields_at(path).unwrap_or_default()),
            Holds::Refusal | Holds::Thoughts => false,
        };
        if !fits {
            return false;
        }
    }
    let is_kind = |name: &str| kind.and_then(|kind| kind.strip_prefix('"')?.strip_suffix('"')) == Some(name);
    held.is_some_and(is_kind)
}

/// Whether what comes next is an object that has no other fields.
fn has_only(walk: &mut Walk<'_>, fields: &[&str]) -> bool {
    if !walk.pass(b'{') {
        return false;
    }
    while let Some(name) = walk.member() {
        if !fields.contains(&name.as_ref()) || walk.value() == "null" {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_everybody_takes_is_plain() {
        for (expected, content) in [
            (true, r#""Hi""#),
            (true, r#" [ {"type" : "text", "text":"Hi \"]}"} ]"#),
            (false, r#"[{"text":"Hi","type":"text"},{"type":"image_url","image_url":{"url":"x","detail":null}}]"#),
            (true, r#"[{"type":"file","file":{"file_id":"f"}},{"type":"input_audio","input_audio":{"data":"A"}}]"#),
            (false, "null"),
            (false, "[]"),
            (false, "7"),
            (false, r#"["Hi"]"#),
            (false, r#"[{"type":"text"}]"#),
            (false, r#"[{"text":"Hi"}]"#),
            (false, r#"[{"type":"text","text":null}]"#),
            (false, r#"[{"type":"text","text":"Hi","text":"Ho"}]"#),
            (false, r#"[{"type":"text","text":"Hi","type":"image_url"}]"#),
            (false, r#"[{"type":"text","text":"Hi","cache_control":{}}]"#),
            (false, r#"[{"type":"text","image_url":{"url":"x"}}]"#),
            (false, r#"[{"type":"image_url","image_url":"x"}]"#),
            (false, r#"[{"type":"image_url","image_url":{"url":"x","format":"png"}}]"#),
            (false, r#"[{"type":"video_url","video_url":{"url":"x"}}]"#),
            (false, r#"[{"type":"refusal","refusal":"No"}]"#),
        ] {
            assert_eq!(is_plain(&format!(r#"{{"role":"user","content":{content}}}"#)), expected, "{content}");
        }
        for message in ["7", r#"{"role":"user","content":"Hi","name":"ada"}"#, r#"{"content":"Hi","index":0}"#] {
            assert!(!is_plain(message), "{message}");
        }
    }
}
