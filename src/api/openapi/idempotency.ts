import type { Header, Parameter } from './types.ts';

/** Of every call that computes something. */
export const idempotencyKey: Parameter = {
  name: 'Idempotency-Key',
  in: 'header',
  description:
    'Of your choice, new for each request that is meant. Predict and batch share one scope for each caller: the same ' +
    'key with the same method, path, query and body is computed once and answered alike, also while the first is at ' +
    'work; with another request it is 409.',
  schema: { type: 'string', pattern: '^[!-~]{1,255}$' },
};

/** On an answer that an earlier request with the key was given. */
export const idempotencyReplayed: Header = {
  description: 'true on the answer of an earlier request with this Idempotency-Key.',
  schema: { type: 'string', enum: ['true'] },
};
