// OpenAI's Node SDK with models of the Messages API: it cannot tell the answers.

import assert from 'node:assert/strict';

import OpenAI from 'openai';
import { LengthFinishReasonError } from 'openai/core/error';
import { zodFunction, zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';

import { check, user } from './world.mjs';
import { connect, weather } from './openai.mjs';

const MODELS = ['claude', 'claude-thinking', 'claude-aloud'];

const Recipe = z.object({ title: z.string().min(1), steps: z.array(z.object({ text: z.string(), number: z.number() })) });

const ask = (wire, fields, options) =>
  connect(wire, 'free').chat.completions.create({ model: 'claude', ...fields }, options);

// The only choice: of a whole answer, or as the SDK puts a streamed one together.
const choiceOf = async (wire, stream, fields) => {
  const { completions } = connect(wire, 'free').chat;
  const answer = await (stream ? completions.stream(fields).finalChatCompletion() : completions.create(fields));
  return answer.choices[0];
};

const textOf = (chunks) => chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.delta.content ?? '')).join('');

check('a question is answered', async ({ prompt, wire, requests }) => {
  const fields = { messages: [{ role: 'system', content: 'Be brief.' }, ...user(prompt)], seed: 1, temperature: 0.2 };
  const answer = await ask(wire, fields);
  assert(answer.choices[0].message.content.includes(prompt));
  assert.deepEqual([answer.choices[0].finish_reason, answer.model], ['stop', 'claude-haiku-5-5']);
  assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
  const { headers } = wire.exchange.response;
  assert.deepEqual(headers.get('x-route-dropped').split(',').sort(), ['seed', 'temperature']);
  const [request] = await requests('anthropic');
  assert.deepEqual(request.body.system, [{ type: 'text', text: 'Be brief.' }]);
});

check('an image is seen', async ({ prompt, wire, requests }) => {
  const image = { type: 'image_url', image_url: { url: 'data:image/png;base64,iVBORw0KGgo=' } };
  const answer = await ask(wire, { messages: user([{ type: 'text', text: prompt }, image]) });
  assert(answer.choices[0].message.content.includes(prompt));
  const [request] = await requests('anthropic');
  assert.equal(request.body.messages[0].content[1].source.media_type, 'image/png');
});

for (const model of MODELS) {
  check(`${model} streams a whole answer, with its usage`, async ({ prompt, wire }) => {
    const fields = { model, messages: user(prompt), stream: true, stream_options: { include_usage: true } };
    const chunks = await Array.fromAsync(await ask(wire, fields));
    assert(textOf(chunks).includes(prompt));
    const reasons = chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.finish_reason)).filter(Boolean);
    assert.deepEqual(reasons, ['stop']);
    const { choices, usage } = chunks.at(-1);
    assert.deepEqual(choices, []);
    assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
    assert(usage.completion_tokens_details.reasoning_tokens > 0);
    assert.equal(wire.lastEvent, '[DONE]');
    const thought = chunks.map((chunk) => chunk.choices[0]?.delta.reasoning_content ?? '').join('');
    assert.equal(thought.includes('let me think'), model === 'claude-aloud');
  });

  for (const stream of [false, true]) {
    const how = `${model} ${stream ? 'streams' : 'makes'}`;
    check(`${how} calls in a loop`, async ({ prompt, wire, requests }) => {
      const messages = user(`${prompt} Ask get_weather twice.`);
      const { message, finish_reason } = await choiceOf(wire, stream, { model, messages, tools: [weather] });
      assert.equal(finish_reason, 'tool_calls');
      assert.equal(new Set(message.tool_calls.map((call) => call.id)).size, 2);
      for (const call of message.tool_calls) {
        assert.deepEqual(Object.keys(JSON.parse(call.function.arguments)).sort(), ['city', 'days']);
      }
      messages.push(message);
      message.tool_calls.forEach(({ id }, number) =>
        messages.push({ role: 'tool', tool_call_id: id, content: `sunny, ${21 + number} degrees` }),
      );
      const answer = await choiceOf(wire, stream, { model, messages, tools: [weather] });
      assert.match(answer.message.content, /21 degrees.*22 degrees/);
      const [, second] = await requests('anthropic');
      assert.equal(second.body.messages.at(-1).content.length, 2, 'one turn holds both results');
    });

    check(`${how} calls for the tool runner`, async ({ prompt, wire, requests }) => {
      const asked = [];
      const run = (place) => {
        asked.push(Object.keys(place).sort());
        return 'sunny, 21 degrees';
      };
      const tool = { ...weather, function: { ...weather.function, parse: JSON.parse, function: run } };
      const messages = user(`${prompt} Ask get_weather twice.`);
      const runner = connect(wire, 'free').chat.completions.runTools({ model, messages, tools: [tool], stream });
      assert.match(await runner.finalContent(), /sunny, 21 degrees/);
      assert.deepEqual(asked, [['city', 'days'], ['city', 'days']]);
      assert.equal((await requests('anthropic')).length, 2);
      assert((await runner.totalUsage()).total_tokens > 0 || stream, 'usage of a stream is sent only if asked for');
    });
  }

  check(`${model} answers by a schema`, async ({ prompt, wire }) => {
    const fields = { model, messages: user(prompt), response_format: zodResponseFormat(Recipe, 'recipe') };
    const { completions } = connect(wire, 'free').chat;
    Recipe.parse((await completions.parse(fields)).choices[0].message.parsed);
    Recipe.parse((await completions.stream(fields).finalChatCompletion()).choices[0].message.parsed);
  });
}

