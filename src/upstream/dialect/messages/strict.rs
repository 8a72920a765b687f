//! Which tools stay strict: the Messages API has limits on all strict schemas of a request together.
//!
//! Where there are too many, the costliest lose `strict` first, the last of those that cost the same. A tool that is not strict
//! keeps the client's own schema.

use super::schema::{Budget, Costs, Heading, Sanitised, sanitise};
use super::wire::Tool;
use crate::policy::Model;
use crate::upstream::dialect::dropped::Dropped;
use crate::wire::json::Json;

/// The limits that the API documents.
const MAX_STRICT_TOOLS: usize = 20;
pub const MAX_COSTS: Costs = Costs { optional: 24, unions: 16 };

/// What `x-route-dropped` says of a tool that is not as strict as the client asked for.
const NAME: &str = "tools.strict";

/// Gives the tools that are to be strict their schemas, as far as the limits go; `taken` is what the answer's form costs.
pub fn settle(tools: &mut [Tool<'_>], model: &Model, taken: Costs, dropped: &mut Dropped) {
    let mut budget = Budget::default();
    let mut strict: Vec<(usize, Sanitised)> = Vec::new();
    for (at, tool) in tools.iter_mut().enumerate().filter(|(_, tool)| tool.strict) {
        let schema = Some(tool.input_schema.get()).filter(|_| model.json_schema);
        match schema.and_then(|schema| sanitise(schema, Heading::default(), &mut budget)) {
            Some(sanitised) => strict.push((at, sanitised)),
            None => {
                dropped.note(NAME);
                tool.strict = false;
            }
        }
    }
    loop {
        let costs = strict.iter().fold(taken, |sum, (_, sanitised)| sum.plus(sanitised.costs));
        let weight: fn(Costs) -> usize = match costs {
            Costs { optional, .. } if optional > MAX_COSTS.optional => |costs| costs.optional,
            Costs { unions, .. } if unions > MAX_COSTS.unions => |costs| costs.unions,
            Costs { .. } if strict.len() > MAX_STRICT_TOOLS => |costs| costs.optional + costs.unions,
            Costs { .. } => break,
        };
        let costliest = strict.iter().enumerate().max_by_key(|(_, (_, sanitised))| weight(sanitised.costs));
        let Some((place, _)) = costliest else { break };
        let (at, _) = strict.remove(place);
        tools[at].strict = false;
        dropped.note(NAME);
    }
    for (at, Sanitised { schema, weakened, .. }) in strict {
        if weakened {
            dropped.note(NAME);
        }
        tools[at].input_schema = Json::Owned(schema);
    }
}
