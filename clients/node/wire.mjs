// A `fetch` for the SDKs that keeps what came over the wire, and the checks that hold for every answer: its schema, its
// headers, the form of its stream, and that no key is in it.

import assert from 'node:assert/strict';

import { Description } from './description.mjs';

const PROVIDER_ONLY = ['set-cookie', 'server', 'openai-organization', 'openai-processing-ms'];

export class Wire {
  exchanges = [];

  constructor(world) {
    this.secrets = [...Object.values(world.keys), ...Object.values(world.provider_keys)];
    this.description = Description.load(world.api_description);
  }

  // As an SDK's `fetch` option.
  fetch = async (url, init) => {
    const response = await fetch(url, init);
    // `isRead`: the body was read to its end, which an SDK need not do once it has seen an end marker.
    const exchange = { path: new URL(url).pathname, response, bytes: [], isRead: false };
    this.exchanges.push(exchange);
    const keep = new TransformStream({
      transform(part, controller) {
        exchange.bytes.push(part);
        controller.enqueue(part);
      },
      flush() {
        exchange.isRead = true;
      },
    });
    const { status, statusText, headers } = response;
    return new Response(response.body?.pipeThrough(keep), { status, statusText, headers });
  };

  // The only exchange.
  get exchange() {
    assert.equal(this.exchanges.length, 1);
    return this.exchanges[0];
  }

  // The data of the last event of the only exchange.
  get lastEvent() {
    return eventsOf(Buffer.concat(this.exchange.bytes).toString()).at(-1);
  }

  check() {
    assert(this.exchanges.length > 0, 'the test sent nothing');
    for (const exchange of this.exchanges) this.checkOne(exchange);
  }

  checkOne({ path, response, bytes, isRead }) {
    const body = Buffer.concat(bytes).toString();
    const came = body + JSON.stringify([...response.headers]);
    for (const secret of this.secrets) assert(!came.includes(secret), 'a key came over the wire');
    assert(response.headers.get('x-route-id'));
    for (const name of PROVIDER_ONLY) assert(!response.headers.has(name), `the provider's ${name} came through`);

    if (response.status >= 400) {
      // An SDK that retries need not read why.
      if (isRead) this.description.validate('ErrorResponse', JSON.parse(body));
    } else if (response.headers.get('content-type').startsWith('text/event-stream')) {
      this.checkStream(body, isRead);
    } else if (isRead) {
      this.description.validate(...shape(path, JSON.parse(body)));
    }
  }

  checkStream(body, isRead) {
    const events = eventsOf(body);
    if (events.includes('[DONE]')) {
      assert(body.endsWith('data: [DONE]\n\n'));
      assert.equal(events.indexOf('[DONE]'), events.length - 1);
      assert(!events.some((event) => event.startsWith('{"error"')), 'a stream that broke has no end marker');
    } else {
      assert(!isRead, `a stream that ends without an error ends with [DONE]: ${body}`);
    }
    const values = events.filter((event) => event !== '[DONE]').map((event) => JSON.parse(event));
    const chunks = values.filter((value) => !value.error);
    for (const value of values) {
      this.description.validate(value.error ? 'ErrorResponse' : 'CreateChatCompletionStreamResponse', value);
    }
    for (const name of ['id', 'model', 'object']) {
      assert(new Set(chunks.map((chunk) => chunk[name])).size <= 1, `${name} changes within a stream`);
    }
    assert.deepEqual(values.slice(0, chunks.length), chunks, 'an error is the last event');
  }
}

// The data of each whole event.
function eventsOf(body) {
  const events = body.split('\n\n').slice(0, -1).filter((event) => !event.startsWith(':'));
  for (const event of events) assert.match(event, /^data: [^\n]*$/);
  return events.map((event) => event.slice('data: '.length));
}

function shape(path, value) {
  if (path.endsWith('/models')) return ['ListModelsResponse', value];
  if (path.includes('/models/')) return ['Model', value];
  // Providers of the same dialect leave these two out, and what they leave out is not added.
  for (const choice of value.choices) {
    choice.logprobs ??= null;
    choice.message.refusal ??= null;
  }
  return ['CreateChatCompletionResponse', value];
}
