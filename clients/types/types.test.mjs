// What clients get in the table of crossings, by the types of the official SDKs, as a compiler checks literals: strictly, and
// nothing beside them.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

import ts from 'typescript';

const HERE = dirname(fileURLToPath(import.meta.url));
const ANSWERS = join(HERE, '../../tests/golden/crossings');
// It is in memory only; the SDKs are found from where it would be.
const FILE = join(HERE, 'answers.ts');
const OPTIONS = {
  strict: true,
  noEmit: true,
  skipLibCheck: true,
  target: ts.ScriptTarget.ESNext,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  types: [],
};

// What the gateway adds on purpose to a message, or to what comes of one: what was thought, and the state of it.
const ADDED = ['reasoning_content', 'reasoning_details'];
// Events of the API that its SDKs pass over.
const PASSED_OVER = ['ping'];

const withoutAdded = (value) => {
  for (const choice of value.choices) {
    for (const name of ADDED) delete (choice.message ?? choice.delta)[name];
  }
  return value;
};

const part = (isChat, value) => {
  if (value.error) return isChat ? ['OpenAI.ErrorObject', value.error] : ['Anthropic.ErrorResponse', value];
  if (!isChat) return [value.type === 'message' ? 'Anthropic.Message' : 'Anthropic.RawMessageStreamEvent', value];
  const kind = value.object === 'chat.completion' ? 'OpenAI.ChatCompletion' : 'OpenAI.ChatCompletionChunk';
  return [kind, withoutAdded(value)];
};

// What a file holds, each with its type.
const parts = (row, name) => {
  const text = readFileSync(join(ANSWERS, row, name), 'utf8');
  const isChat = name.startsWith('chat-');
  if (name.endsWith('.json')) return [part(isChat, JSON.parse(text))];
  const events = text.split('\n\n').filter((event) => event !== '' && event !== 'data: [DONE]');
  const parsed = events.map((event) => event.match(/^(?:event: ([^\n]*)\n)?data: ([^\n]*)$/));
  const known = parsed.filter(([, kind]) => !PASSED_OVER.includes(kind));
  return known.map(([, , json]) => part(isChat, JSON.parse(json)));
};

// On one line, of which the compiler makes several where these two stand in it.
const literal = (value) =>
  JSON.stringify(value).replace(/[\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16)}`);

// Which of these values, each with its type, are not what the types say, and why.
const faults = (values) => {
  const lines = [
    "import type { Anthropic } from '@anthropic-ai/sdk';",
    "import type { OpenAI } from 'openai';",
    ...values.map(([type, value], at) => `export const a${at}: ${type} = ${literal(value)};`),
  ];
  const host = ts.createCompilerHost(OPTIONS);
  const { fileExists, getSourceFile } = host;
  host.fileExists = (path) => path === FILE || fileExists(path);
  host.getSourceFile = (path, ...more) =>
    path === FILE ? ts.createSourceFile(path, lines.join('\n'), OPTIONS.target) : getSourceFile(path, ...more);
  const diagnostics = ts.getPreEmitDiagnostics(ts.createProgram([FILE], OPTIONS, host));
  return diagnostics.map(({ file, start, messageText }) => {
    assert.equal(file?.fileName, FILE, ts.flattenDiagnosticMessageText(messageText, '\n'));
    const { line } = file.getLineAndCharacterOfPosition(start);
    return { at: line - 2, why: ts.flattenDiagnosticMessageText(messageText, '\n') };
  });
};

test('every answer is what the types say', () => {
  const names = readdirSync(ANSWERS).flatMap((row) => readdirSync(join(ANSWERS, row)).map((name) => [row, name]));
  assert(names.length > 200);
  const values = names.flatMap(([row, name]) => parts(row, name).map((part) => [...part, `${row}/${name}`]));
  const found = faults(values).map(({ at, why }) => `${values[at][2]}: ${why}\n${JSON.stringify(values[at][1])}`);
  assert.deepEqual(found, []);
});

test('what is damaged is noticed', () => {
  const names = ['chat-from-messages.json', 'chat-from-messages.sse', 'messages-from-chat.json', 'messages-from-chat.sse'];
  const damaged = names.flatMap((name) => parts('tools', name)).flatMap(([type, value]) => [
    [type, { ...value, unknown: 1 }],
    ...Object.entries(value).map(([name, member]) => [type, { ...value, [name]: { unknown: member } }]),
    ...Object.keys(value)
      .filter((name) => !['usage'].includes(name))
      .map((name) => [type, Object.fromEntries(Object.entries(value).filter(([other]) => other !== name))]),
  ]);
  const noticed = new Set(faults(damaged).map(({ at }) => at));
  const missed = damaged.filter((_, at) => !noticed.has(at));
  assert.deepEqual(missed, []);
});
