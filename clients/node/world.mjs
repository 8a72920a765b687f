// Where the gateway is, the way to its simulators and log, and one test with what it sent and received.
//
// `check` names a test, gives it a prompt that no other test sends, and afterwards resets every fault and checks all that
// came over the wire.

import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import { Wire } from './wire.mjs';

if (!process.env.TIERGATE_CLIENTS) {
  throw new Error('run this suite with: cargo test --package tiergate-clients');
}
export const world = JSON.parse(process.env.TIERGATE_CLIENTS);
export const user = (content) => [{ role: 'user', content }];

const SIMULATORS = ['openai', 'anthropic', 'google', 'inception'];

const control = async (path, init) => {
  const response = await fetch(world.control_url + path, { signal: AbortSignal.timeout(30_000), ...init });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return response;
};

const setScript = (simulator, script) =>
  control(`/simulators/${simulator}/script`, { method: 'PUT', body: script });

export const check = (name, body, wire = new Wire(world)) =>
  test(name, async () => {
    const prompt = `What does the word ${randomUUID().replaceAll('-', '')} mean?`;
    const context = {
      prompt,
      wire,
      // What happens to the requests with this prompt, and to no others (docs/simulators.md).
      fault: (simulator, words) => setScript(simulator, `if=${JSON.stringify(prompt)} ${words}`),
      // What a simulator received with this prompt.
      requests: async (simulator) => {
        const query = new URLSearchParams({ containing: prompt });
        return (await control(`/simulators/${simulator}/requests?${query}`)).json();
      },
      // How many clients of a simulator went away before their answer was whole.
      gone: async (simulator) => (await control(`/simulators/${simulator}/gone`)).json(),
      // Waits until so many did; too long a wait is an error.
      untilGone: (simulator, count, milliseconds) =>
        control(`/simulators/${simulator}/gone/${count}`, { signal: AbortSignal.timeout(milliseconds) }),
      // Waits until no candidate cools down after a fault of an earlier test, so that the first comes first again.
      healthy: async () => {
        const url = world.base_url.replace(/v1$/, 'healthz');
        const headers = { 'x-api-key': world.keys.free };
        const signal = AbortSignal.timeout(30_000);
        while ((await (await fetch(url, { headers, signal })).json()).cooling.length > 0) await setTimeout(20);
      },
      // The gateway's log line for one exchange, once it is written.
      logLine: async (exchange) => (await control(`/log/${exchange.response.headers.get('x-route-id')}`)).json(),
    };
    try {
      await body(context);
    } finally {
      for (const simulator of SIMULATORS) await setScript(simulator, '');
    }
    wire.check();
  });
