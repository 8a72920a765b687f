// Puts cases through llm-protocol: one JSON object a line in, what became of it, as text, out in the same order.
import { createInterface } from "node:readline";
import { translate } from "llm-protocol";

const CHAT = {
  protocol: "openai-chat",
  capabilities: {
    tools: true,
    parallelTools: true,
    streaming: true,
    thinking: true,
    reasoningField: "reasoning_content",
  },
  defaultHeaders: {},
};
const HELLO = { model: "claude-fable-5", messages: [{ role: "user", content: "Hi" }] };
const DONE = {
  id: "msg_1",
  type: "message",
  role: "assistant",
  model: "claude-fable-5",
  content: [{ type: "text", text: "Hi" }],
  stop_reason: "end_turn",
  usage: { input_tokens: 1, output_tokens: 1 },
};

/** What the client gets for `body` if the provider's answer is what `answer` makes of its request. */
async function pass(body, answer) {
  const fetch = async (request) => {
    const { content, type } = answer(await request.json());
    return new Response(content, { headers: { "content-type": type } });
  };
  const forward = translate({
    from: "openai-chat",
    to: "anthropic-messages",
    fetch,
    profiles: { "openai-chat": CHAT },
  });
  const request = new Request("http://127.0.0.1/v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json", authorization: "Bearer none" },
    body: JSON.stringify(body),
  });
  return forward(request);
}

const json = (value) => ({ content: JSON.stringify(value), type: "application/json" });

const WAYS = {
  async request(body) {
    let sent;
    await pass({ model: HELLO.model, ...body }, (up) => {
      sent = up;
      return up.stream === true ? { content: "", type: "text/event-stream" } : json(DONE);
    });
    return JSON.stringify(sent);
  },
  async answer(body) {
    return (await pass(HELLO, () => json(body))).text();
  },
  async stream(wire) {
    const answer = await pass({ ...HELLO, stream: true }, () => ({ content: wire, type: "text/event-stream" }));
    return answer.text();
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const given = JSON.parse(line);
  const out = {};
  for (const [kind, translated] of Object.entries(WAYS)) {
    if (given[kind] === undefined || given[kind] === null) continue;
    try {
      out[kind] = { translated: await translated(given[kind]) };
    } catch (error) {
      out[kind] = { refused: String(error.message ?? error) };
    }
  }
  process.stdout.write(`${JSON.stringify(out)}\n`);
}
