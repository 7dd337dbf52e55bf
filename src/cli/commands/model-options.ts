import type { Arguments, OptionSpecs } from '../arguments.ts';
import { UsageError } from '../failures.ts';

export const modelOptions: OptionSpecs = {
  model: {
    type: 'string',
    short: 'm',
    value: 'NAME',
    help: "the model; default: the server's default model",
  },
  version: {
    type: 'string',
    value: 'V',
    help: 'a version of it, or an alias as stable; default: its default',
  },
};

export const renderOptions: OptionSpecs = {
  'return-probability': { type: 'boolean', help: 'list the probability of each class' },
  'top-k': { type: 'string', value: 'N', help: 'list the N likeliest classes' },
  outputs: { type: 'string', value: 'A,B', help: 'return these outputs of the model, by name' },
};

/** As the API bounds it. */
const topKMax = 1000;

/** Path of the model or version, without what is done with it. Throws UsageError. */
export function modelPath(args: Arguments): string {
  const model = args.text('model');
  const version = args.text('version');
  if (model === undefined) {
    if (version !== undefined) throw new UsageError('--version needs --model: a version of which?');
    return '/api/v1';
  }
  const path = `/api/v1/models/${encodeURIComponent(model)}`;
  return version === undefined ? path : `${path}/versions/${encodeURIComponent(version)}`;
}

/** As the API names them; only those that were given. Throws UsageError. */
export function renderParameters(args: Arguments): Readonly<Record<string, unknown>> {
  const topK = args.integer('top-k', 1, topKMax);
  const outputs = args.list('outputs');
  return {
    ...(args.flag('return-probability') ? { return_probability: true } : {}),
    ...(topK === undefined ? {} : { top_k: topK }),
    ...(outputs === undefined ? {} : { outputs }),
  };
}

/** With its question mark, or nothing. Lists are comma-separated. */
export function toQuery(parameters: Readonly<Record<string, unknown>>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) query.set(name, String(value));
  return query.size === 0 ? '' : `?${query.toString()}`;
}
