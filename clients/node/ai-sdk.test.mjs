// The Vercel AI SDK with its provider for OpenAI-compatible APIs.

import assert from 'node:assert/strict';

import { APICallError, Output, generateObject, generateText, isStepCount, streamObject, streamText } from 'ai';

import { partsOf, place, provider, recipe, weather } from './ai-sdk.mjs';
import { check } from './world.mjs';

check('text is generated', async ({ prompt, wire }) => {
  const result = await generateText({ model: provider(wire)('fast'), prompt });
  assert(result.text.includes(prompt));
  assert.equal(result.finishReason, 'stop');
  assert(result.usage.totalTokens > 0);
  assert.equal(result.response.modelId, 'gpt-6-luna');
  assert.equal(result.response.headers['x-route-tier'], 'fast');
});

check('the classifier decides on what names no tier', async ({ prompt, wire }) => {
  await generateText({ model: provider(wire)('gpt-4o'), prompt: `${prompt} Prove it.` });
  assert.equal(wire.exchange.response.headers.get('x-route-source'), 'classifier');
  assert.equal(wire.exchange.response.headers.get('x-route-tier'), 'reasoning');
});

check('text is streamed', async ({ prompt, wire }) => {
  const result = streamText({ model: provider(wire)('fast'), prompt });
  const text = (await Array.fromAsync(result.textStream)).join('');
  assert(text.includes(prompt));
  assert.equal(await result.finishReason, 'stop');
  assert((await result.usage).outputTokens > 0);
  assert.equal(wire.lastEvent, '[DONE]');
});

check('tools are called in a loop', async ({ prompt, wire, requests }) => {
  const asked = [];
  const question = { prompt: `${prompt} And what does get_weather say?`, tools: weather(asked) };
  const result = await generateText({ model: provider(wire)('fast'), ...question, stopWhen: isStepCount(3) });
  assert.match(result.text, /sunny, 21 degrees/);
  place.parse(asked[0]);
  assert.equal(result.steps.length, 2);
  assert.equal((await requests('openai')).length, 2);
});

check('tools are called in a streamed loop', async ({ prompt, wire }) => {
  const asked = [];
  const question = { prompt: `${prompt} Ask get_weather twice.`, tools: weather(asked) };
  const result = streamText({ model: provider(wire)('fast'), ...question, stopWhen: isStepCount(3) });
  const parts = await partsOf(result);
  assert.equal(parts.filter((part) => part.type === 'tool-call').length, 2);
  assert.equal(asked.length, 2);
  assert.match(await result.text, /sunny, 21 degrees/);
});

check('an object is generated', async ({ prompt, wire, requests }) => {
  const { object } = await generateObject({ model: provider(wire)('fast'), schema: recipe, prompt });
  recipe.parse(object);
  const [request] = await requests('openai');
  assert.equal(request.body.response_format.type, 'json_schema');
});

check('an object is the output of generated text', async ({ prompt, wire }) => {
  const { output } = await generateText({
    model: provider(wire)('fast'),
    output: Output.object({ schema: recipe }),
    prompt,
  });
  recipe.parse(output);
});

check('an object is streamed', async ({ prompt, wire }) => {
  const result = streamObject({ model: provider(wire)('fast'), schema: recipe, prompt });
  const partial = await Array.fromAsync(result.partialObjectStream);
  recipe.parse(await result.object);
  assert(partial.length > 1);
});

for (const words of ['cut=3', 'error-event=3']) {
  check(`a stream broken by ${words} is an error`, async ({ prompt, wire, fault }) => {
    await fault('openai', words);
    const result = streamText({ model: provider(wire)('fast'), prompt, maxRetries: 0, onError: () => {} });
    // The error event is a part; then the aborted transfer ends the reading.
    const parts = [];
    await assert.rejects(async () => {
      for await (const part of result.fullStream) parts.push(part);
    });
    assert(parts.some((part) => part.type === 'text-delta'), 'what came before the break is delivered');
    assert.equal(parts.find((part) => part.type === 'error')?.error.code, 'stream_broken');
    assert(!parts.some((part) => part.type === 'finish' && part.finishReason === 'stop'));
    assert.equal(wire.exchanges.length, 1);
  });
}

check('a failing first candidate does not show', async ({ prompt, wire, fault, healthy }) => {
  await healthy();
  await fault('openai', 'cut=0');
  const model = provider(wire, 'app', { 'x-route-tier': 'quality' })('any');
  const result = streamText({ model, prompt, maxRetries: 0 });
  assert.match(await result.text, /^google\/gemini-3.8-flash/);
  assert.equal(wire.exchanges.length, 1);
});

for (const [who, model, statusCode, code] of [
  ['retired', 'fast', 401, 'invalid_api_key'],
  ['cheap', 'quality', 403, 'tier_not_allowed'],
]) {
  check(`a ${statusCode} is told and not retried`, async ({ prompt, wire }) => {
    const headers = model === 'fast' ? {} : { 'x-route-tier': model };
    const generating = generateText({ model: provider(wire, who, headers)(model), prompt });
    await assert.rejects(generating, (error) => {
      assert(APICallError.isInstance(error));
      assert.deepEqual([error.statusCode, error.data.error.code, error.isRetryable], [statusCode, code, false]);
      return true;
    });
    assert.equal(wire.exchanges.length, 1);
  });
}

check('it retries what may pass', async ({ prompt, wire, fault }) => {
  await fault('openai', 'status=503');
  const { text } = await generateText({ model: provider(wire)('fast'), prompt });
  assert(text.includes(prompt));
  assert.deepEqual(wire.exchanges.map((exchange) => exchange.response.status), [502, 200]);
});
