// Anthropic's own Node SDK, wherever it is pointed at.

import assert from 'node:assert/strict';

import Anthropic from '@anthropic-ai/sdk';
import { betaZodTool } from '@anthropic-ai/sdk/helpers/beta/zod';
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod';
import { z } from 'zod';

import { everywhere } from './places.mjs';
import { user } from './world.mjs';

const weather = {
  name: 'get_weather',
  description: 'The weather of the next days',
  input_schema: {
    type: 'object',
    properties: { city: { type: 'string' }, days: { type: 'integer' } },
    required: ['city', 'days'],
  },
};
const Recipe = z.object({ title: z.string(), steps: z.array(z.string()) });

const connect = ({ place, wire }, options) =>
  new Anthropic({ baseURL: place.url, apiKey: place.key, authToken: null, maxRetries: 0, fetch: wire.fetch, ...options });

const ask = ({ place, prompt }, fields) => ({
  model: place.model,
  max_tokens: 4096,
  messages: user(prompt),
  ...fields,
});

const textOf = (message) => message.content.filter((block) => block.type === 'text').map((block) => block.text).join('');

// The answer to a request, as the SDK puts it together.
const final = (client, fields, isStreamed) =>
  isStreamed ? client.messages.stream(fields).finalMessage() : client.messages.create(fields);

everywhere('a question is answered', async (context) => {
  const message = await connect(context).messages.create(ask(context, { system: 'Be brief.' }));
  assert(textOf(message).includes(context.prompt));
  assert.deepEqual([message.type, message.role, message.stop_reason], ['message', 'assistant', 'end_turn']);
  assert(message.usage.input_tokens > 0 && message.usage.output_tokens > 0);
  assert.equal(message._request_id, context.wire.exchange.response.headers.get('request-id'));
});

everywhere('a token is taken as well as a key', async (context) => {
  const client = connect(context, { apiKey: null, authToken: context.place.key });
  assert(textOf(await client.messages.create(ask(context))).includes(context.prompt));
});

everywhere('the stream helper gathers the answer', async (context) => {
  const stream = connect(context).messages.stream(ask(context));
  const deltas = [];
  stream.on('text', (delta) => deltas.push(delta));
  const message = await stream.finalMessage();
  assert(deltas.length > 3);
  assert.equal(deltas.join(''), textOf(message));
  assert(textOf(message).includes(context.prompt));
  assert(message.usage.output_tokens > 0);
});

for (const isStreamed of [false, true]) {
  everywhere(`tools are called in a loop, ${isStreamed ? 'streamed' : 'whole'}`, async (context) => {
    const client = connect(context);
    const messages = user(`${context.prompt} Ask get_weather twice.`);
    const message = await final(client, ask(context, { messages, tools: [weather] }), isStreamed);
    assert.equal(message.stop_reason, 'tool_use');
    const calls = message.content.filter((block) => block.type === 'tool_use');
    assert.equal(new Set(calls.map((call) => call.id)).size, 2);
    for (const call of calls) assert.deepEqual(Object.keys(call.input).sort(), ['city', 'days']);
    const results = calls.map(({ id }) => ({ type: 'tool_result', tool_use_id: id, content: 'sunny, 21 degrees' }));
    messages.push({ role: 'assistant', content: message.content }, { role: 'user', content: results });
    const answer = await final(client, ask(context, { messages, tools: [weather] }), isStreamed);
    assert.match(textOf(answer), /sunny, 21 degrees/);
  });

  everywhere(`the tool runner runs tools, ${isStreamed ? 'streamed' : 'whole'}`, async (context) => {
    const asked = [];
    const tool = betaZodTool({
      name: 'get_weather',
      description: weather.description,
      inputSchema: z.object({ city: z.string(), days: z.number() }),
      run: async (input) => {
        asked.push(input);
        return 'sunny, 21 degrees';
      },
    });
    const messages = user(`${context.prompt} Ask get_weather.`);
    const fields = ask(context, { messages, tools: [tool], stream: isStreamed });
    const runner = connect(context).beta.messages.toolRunner(fields);
    assert.match(textOf(await runner.runUntilDone()), /sunny, 21 degrees/);
    assert.equal(asked.length, 1);
    // It asks the server to hold the conversation, and sends all of it where that is refused.
    const { body } = (await context.requests(context.place.provider)).at(-1);
    assert(JSON.stringify(body).includes('sunny, 21 degrees') && !('thread' in body));
  });
}

