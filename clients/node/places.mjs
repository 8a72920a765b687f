// Where a client of the Messages API is pointed at: the simulated API itself, or the gateway with a candidate of each
// dialect. The same test holds everywhere.

import { MessagesWire } from './messages-wire.mjs';
import { check, world } from './world.mjs';

const gateway = (model, provider) => ({
  name: `gateway to ${model}`,
  isGateway: true,
  url: world.base_url.replace(/\/v1$/, ''),
  key: world.keys.free,
  model,
  provider,
});

const PLACES = [
  {
    name: 'API',
    isGateway: false,
    url: world.simulator_urls.anthropic,
    key: world.provider_keys.anthropic,
    model: 'claude-opus-5-5',
    provider: 'anthropic',
  },
  gateway('claude-opus-5-5', 'anthropic'),
  gateway('gpt-6-luna', 'openai'),
  gateway('gemini-3.8-flash', 'google'),
];

// One test at each place, which it finds in its context.
export const everywhere = (name, body) => {
  for (const place of PLACES) {
    check(`${name} (${place.name})`, (context) => body({ ...context, place }), new MessagesWire(world, place));
  }
};
