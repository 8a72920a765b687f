// Validates answers against OpenAI's published description of its API.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import { Ajv2020 } from 'ajv/dist/2020.js';

export class Description {
  static #loaded;

  static load(path) {
    return (Description.#loaded ??= new Description(path));
  }

  constructor(path) {
    // The description's own words (`discriminator`, formats such as `unixtime`) are none of JSON Schema's.
    this.ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
    const { components } = withNull(JSON.parse(readFileSync(path, 'utf8')));
    this.ajv.addSchema({ $id: 'openai', components });
  }

  validate(name, value) {
    const validate = this.ajv.getSchema(`openai#/components/schemas/${name}`);
    assert(validate(value), `this is no ${name}: ${this.ajv.errorsText(validate.errors)}\n${JSON.stringify(value)}`);
  }
}

// The description mixes OpenAPI 3.0's `nullable` with JSON Schema; here it becomes the latter.
function withNull(value) {
  if (Array.isArray(value)) return value.map(withNull);
  if (value === null || typeof value !== 'object') return value;
  const { nullable, ...fields } = value;
  const schema = Object.fromEntries(Object.entries(fields).map(([name, item]) => [name, withNull(item)]));
  return nullable === true ? { anyOf: [schema, { type: 'null' }] } : schema;
}