check('the stream helper gathers the answer', async ({ prompt, wire, fault }) => {
  await fault('anthropic', 'text="one two three" noise=1');
  const runner = connect(wire, 'free').chat.completions.stream({ model: 'claude', messages: user(prompt) });
  const deltas = [];
  runner.on('content', (delta) => deltas.push(delta));
  assert.equal((await runner.finalChatCompletion()).choices[0].message.content, 'one two three');
  assert.deepEqual(deltas, ['one ', 'two ', 'three']);
});

check('a call is parsed by its schema', async ({ prompt, wire }) => {
  const parameters = z.object({ city: z.string(), days: z.number() });
  const answer = await connect(wire, 'free').chat.completions.parse({
    model: 'claude',
    messages: user(`${prompt} And what does get_weather say?`),
    tools: [zodFunction({ name: 'get_weather', parameters })],
  });
  parameters.parse(answer.choices[0].message.tool_calls[0].function.parsed_arguments);
});

check('a cut answer is not parsed', async ({ prompt, wire }) => {
  const response_format = zodResponseFormat(Recipe, 'recipe');
  const fields = { model: 'claude', messages: user(prompt), response_format, max_completion_tokens: 10 };
  await assert.rejects(connect(wire, 'free').chat.completions.parse(fields), LengthFinishReasonError);
});

for (const tool_choice of ['required', { type: 'function', function: { name: 'get_weather' } }]) {
  const kind = typeof tool_choice === 'string' ? tool_choice : tool_choice.type;
  check(`a call is forced by ${kind}`, async ({ prompt, wire, requests }) => {
    const answer = await ask(wire, { messages: user(prompt), tools: [weather], tool_choice });
    assert.equal(answer.choices[0].message.tool_calls[0].function.name, 'get_weather');
    assert.equal(wire.exchange.response.headers.get('x-route-dropped'), null);
    assert.equal((await requests('anthropic'))[0].body.tool_choice.type, kind === 'required' ? 'any' : 'tool');
  });

  check(`a model that cannot be forced is told so by ${kind} in words`, async ({ prompt, wire, requests }) => {
    const messages = user(`${prompt} And what does get_weather say?`);
    await ask(wire, { model: 'claude-thinking', messages, tools: [weather], tool_choice });
    const { headers } = wire.exchange.response;
    assert.equal(headers.get('x-route-dropped'), 'tool_choice');
    assert.equal(headers.get('x-route-reason'), 'forced_tools_weaker');
    assert.deepEqual((await requests('anthropic'))[0].body.tool_choice, { type: 'auto' });
  });
}

for (const [fields, param] of [
  [{ n: 2 }, 'n'],
  // No model here takes audio.
  [{ messages: user([{ type: 'input_audio', input_audio: { data: 'AAAA', format: 'wav' } }]) }, null],
]) {
  check(`a 400 names ${param}`, async ({ prompt, wire, requests }) => {
    const asking = ask(wire, { messages: user(prompt), ...fields }, { maxRetries: 2 });
    await assert.rejects(asking, (error) => error instanceof OpenAI.BadRequestError && error.param === param);
    assert.equal(wire.exchanges.length, 1);
    assert.deepEqual(await requests('anthropic'), []);
  });
}

for (const [words, status, errorClass] of [
  ['status=429', 429, OpenAI.RateLimitError],
  ['status=529', 502, OpenAI.InternalServerError],
  ['context-length', 400, OpenAI.BadRequestError],
]) {
  check(`a provider's failure by ${words} is mapped`, async ({ prompt, wire, fault }) => {
    await fault('anthropic', words);
    const asking = ask(wire, { messages: user(prompt) });
    await assert.rejects(asking, (error) => error instanceof errorClass && error.status === status);
  });
}

for (const [model, failing, words, serving] of [
  ['claude-or-gpt', 'anthropic', 'status=529', 'openai/gpt-6-luna'],
  ['claude-or-gpt', 'anthropic', 'status=429', 'openai/gpt-6-luna'],
  ['claude-or-gpt', 'anthropic', 'error-event=0', 'openai/gpt-6-luna'],
  ['gpt-or-claude', 'openai', 'cut=0', 'anthropic/claude-opus-5-5'],
]) {
  check(`${serving} makes up for ${words}`, async ({ prompt, wire, fault, healthy }) => {
    await healthy();
    await fault(failing, words);
    const chunks = await Array.fromAsync(await ask(wire, { model, messages: user(prompt), stream: true }));
    assert(textOf(chunks).startsWith(serving));
    assert(wire.exchange.response.headers.get('x-route-attempts').endsWith(`,${serving}:200`));
  });
}

for (const words of ['cut=3', 'error-event=3', 'no-finish']) {
  check(`a stream broken by ${words} raises`, async ({ prompt, wire, fault }) => {
    await fault('anthropic', words);
    const chunks = [];
    const reading = async () => {
      for await (const chunk of await ask(wire, { messages: user(prompt), stream: true })) chunks.push(chunk);
    };
    await assert.rejects(reading, (error) => error instanceof OpenAI.APIError && error.code === 'stream_broken');
    assert(textOf(chunks), 'what came before the break is delivered');
    assert.equal(wire.exchanges.length, 1);
  });
}
