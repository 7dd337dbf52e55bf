import { datatypes } from '../../tensors/datatype.ts';
import type { SchemaObject } from '../../validation.ts';
import { parametersSchema } from '../predict-request.ts';
import { arrayOf, objectOf, schemaRef, textOf } from './types.ts';

const json: SchemaObject = {
  description: 'A number, a string, a boolean, or an array of these. NaN and infinities are strings.',
  type: ['number', 'string', 'boolean', 'array'],
};
const optionalText = (description: string): SchemaObject => ({ type: ['string', 'null'], description });
const instant: SchemaObject = { type: 'string', description: 'ISO 8601, UTC.' };
const shape = arrayOf({ type: 'integer', minimum: -1, description: '-1 is any length.' });
const datatype: SchemaObject = { type: 'string', enum: datatypes };
const label: SchemaObject = { type: ['string', 'integer'] };
const aliases: SchemaObject = {
  type: 'object',
  description: 'Alias to version; default is what predict uses.',
  additionalProperties: { type: 'string' },
};
const labels: SchemaObject = { type: ['array', 'null'], items: label };

/** Bodies of predict. */
export function predictSchemas(timeoutMsMax: number): Readonly<Record<string, SchemaObject>> {
  return {
    PredictRequest: objectOf(
      {
        inputs: {
          description:
            'One instance: an array for a model with one input, an object by input or feature name otherwise.',
        },
        parameters: schemaRef('PredictParameters'),
      },
      { optional: ['parameters'] },
    ),
    PredictParameters: parametersSchema(timeoutMsMax),
    Prediction: objectOf(
      {
        id: textOf('Unique.'),
        output: {
          description: 'A label, a number, a nested array, or an object by output name.',
          type: ['string', 'number', 'boolean', 'array', 'object'],
        },
        probabilities: { ...arrayOf(json), description: 'One for each class, in the order of the labels.' },
        score: { ...json, description: 'Probability of the output.' },
        top_k: arrayOf(objectOf({ label: json, score: json })),
      },
      { optional: ['probabilities', 'score', 'top_k'] },
    ),
    PredictResponse: objectOf({
      predictions: arrayOf(schemaRef('Prediction')),
      model_version: textOf('Version that answered.'),
      model_name: textOf('Model that answered.'),
      processing_time_ms: { type: 'number', minimum: 0 },
    }),
  };
}

const summary: Readonly<Record<string, SchemaObject>> = {
  name: textOf('Name, as it stands in paths.'),
  description: optionalText('For people.'),
  task: { type: ['string', 'null'], enum: ['classification', 'regression', 'tensor', null] },
  default_version: optionalText('Version that predict uses.'),
  aliases,
  version_count: { type: 'integer', minimum: 0 },
  links: objectOf({ self: { type: 'string' }, predict: { type: 'string' } }),
};

const versionSummary: Readonly<Record<string, SchemaObject>> = {
  version: textOf('Name of the version.'),
  status: { type: 'string', enum: ['ready', 'archived'] },
  flagged: {
    type: 'boolean',
    description: 'Whether it ended or hung a process that ran it within the last ten minutes.',
  },
  aliases: arrayOf({ type: 'string' }),
  digest: textOf('SHA-256 of the file as it was registered.'),
  created_at: instant,
  created_by: textOf('Who registered it.'),
  links: objectOf({ self: { type: 'string' } }),
};

/** What a caller sends and gets. */
const versionInterface: Readonly<Record<string, SchemaObject>> = {
  inputs: arrayOf(schemaRef('ModelInput')),
  outputs: arrayOf(objectOf({ name: { type: 'string' }, datatype, shape })),
  labels,
};

const tensorSpecs = arrayOf(objectOf({ name: { type: 'string' }, datatype, shape }));

export const modelSchemas: Readonly<Record<string, SchemaObject>> = {
  ModelFeature: objectOf({
    name: { type: 'string' },
    description: optionalText('For people.'),
    type: { type: 'string', enum: ['number', 'category'] },
    categories: { type: ['array', 'null'], items: { type: 'string' } },
    required: { type: 'boolean' },
  }),
  ModelInput: objectOf({
    name: { type: 'string' },
    datatype,
    shape: { ...shape, description: 'Of one instance.' },
    description: optionalText('For people.'),
    required: { type: 'boolean' },
    features: { type: ['array', 'null'], items: schemaRef('ModelFeature') },
  }),
  ModelSummary: objectOf(summary),
  ModelList: objectOf({
    models: arrayOf(schemaRef('ModelSummary')),
    next_cursor: optionalText('For the next page; null on the last.'),
  }),
  VersionSummary: objectOf(versionSummary),
  Model: objectOf({ ...summary, ...versionInterface, versions: arrayOf(schemaRef('VersionSummary')) }),
  ModelVersion: objectOf({
    model: textOf('Name of the model.'),
    ...versionSummary,
    description: optionalText('For people.'),
    task: { type: 'string', enum: ['classification', 'regression', 'tensor'] },
    pool: textOf('Pool of workers that serves it.'),
    served_digest: textOf('SHA-256 of the file that is loaded.'),
    artifact_bytes: { type: 'integer', minimum: 0 },
    ...versionInterface,
    signature: objectOf({
      inputs: tensorSpecs,
      outputs: tensorSpecs,
      batch: { type: 'object', description: 'How instances map to the first dimension.' },
    }),
    manifest: { type: 'object', description: 'The declared facts; see the documentation of the manifest.' },
  }),
};

const health: SchemaObject = { type: 'string', enum: ['healthy', 'degraded', 'unhealthy'] };

export const healthSchemas: Readonly<Record<string, SchemaObject>> = {
  DependencyHealth: objectOf({
    status: health,
    latency_ms: { type: 'number', minimum: 0 },
    message: optionalText('What is wrong; null when nothing is.'),
    last_check: instant,
  }),
  Health: objectOf({
    status: health,
    version: textOf('Version of the server.'),
    environment: { type: 'string' },
    dependencies: { type: 'object', additionalProperties: schemaRef('DependencyHealth') },
    uptime_seconds: { type: 'integer', minimum: 0 },
  }),
  Probe: objectOf({ status: { type: 'string', enum: ['alive', 'ready'] } }),
};