everywhere('an answer is parsed by its schema', async (context) => {
  const fields = ask(context, { output_config: { format: zodOutputFormat(Recipe) } });
  Recipe.parse((await connect(context).messages.parse(fields)).parsed_output);
});

everywhere('tokens are counted', async (context) => {
  const { max_tokens, ...fields } = ask(context);
  const client = connect(context);
  const few = await client.messages.countTokens(fields);
  const more = await client.messages.countTokens({ ...fields, system: context.prompt.repeat(50), tools: [weather] });
  assert(0 < few.input_tokens && few.input_tokens < more.input_tokens);
});

everywhere('models are listed', async (context) => {
  const models = await Array.fromAsync(connect(context).models.list());
  assert(models.length > 0);
  for (const model of models) assert(model.type === 'model' && model.id && model.display_name);
});

for (const [words, errorClass] of [
  ['context-length', Anthropic.BadRequestError],
  ['status=429', Anthropic.RateLimitError],
  ['status=529', Anthropic.InternalServerError],
]) {
  everywhere(`an error by ${words} is raised`, async (context) => {
    await context.healthy();
    await context.fault(context.place.provider, `${words} x2`);
    for (const isStreamed of [false, true]) {
      await assert.rejects(final(connect(context), ask(context), isStreamed), (error) => {
        assert(error instanceof errorClass, error);
        assert(words !== 'context-length' || error.message.includes('prompt is too long'), error.message);
        return true;
      });
      await context.healthy();
    }
  });
}

everywhere('a wrong key is refused', async (context) => {
  const asking = connect(context, { apiKey: 'sk-wrong' }).messages.create(ask(context));
  await assert.rejects(asking, Anthropic.AuthenticationError);
});

for (const [name, call] of [
  ['batches', (client) => client.messages.batches.list()],
  ['a batch', (client) => client.messages.batches.retrieve('msgbatch_1')],
  ['files', (client) => client.beta.files.list()],
]) {
  everywhere(`${name} are not found`, async (context) => {
    await assert.rejects(call(connect(context)), (error) => {
      assert(error instanceof Anthropic.NotFoundError, error);
      assert.equal(error.error.error.type, 'not_found_error');
      return true;
    });
  });
}

everywhere('a stream that is aborted frees the provider', async (context) => {
  const { provider } = context.place;
  await context.fault(provider, 'events=1000 gap=50ms');
  const gone = await context.gone(provider);
  const stream = connect(context).messages.stream(ask(context));
  const ending = assert.rejects(stream.done(), Anthropic.APIUserAbortError);
  await new Promise((resolve) => stream.once('text', resolve));
  stream.abort();
  await context.untilGone(provider, gone + 1, 2_000);
  await ending;
});

everywhere('a failure is retried', async (context) => {
  await context.healthy();
  await context.fault(context.place.provider, 'status=529 x2');
  const message = await connect(context, { maxRetries: 4 }).messages.create(ask(context));
  assert(textOf(message).includes(context.prompt));
  assert.equal((await context.requests(context.place.provider)).length, 3);
});

for (const words of ['error-event=3', 'cut=3', 'truncate=3']) {
  everywhere(`a stream broken by ${words} raises`, async (context) => {
    await context.healthy();
    await context.fault(context.place.provider, words);
    const said = [];
    const stream = connect(context).messages.stream(ask(context));
    stream.on('text', (delta) => said.push(delta));
    await assert.rejects(stream.finalMessage());
    assert(said.length > 0, 'what came before the break is delivered');
  });
}
