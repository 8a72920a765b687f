// What the tests of OpenAI's Node SDK share.

import OpenAI from 'openai';

import { world } from './world.mjs';

// A client with the key of `who`, or with `who` itself as its key.
export const connect = (wire, who = 'app', options = {}) =>
  new OpenAI({
    baseURL: world.base_url,
    apiKey: world.keys[who] ?? who,
    fetch: wire.fetch,
    timeout: 30_000,
    maxRetries: 0,
    ...options,
  });

export const weather = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'The weather in a city',
    parameters: {
      type: 'object',
      properties: { city: { type: 'string' }, days: { type: 'integer' } },
      required: ['city', 'days'],
      additionalProperties: false,
    },
  },
};
