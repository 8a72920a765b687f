// The AI SDK's provider for Anthropic's API, wherever it is pointed at.

import assert from 'node:assert/strict';

import { createAnthropic } from '@ai-sdk/anthropic';
import { Output, generateText, isStepCount, streamText } from 'ai';

import { partsOf, place as weatherPlace, recipe, weather } from './ai-sdk.mjs';
import { everywhere } from './places.mjs';

const modelOf = ({ place, wire }) =>
  createAnthropic({ baseURL: `${place.url}/v1`, apiKey: place.key, fetch: wire.fetch })(place.model);

everywhere('text is generated', async (context) => {
  const result = await generateText({ model: modelOf(context), prompt: context.prompt, system: 'Be brief.' });
  assert(result.text.includes(context.prompt));
  assert.equal(result.finishReason, 'stop');
  assert(result.usage.totalTokens > 0);
});

everywhere('text is streamed', async (context) => {
  const result = streamText({ model: modelOf(context), prompt: context.prompt });
  const parts = await partsOf(result);
  assert(parts.filter((part) => part.type === 'text-delta').length > 3);
  assert((await result.text).includes(context.prompt));
  assert.equal(await result.finishReason, 'stop');
  assert((await result.usage).outputTokens > 0);
});

everywhere('tools are called in a loop', async (context) => {
  const asked = [];
  const question = {
    model: modelOf(context),
    prompt: `${context.prompt} Ask get_weather twice.`,
    tools: weather(asked),
    stopWhen: isStepCount(3),
  };
  const result = await generateText(question);
  assert.match(result.text, /sunny, 21 degrees/);
  assert.equal(result.steps.length, 2);
  assert.match(await streamText(question).text, /sunny, 21 degrees/);
  assert.equal(asked.length, 4);
  asked.forEach((input) => weatherPlace.parse(input));
});

everywhere('an answer follows a schema', async (context) => {
  const question = { model: modelOf(context), output: Output.object({ schema: recipe }), prompt: context.prompt };
  recipe.parse((await generateText(question)).output);
});

everywhere('a broken stream is an error', async (context) => {
  await context.healthy();
  await context.fault(context.place.provider, 'error-event=3');
  const asked = { model: modelOf(context), prompt: context.prompt, maxRetries: 0, onError: () => {} };
  const parts = [];
  try {
    for await (const part of streamText(asked).fullStream) parts.push(part.type);
  } catch {
    // It depends on the SDK's version whether the error is thrown as well.
  }
  assert(parts.includes('error'), `${parts}`);
  assert(parts.includes('text-delta'));
});
