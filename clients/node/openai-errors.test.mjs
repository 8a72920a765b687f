// OpenAI's Node SDK: errors arrive as its classes, and it retries when that can help and never else.

import assert from 'node:assert/strict';

import OpenAI from 'openai';

import { check, user } from './world.mjs';
import { connect } from './openai.mjs';

const ask = (client, prompt, fields, options) =>
  client.chat.completions.create({ model: 'fast', messages: user(prompt), ...fields }, options);

const rejection = async (promise, errorClass, expected) => {
  let found;
  await assert.rejects(promise, (error) => {
    found = error;
    return error instanceof errorClass;
  });
  for (const [name, value] of Object.entries(expected)) assert.equal(found[name], value, name);
  return found;
};

for (const key of ['retired', 'tg_app_WrongButOfTheRightFormAndLength012', 'sk-other']) {
  check(`the key ${key} is refused once`, async ({ prompt, wire }) => {
    const client = connect(wire, key, { maxRetries: 2 });
    await rejection(ask(client, prompt), OpenAI.AuthenticationError, { status: 401, code: 'invalid_api_key' });
    assert.equal(wire.exchanges.length, 1);
  });
}

check('a wrong field is named', async ({ prompt, wire }) => {
  const client = connect(wire, 'app', { maxRetries: 2 });
  const messages = [{ role: 'robot', content: 'x' }];
  const expected = { status: 400, param: 'messages[0].role', code: 'invalid_value', type: 'invalid_request_error' };
  await rejection(ask(client, prompt, { messages }), OpenAI.BadRequestError, expected);
  assert.equal(wire.exchanges.length, 1);
});

check('an unknown tier is refused with the valid ones', async ({ prompt, wire }) => {
  const options = { headers: { 'x-route-tier': 'great' } };
  const expected = { code: 'invalid_header' };
  const error = await rejection(ask(connect(wire), prompt, {}, options), OpenAI.BadRequestError, expected);
  assert.match(error.message, /fast, balanced, quality, /);
});

check('what a client may not do is forbidden', async ({ prompt, wire }) => {
  const options = { headers: { 'x-route-tier': 'quality' } };
  const asking = ask(connect(wire, 'cheap'), prompt, {}, options);
  await rejection(asking, OpenAI.PermissionDeniedError, { status: 403, code: 'tier_not_allowed' });
});

check('an unknown path is not found', async ({ wire }) => {
  const asking = connect(wire).embeddings.create({ model: 'm', input: 'x' });
  await rejection(asking, OpenAI.NotFoundError, { status: 404, code: 'unknown_path' });
});

for (const [words, errorClass, status, code, shouldRetry] of [
  ['status=400', OpenAI.BadRequestError, 400, 'provider_rejected', null],
  ['context-length', OpenAI.BadRequestError, 400, 'context_length_exceeded', null],
  ['status=422', OpenAI.UnprocessableEntityError, 422, 'provider_rejected', null],
  ['status=401', OpenAI.InternalServerError, 502, 'provider_auth', 'false'],
  ['status=404', OpenAI.InternalServerError, 502, 'provider_not_found', 'false'],
  ['quota', OpenAI.InternalServerError, 503, 'provider_quota', 'false'],
  ['status=429', OpenAI.RateLimitError, 429, 'rate_limit_exceeded', 'true'],
  ['status=529', OpenAI.InternalServerError, 502, 'provider_error', 'true'],
  ['close x2', OpenAI.InternalServerError, 502, 'provider_error', 'true'],
  ['cut=20', OpenAI.InternalServerError, 502, 'provider_error', 'true'],
]) {
  check(`a provider's failure by ${words} is mapped`, async ({ prompt, wire, fault }) => {
    await fault('openai', words);
    const error = await rejection(ask(connect(wire), prompt), errorClass, { status, code });
    assert.equal(error.headers.get('x-should-retry'), shouldRetry);
    assert.equal(error.headers.has('retry-after'), shouldRetry === 'true');
  });
}

check('a rate limit of all candidates is the client’s', async ({ prompt, wire, fault }) => {
  for (const simulator of ['inception', 'openai']) await fault(simulator, 'status=429 retry-after=7');
  const asking = ask(connect(wire), prompt, { model: 'balanced' });
  const error = await rejection(asking, OpenAI.RateLimitError, { status: 429 });
  assert.equal(error.headers.get('x-route-attempts'), 'inception/mercury-2:429,openai/gpt-6-sol:429');
  assert.equal(error.headers.get('retry-after'), '7');
});

check('the SDK retries what may pass', async ({ prompt, wire, fault, requests }) => {
  await fault('openai', 'status=503');
  const answer = await ask(connect(wire, 'app', { maxRetries: 2 }), prompt);
  assert(answer.choices[0].message.content.includes(prompt));
  assert.deepEqual(wire.exchanges.map((exchange) => exchange.response.status), [502, 200]);
  assert.equal((await requests('openai')).length, 2);
});

check('the SDK does not retry what will not pass', async ({ prompt, wire, fault, requests }) => {
  await fault('openai', 'status=401 *');
  await rejection(ask(connect(wire, 'app', { maxRetries: 2 }), prompt), OpenAI.InternalServerError, { status: 502 });
  assert.equal(wire.exchanges.length, 1);
  assert.equal((await requests('openai')).length, 1);
});

check('a stream that cannot begin is a plain error', async ({ prompt, wire, fault }) => {
  await fault('openai', 'content-policy');
  const asking = ask(connect(wire), prompt, { stream: true });
  await rejection(asking, OpenAI.BadRequestError, { code: 'content_policy_violation' });
});
