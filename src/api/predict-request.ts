import { MillraceError } from '../errors.ts';
import type { ErrorPlace } from '../errors.ts';
import { compile, describe } from '../validation.ts';
import type { SchemaObject } from '../validation.ts';

/** What a caller may set beside the inputs; names and types are the contract's. */
export interface PredictParameters {
  readonly model?: string;
  /** A version or an alias. */
  readonly version?: string;
  readonly return_probability?: boolean;
  readonly top_k?: number;
  readonly timeout_ms?: number;
  readonly cache?: boolean;
  readonly outputs?: readonly string[];
}

export interface PredictRequest {
  readonly inputs: unknown;
  readonly parameters: PredictParameters;
}

/** Classes listed in one answer: more than any of them is read, and a bound on its size. */
export const topKMax = 1000;
/** Outputs named in one request: a graph with more is not known to us. */
export const outputCountMax = 64;

/** Also in the OpenAPI document. */
export function parametersSchema(timeoutMsMax: number): SchemaObject {
  const name = { type: 'string', minLength: 1, maxLength: 64 };
  return {
    type: 'object',
    additionalProperties: false,
    properties: {
      model: { ...name, description: 'Model to ask; default: the setting default_model.' },
      version: { ...name, description: 'Version or alias; default: the alias default.' },
      return_probability: {
        type: 'boolean',
        description: 'Whether a classification lists the probability of each class. Default false.',
      },
      top_k: {
        type: 'integer',
        minimum: 1,
        maximum: topKMax,
        description: 'List only so many classes, the likeliest first.',
      },
      timeout_ms: {
        type: 'integer',
        minimum: 1,
        maximum: timeoutMsMax,
        description: "Deadline of this request; default: the model's, else the server's.",
      },
      cache: { type: 'boolean', description: 'Whether a kept or shared result will do. Default true.' },
      outputs: {
        type: 'array',
        minItems: 1,
        maxItems: outputCountMax,
        uniqueItems: true,
        items: { type: 'string', minLength: 1, maxLength: 256 },
        description: 'Outputs of the model to return, by name; default: those of its task.',
      },
    },
  };
}

const noParameters: PredictParameters = {};

/** Reads the body of a predict. Throws `invalid_input` that names every wrong place. */
export type PredictParser = (body: unknown) => PredictRequest;

export function createPredictParser(timeoutMsMax: number): PredictParser {
  const checkParameters = compile<PredictParameters>(parametersSchema(timeoutMsMax));
  return (body) => {
    if (typeof body !== 'object' || body === null || Array.isArray(body))
      throw refused([
        { path: '(root)', expected: 'an object with the member inputs', found: describe(body) },
      ]);
    for (const name of Object.keys(body)) if (name !== 'inputs' && name !== 'parameters') throw unknown(name);
    if (!Object.hasOwn(body, 'inputs'))
      throw refused([{ path: 'inputs', expected: 'one instance', found: 'nothing' }]);
    const { inputs } = body as { inputs: unknown };
    if (!Object.hasOwn(body, 'parameters')) return { inputs, parameters: noParameters };
    const checked = checkParameters((body as { parameters: unknown }).parameters, 'parameters');
    if (!checked.valid) throw refused(checked.places);
    return { inputs, parameters: checked.value };
  };
}

function unknown(name: string): MillraceError {
  return refused([
    { path: name.slice(0, 80), expected: 'inputs or parameters, nothing else', found: 'an unknown name' },
  ]);
}

function refused(places: readonly ErrorPlace[]): MillraceError {
  return new MillraceError('invalid_input', 'The request is not valid', { details: places });
}
