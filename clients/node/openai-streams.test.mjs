// OpenAI's Node SDK: streamed answers, and that a broken one is never taken for a whole one.

import assert from 'node:assert/strict';

import OpenAI from 'openai';

import { check, user } from './world.mjs';
import { connect, weather } from './openai.mjs';

const textOf = (chunks) => chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.delta.content ?? '')).join('');

const stream = (client, fields, options) =>
  client.chat.completions.create({ model: 'fast', stream: true, ...fields }, options);

check('a stream is whole', async ({ prompt, wire }) => {
  const chunks = await Array.fromAsync(await stream(connect(wire), { messages: user(prompt) }));
  assert(textOf(chunks).includes(prompt));
  const reasons = chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.finish_reason)).filter(Boolean);
  assert.deepEqual(reasons, ['stop']);
  assert(chunks.every((chunk) => chunk.choices.length > 0 && !chunk.usage), 'usage was not asked for');
  assert.equal(wire.lastEvent, '[DONE]');
});

check('usage comes if asked for', async ({ prompt, wire }) => {
  const fields = { messages: user(prompt), stream_options: { include_usage: true } };
  const chunks = await Array.fromAsync(await stream(connect(wire), fields));
  const last = chunks.at(-1);
  assert.deepEqual(last.choices, []);
  assert(last.usage.total_tokens > 0);
});

check('the stream helper gathers the answer', async ({ prompt, wire }) => {
  const runner = connect(wire).chat.completions.stream({ model: 'fast', messages: user(prompt) });
  const deltas = [];
  runner.on('content', (delta) => deltas.push(delta));
  const answer = await runner.finalChatCompletion();
  assert.equal(deltas.join(''), answer.choices[0].message.content);
  assert.equal(answer.choices[0].finish_reason, 'stop');
});

check('streamed calls come in pieces that fit', async ({ prompt, wire }) => {
  const messages = user(`${prompt} Ask get_weather twice.`);
  const chunks = await Array.fromAsync(await stream(connect(wire), { messages, tools: [weather] }));
  const deltas = chunks.flatMap((chunk) => chunk.choices[0].delta.tool_calls ?? []);
  for (const index of [0, 1]) {
    const [first, ...rest] = deltas.filter((delta) => delta.index === index);
    assert.equal(first.function.name, 'get_weather');
    assert(first.id && rest.every((delta) => !delta.id && !delta.function.name), 'id and name come once');
    JSON.parse([first, ...rest].map((delta) => delta.function.arguments).join(''));
  }
  assert.equal(chunks.at(-1).choices[0].finish_reason, 'tool_calls');
});

check('the stream helper gathers calls', async ({ prompt, wire }) => {
  const messages = user(`${prompt} Ask get_weather twice.`);
  const runner = connect(wire).chat.completions.stream({ model: 'fast', messages, tools: [weather] });
  const { message } = (await runner.finalChatCompletion()).choices[0];
  assert.equal(message.tool_calls.length, 2);
  for (const call of message.tool_calls) JSON.parse(call.function.arguments);
});

check('pieces are not held back', async ({ prompt, wire, fault }) => {
  await fault('openai', 'stall=2 events=9');
  let found = '';
  for await (const chunk of await stream(connect(wire), { messages: user(prompt) })) {
    found += textOf([chunk]);
    if (found === 'piece1 piece2 ') break;
  }
  assert.equal(found, 'piece1 piece2 ');
});

check('a client may leave', async ({ prompt, wire, fault, logLine }) => {
  await fault('openai', 'events=1000 gap=10ms');
  for await (const _ of await stream(connect(wire), { messages: user(prompt) })) break;
  assert.equal((await logLine(wire.exchange)).client_closed, true);
});

for (const words of ['cut=3', 'error-event=3', 'no-finish']) {
  check(`a stream broken by ${words} raises`, async ({ prompt, wire, fault, logLine }) => {
    await fault('openai', words);
    const chunks = [];
    await assert.rejects(
      async () => {
        for await (const chunk of await stream(connect(wire, 'app', { maxRetries: 2 }), { messages: user(prompt) })) {
          chunks.push(chunk);
        }
      },
      (error) => error instanceof OpenAI.APIError && error.code === 'stream_broken',
    );
    assert(textOf(chunks), 'what came before the break is delivered');
    assert.equal((await logLine(wire.exchange))['error.type'], 'stream_broken');
  });

  check(`the stream helper raises for ${words}`, async ({ prompt, wire, fault }) => {
    await fault('openai', words);
    const runner = connect(wire).chat.completions.stream({ model: 'fast', messages: user(prompt) });
    await assert.rejects(runner.finalChatCompletion(), OpenAI.OpenAIError);
  });
}

check('a missing end marker is made up for', async ({ prompt, wire, fault }) => {
  await fault('openai', 'no-done');
  const chunks = await Array.fromAsync(await stream(connect(wire), { messages: user(prompt) }));
  assert(textOf(chunks).includes(prompt));
  assert.equal(wire.lastEvent, '[DONE]');
});

for (const words of ['status=503', 'close x2', 'garbage', 'error-200', 'cut=0', 'error-event=0']) {
  check(`a first candidate that fails by ${words} does not show`, async ({ prompt, wire, fault, requests, healthy }) => {
    await healthy();
    await fault('openai', words);
    const options = { headers: { 'x-route-tier': 'quality' } };
    const chunks = await Array.fromAsync(await stream(connect(wire), { messages: user(prompt) }, options));
    assert(textOf(chunks).startsWith('google/gemini-3.8-flash'));
    assert.match(wire.exchange.response.headers.get('x-route-attempts'), /,google\/gemini-3.8-flash:200$/);
    // A connection that was closed before the request came is tried once more, unless another is under way.
    const received = (await requests('openai')).length;
    assert(received === 1 || (received === 2 && words.endsWith(' x2')), `${received} requests`);
  });
}
