// What the tests of the AI SDK share.

import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { tool } from 'ai';
import { z } from 'zod';

import { world } from './world.mjs';

export const provider = (wire, who = 'app', headers = {}) =>
  createOpenAICompatible({
    name: 'tiergate',
    baseURL: world.base_url,
    apiKey: world.keys[who] ?? who,
    headers,
    fetch: wire.fetch,
    includeUsage: true,
    supportsStructuredOutputs: true,
  });

export const place = z.object({ city: z.string(), days: z.number() });
export const recipe = z.object({ title: z.string(), steps: z.array(z.string()) });

// A tool that notes what it was asked.
export const weather = (asked) => ({
  get_weather: tool({
    description: 'The weather in a city',
    inputSchema: place,
    execute: async (input) => {
      asked.push(input);
      return 'sunny, 21 degrees';
    },
  }),
});

// Everything that a stream says, in order.
export const partsOf = (result) => Array.fromAsync(result.fullStream);
