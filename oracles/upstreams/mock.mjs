// The first mock server: answers by what the user says last, and refuses what it does not know. Prints its URL.

import { LLMock } from '@copilotkit/aimock';

const mock = new LLMock({ port: 0, host: '127.0.0.1' });
const weather = (city) => ({ name: 'get_weather', arguments: { city } });
// The first that fits answers, and the question that led to the calls still stands in the conversation.
mock.on({ toolResultContains: '21 degrees' }, { content: 'Rome is warmer than Oslo.' });
mock.onMessage('Name a prime.', { content: 'Seven is a prime number.' });
mock.onMessage('Two cities', { toolCalls: [weather('Rome'), weather('Oslo')] });
mock.onMessage('What is on it?', { content: 'A red square.' });
mock.onMessage('A recipe', { content: '{"name":"Toast","minutes":4}' });
await mock.start();
console.log(`Running on ${mock.url}`);
