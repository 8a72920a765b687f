// What holds for every answer in the Messages API: its headers, the form of its stream, and that no key is in it.

import assert from 'node:assert/strict';

import { Wire } from './wire.mjs';

const PROVIDER_ONLY = ['set-cookie', 'server', 'anthropic-organization-id'];

export class MessagesWire extends Wire {
  constructor(world, place) {
    super(world);
    this.place = place;
  }

  checkOne({ response, bytes, isRead }) {
    const body = Buffer.concat(bytes).toString();
    const came = body + JSON.stringify([...response.headers]);
    for (const secret of this.secrets) assert(!came.includes(secret), 'a key came over the wire');
    assert(response.headers.get('request-id'));
    if (this.place.isGateway) {
      assert(response.headers.get('x-route-id'));
      for (const name of PROVIDER_ONLY) assert(!response.headers.has(name), `the provider's ${name} came through`);
    }
    if (response.status >= 400) {
      if (!isRead) return;
      const { type, error, request_id } = JSON.parse(body);
      assert.equal(type, 'error');
      assert.equal(request_id, response.headers.get('request-id'));
      assert(error.type && error.message);
    } else if (response.headers.get('content-type').startsWith('text/event-stream')) {
      checkStream(body, isRead && this.place.isGateway);
    }
  }
}

// `isWhole`: it was read to its end, and the gateway says how a stream ended.
function checkStream(body, isWhole) {
  const events = body.split('\n\n');
  assert(!(events.pop() && isWhole), 'the stream ends in the middle of an event');
  const values = events
    .filter((event) => !event.startsWith(':'))
    .map((event) => {
      const [name, data] = event.split('\n');
      const value = JSON.parse(data.slice('data: '.length));
      assert.equal(name, `event: ${value.type}`);
      return value;
    });
  const kinds = values.map((value) => value.type).filter((type) => type !== 'ping');
  if (isWhole) assert(['message_stop', 'error'].includes(kinds.at(-1)), `the stream ends with ${kinds.at(-1)}`);
  assert(['message_start', 'error'].includes(kinds[0]));
  const starts = values.filter((value) => value.type === 'content_block_start').map((value) => value.index);
  assert.deepEqual(starts, [...starts.keys()], 'blocks are counted from 0');
}
