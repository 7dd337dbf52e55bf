import { MillraceError } from '../../errors.ts';
import type { ErrorPlace } from '../../errors.ts';
import type { RenderChoice } from '../../queues/batch/batch.ts';
import { compile } from '../../validation.ts';
import type { SchemaObject } from '../../validation.ts';
import { parametersSchema } from '../predict-request.ts';
import type { PredictParameters } from '../predict-request.ts';

/** What holds for all rows: a predict's parameters but its deadline and its cache. */
export type BatchParameters = Omit<PredictParameters, 'timeout_ms' | 'cache'>;

/** What an upload says beside its rows. */
export interface BatchHead {
  readonly parameters: BatchParameters;
  /** As it was given. */
  readonly webhook: string | null;
}

const predictProperties = parametersSchema(1)['properties'] as Readonly<Record<string, SchemaObject>>;
const properties = Object.fromEntries(
  Object.entries(predictProperties).filter(([name]) => name !== 'timeout_ms' && name !== 'cache'),
);

/** Also in the OpenAPI document. */
export const batchParametersSchema: SchemaObject = {
  type: 'object',
  additionalProperties: false,
  properties,
};

/** Query parameters of a streamed upload; `outputs` are separated by commas. */
export const batchQuery: readonly string[] = [...Object.keys(properties), 'webhook'];

const check = compile<BatchParameters>(batchParametersSchema);

/** `root` is put before the names in messages. Throws `invalid_input`. */
export function checkBatchParameters(value: unknown, root = 'parameters'): BatchParameters {
  const checked = check(value, root);
  if (!checked.valid) throw refused(checked.places);
  return checked.value;
}

/** The head of an upload that has it in its query. Throws `invalid_input`. */
export function headOfQuery(values: ReadonlyMap<string, string>): BatchHead {
  const given: Record<string, unknown> = {};
  for (const [name, text] of values) if (name !== 'webhook') given[name] = valueOf(name, text);
  return { parameters: checkBatchParameters(given, 'query'), webhook: values.get('webhook') ?? null };
}

export function renderOf({ return_probability, top_k, outputs }: BatchParameters): RenderChoice {
  return { returnProbability: return_probability === true, topK: top_k ?? null, outputs: outputs ?? null };
}

/** What is of no such type stays text, which the schema then refuses. */
function valueOf(name: string, text: string): unknown {
  switch (properties[name]?.['type']) {
    case 'boolean':
      return text === 'true' ? true : text === 'false' ? false : text;
    case 'integer':
      return /^\d{1,15}$/.test(text) ? Number(text) : text;
    case 'array':
      return text.split(',');
    default:
      return text;
  }
}

function refused(places: readonly ErrorPlace[]): MillraceError {
  return new MillraceError('invalid_input', 'The request is not valid', { details: places });
}
