// OpenAI's Node SDK: whole answers, tools, structured answers, models.

import assert from 'node:assert/strict';

import OpenAI from 'openai';
import { LengthFinishReasonError } from 'openai/core/error';
import { zodFunction, zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';

import { check, user, world } from './world.mjs';
import { connect, weather } from './openai.mjs';

check('a question is answered', async ({ prompt, wire }) => {
  const answer = await connect(wire).chat.completions.create(
    { model: 'gpt-4o', messages: user(prompt) },
    { headers: { 'x-route-tier': 'fast' } },
  );
  assert(answer.choices[0].message.content.includes(prompt));
  assert.equal(answer.choices[0].finish_reason, 'stop');
  assert.equal(answer.model, 'gpt-6-luna', 'the body names the model that served');
  assert(answer.usage.total_tokens > 0);
});

check('the answer says how it was routed', async ({ prompt, wire }) => {
  const create = connect(wire).chat.completions.create({ model: 'fast', messages: user(prompt) });
  const { data, response } = await create.withResponse();
  assert.equal(data.model, 'gpt-6-luna');
  for (const [name, value] of Object.entries({
    'x-route-tier': 'fast',
    'x-route-source': 'model',
    'x-route-provider': 'openai',
    'x-route-model': 'gpt-6-luna',
    'x-route-attempts': 'openai/gpt-6-luna:200',
    'x-ratelimit-remaining-requests': '4999',
  })) {
    assert.equal(response.headers.get(name), value, name);
  }
  assert.match(response.headers.get('x-route-policy'), /^clients\.1@[0-9a-f]{8}$/);
  assert.match(response.headers.get('server-timing'), /upstream;dur=/);
});

check('the classifier decides on what names no tier', async ({ prompt, wire }) => {
  const create = connect(wire).chat.completions.create({ model: 'gpt-4o', messages: user(`${prompt} Prove it.`) });
  const { response } = await create.withResponse();
  assert.equal(response.headers.get('x-route-source'), 'classifier');
  assert.equal(response.headers.get('x-route-tier'), 'reasoning');
});

check('concurrent questions get their own answers', async ({ prompt, wire }) => {
  const client = connect(wire);
  const prompts = Array.from({ length: 12 }, (_, number) => `${prompt} Number ${number}.`);
  const answers = await Promise.all(
    prompts.map((text) => client.chat.completions.create({ model: 'fast', messages: user(text) })),
  );
  answers.forEach((answer, number) => assert(answer.choices[0].message.content.includes(prompts[number])));
});

check('the provider gets the request and its own key only', async ({ prompt, wire, requests }) => {
  const client = connect(wire, 'app', { organization: 'org-of-client', project: 'project-of-client' });
  const body = { messages: user(prompt), user: 'ü' };
  const asked = { model: 'fast', ...body, a_new_field: { deep: [1, null] } };
  const create = client.chat.completions.create(asked, { headers: { 'x-custom': 'private' } });
  const { response } = await create.withResponse();
  const [request] = await requests('openai');
  assert.deepEqual(request.body, { model: 'gpt-6-luna', ...body });
  assert.equal(response.headers.get('x-route-dropped'), 'a_new_field');
  assert.equal(request.headers.authorization, `Bearer ${world.provider_keys.openai}`);
  const allowed = ['authorization', 'accept', 'accept-encoding', 'content-type', 'content-length', 'host', 'traceparent', 'user-agent'];
  assert.deepEqual(Object.keys(request.headers).filter((name) => !allowed.includes(name)), []);
});

check('a tool is called and its result answered', async ({ prompt, wire }) => {
  const client = connect(wire);
  const messages = user(`${prompt} And what does get_weather say?`);
  const ask = () => client.chat.completions.create({ model: 'fast', messages, tools: [weather] });
  const { message, finish_reason } = (await ask()).choices[0];
  assert.deepEqual([message.content, finish_reason], [null, 'tool_calls']);
  const [call] = message.tool_calls;
  assert.equal(call.function.name, 'get_weather');
  assert.deepEqual(Object.keys(JSON.parse(call.function.arguments)).sort(), ['city', 'days']);

  messages.push(message, { role: 'tool', tool_call_id: call.id, content: 'sunny, 21 degrees' });
  assert.match((await ask()).choices[0].message.content, /sunny, 21 degrees/);
});

check('the tool runner goes through the loop by itself', async ({ prompt, wire, requests }) => {
  const asked = [];
  const tool = {
    ...weather,
    function: {
      ...weather.function,
      parse: JSON.parse,
      function: (place) => {
        asked.push(place);
        return 'sunny, 21 degrees';
      },
    },
  };
  const messages = user(`${prompt} And what does get_weather say?`);
  for (const stream of [false, true]) {
    const runner = connect(wire).chat.completions.runTools({ model: 'fast', messages, tools: [tool], stream });
    assert.match(await runner.finalContent(), /sunny, 21 degrees/);
  }
  assert.deepEqual(asked.map((place) => Object.keys(place).sort()), [['city', 'days'], ['city', 'days']]);
  assert.equal((await requests('openai')).length, 4);
});

check('an answer is parsed by its schema', async ({ prompt, wire, requests }) => {
  const Recipe = z.object({ title: z.string(), steps: z.array(z.object({ text: z.string(), number: z.number() })) });
  const answer = await connect(wire).chat.completions.parse({
    model: 'fast',
    messages: user(prompt),
    response_format: zodResponseFormat(Recipe, 'recipe'),
  });
  Recipe.parse(answer.choices[0].message.parsed);
  const [request] = await requests('openai');
  assert.equal(request.body.response_format.json_schema.name, 'recipe');
});

check('a call is parsed by its schema', async ({ prompt, wire }) => {
  const parameters = z.object({ city: z.string(), days: z.number() });
  const answer = await connect(wire).chat.completions.parse({
    model: 'fast',
    messages: user(`${prompt} And what does get_weather say?`),
    tools: [zodFunction({ name: 'get_weather', parameters })],
  });
  parameters.parse(answer.choices[0].message.tool_calls[0].function.parsed_arguments);
});

check('a cut answer is not parsed', async ({ prompt, wire }) => {
  const response_format = zodResponseFormat(z.object({ title: z.string() }), 'recipe');
  const parsing = connect(wire).chat.completions.parse({
    model: 'fast',
    messages: user(prompt),
    response_format,
    max_completion_tokens: 10,
  });
  await assert.rejects(parsing, LengthFinishReasonError);
});

check('models are listed and shown', async ({ wire }) => {
  const ids = [];
  for await (const model of connect(wire).models.list()) ids.push(model.id);
  assert.deepEqual(ids, ['auto', 'fast', 'balanced', 'quality', 'reasoning', 'claude-auto']);
  assert.equal((await connect(wire, 'pinner').models.retrieve('gpt-6-luna')).owned_by, 'openai');
  await assert.rejects(connect(wire).models.retrieve('gpt-6-luna'), OpenAI.NotFoundError);
});
