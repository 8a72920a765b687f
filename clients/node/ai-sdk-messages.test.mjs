// The Vercel AI SDK's provider for OpenAI-compatible APIs with models of the Messages API.

import assert from 'node:assert/strict';

import { APICallError, Output, generateText, isStepCount, streamObject, streamText } from 'ai';

import { partsOf, place, provider, recipe, weather } from './ai-sdk.mjs';
import { check } from './world.mjs';

for (const name of ['claude', 'claude-thinking', 'claude-aloud']) {
  check(`${name} generates text`, async ({ prompt, wire }) => {
    const result = await generateText({ model: provider(wire, 'free')(name), prompt });
    assert(result.text.includes(prompt));
    assert.equal(result.finishReason, 'stop');
    assert(result.usage.totalTokens > 0);
    assert.equal(result.reasoningText?.includes('let me think') ?? false, name === 'claude-aloud');
  });

  check(`${name} streams text`, async ({ prompt, wire }) => {
    const result = streamText({ model: provider(wire, 'free')(name), prompt });
    const parts = await partsOf(result);
    assert((await result.text).includes(prompt));
    assert.equal(await result.finishReason, 'stop');
    assert((await result.usage).outputTokens > 0);
    const thought = parts.filter((part) => part.type === 'reasoning-delta').map((part) => part.text).join('');
    assert.equal(thought.includes('let me think'), name === 'claude-aloud');
  });

  check(`${name} calls tools in a loop`, async ({ prompt, wire, requests }) => {
    const asked = [];
    const question = { prompt: `${prompt} Ask get_weather twice.`, tools: weather(asked), stopWhen: isStepCount(3) };
    const result = await generateText({ model: provider(wire, 'free')(name), ...question });
    assert.match(result.text, /sunny, 21 degrees/);
    assert.equal(result.steps.length, 2);
    const streamed = streamText({ model: provider(wire, 'free')(name), ...question });
    assert.match(await streamed.text, /sunny, 21 degrees/);
    assert.equal(asked.length, 4);
    asked.forEach((input) => place.parse(input));
    assert.equal((await requests('anthropic')).length, 4);
  });

  check(`${name} answers by a schema`, async ({ prompt, wire }) => {
    const model = provider(wire, 'free')(name);
    recipe.parse((await generateText({ model, output: Output.object({ schema: recipe }), prompt })).output);
    const streamed = streamObject({ model, schema: recipe, prompt });
    assert((await Array.fromAsync(streamed.partialObjectStream)).length > 1);
    recipe.parse(await streamed.object);
  });
}

check('a forced call is made', async ({ prompt, wire }) => {
  const question = { prompt, tools: weather([]), toolChoice: 'required' };
  const { toolCalls } = await generateText({ model: provider(wire, 'free')('claude'), ...question });
  assert.deepEqual(toolCalls.map((call) => call.toolName), ['get_weather']);
});

check('what cannot be carried is told and not retried', async ({ wire }) => {
  const audio = { type: 'file', data: new Uint8Array([1, 2, 3]), mediaType: 'audio/wav' };
  const messages = [{ role: 'user', content: [audio] }];
  await assert.rejects(generateText({ model: provider(wire, 'free')('claude'), messages }), (error) => {
    assert(APICallError.isInstance(error));
    assert.deepEqual([error.statusCode, error.isRetryable], [400, false]);
    // No model here takes audio, whoever would have to carry it.
    assert.equal(error.data.error.param, null);
    return true;
  });
  assert.equal(wire.exchanges.length, 1);
});

check('a stream broken by an overload is an error', async ({ prompt, wire, fault }) => {
  await fault('anthropic', 'error-event=3');
  const model = provider(wire, 'free')('claude');
  const result = streamText({ model, prompt, maxRetries: 0, onError: () => {} });
  const parts = [];
  await assert.rejects(async () => {
    for await (const part of result.fullStream) parts.push(part);
  });
  assert.equal(parts.find((part) => part.type === 'error')?.error.code, 'stream_broken');
  assert(!parts.some((part) => part.type === 'finish' && part.finishReason === 'stop'));
});

check('an overload before that does not show', async ({ prompt, wire, fault, healthy }) => {
  await healthy();
  await fault('anthropic', 'status=529');
  const result = streamText({ model: provider(wire, 'free')('claude-or-gpt'), prompt, maxRetries: 0 });
  assert.match(await result.text, /^openai\/gpt-6-luna/);
  assert.equal(wire.exchanges.length, 1);
});
