import type { ErrorPlace } from '../errors.ts';
import { MillraceError } from '../errors.ts';
import { compile, describe } from '../validation.ts';
import type { SchemaObject } from '../validation.ts';
import { checkManifestRules } from './manifest-rules.ts';
import type { Manifest } from './manifest.ts';
import { namePattern } from './model-ref.ts';

/** A manifest is kept in memory by every process and stored beside its version: 1 MiB of JSON is ample. */
export const manifestCharsMax = 2 ** 20;

const text = { type: 'string', minLength: 1, maxLength: 1024 };
const prose = { type: 'string', maxLength: 16_384 };
const name = { type: 'string', pattern: namePattern };

function strict(properties: Record<string, SchemaObject>, required: readonly string[] = []): SchemaObject {
  return { type: 'object', properties, required: [...required], additionalProperties: false };
}

const scale = strict({ mean: { type: 'number' }, std: { type: 'number', exclusiveMinimum: 0 } }, [
  'mean',
  'std',
]);

const feature = strict(
  {
    name: text,
    description: prose,
    missing: { type: ['number', 'string'] },
    scale,
    one_hot: { type: 'array', items: { type: 'string', maxLength: 1024 }, minItems: 1, maxItems: 65_536 },
  },
  ['name'],
);

const input = strict({ description: prose, missing: { type: ['number', 'string', 'boolean'] }, scale });

/** Which of these keys an operation takes is a rule of manifest-rules.ts: `oneOf` gives unreadable errors. */
const step = strict(
  {
    op: { enum: ['softmax', 'sigmoid', 'argmax', 'threshold', 'top_k'] },
    output: text,
    to: text,
    at: { type: 'number' },
    k: { type: 'integer', minimum: 1, maximum: 65_536 },
  },
  ['op'],
);

const batching = strict({
  max_batch_size: { type: 'integer', minimum: 1, maximum: 65_536 },
  max_batch_bytes: { type: 'integer', minimum: 1, maximum: 2 ** 30 },
  pad: { type: 'boolean' },
});

/** JSON Schema 2020-12 of a manifest. docs/manifest.md is held to its keys by a test, both ways. */
export const manifestSchema: SchemaObject = strict(
  {
    schema_version: { const: 1 },
    name,
    version: name,
    description: prose,
    task: { enum: ['classification', 'regression', 'tensor'] },
    features: { type: 'array', items: feature, minItems: 1, maxItems: 65_536 },
    inputs: { type: 'object', additionalProperties: input, minProperties: 1, maxProperties: 1024 },
    labels: {
      type: 'array',
      items: { type: ['string', 'integer'] },
      minItems: 1,
      maxItems: 65_536,
    },
    outputs: strict({ label: text, probabilities: text, value: text }),
    postprocess: { type: 'array', items: step, maxItems: 64 },
    batching,
    // A day: no caller waits longer, and timers stay far below 2^31 ms.
    timeout_ms: { type: 'integer', minimum: 1, maximum: 86_400_000 },
    // A day: what must stand longer belongs into a store, not into the memory of Redis.
    cache: strict({ ttl_s: { type: 'number', minimum: 0, maximum: 86_400 } }, ['ttl_s']),
    pool: name,
    warmup: strict(
      {
        batch_sizes: {
          type: 'array',
          items: { type: 'integer', minimum: 1, maximum: 65_536 },
          maxItems: 16,
        },
      },
      ['batch_sizes'],
    ),
    examples: {
      type: 'array',
      items: strict({ inputs: {}, output: { type: ['string', 'number'] } }, ['inputs']),
      maxItems: 64,
    },
  },
  ['schema_version', 'name'],
);

const check = compile<Manifest>(manifestSchema);

/** A deeply frozen copy. Throws `invalid_input` that names each place; paths start at the manifest's root. */
export function parseManifest(value: unknown): Manifest {
  const copy = copyJson(value);
  const checked = check(copy);
  if (!checked.valid) throw invalidManifest(checked.places);
  const places = checkManifestRules(checked.value);
  if (places.length > 0) throw invalidManifest(places);
  return deepFreeze(checked.value);
}

export function invalidManifest(places: readonly ErrorPlace[]): MillraceError {
  return new MillraceError('invalid_input', 'The manifest is not valid', { details: places });
}

/** Through JSON and back: what is stored is then what was checked, without getters, prototypes or cycles. */
function copyJson(value: unknown): unknown {
  let json: string | undefined;
  try {
    json = JSON.stringify(value);
  } catch {
    json = undefined;
  }
  if (json === undefined)
    throw invalidManifest([{ path: '(root)', expected: 'a JSON object', found: describe(value) }]);
  if (json.length > manifestCharsMax) {
    const expected = `at most ${manifestCharsMax} characters of JSON`;
    throw invalidManifest([{ path: '(root)', expected, found: `${json.length}` }]);
  }
  return JSON.parse(json);
}

export function deepFreeze<T>(value: T): T {
  const pending: unknown[] = [value];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (typeof next !== 'object' || next === null) continue;
    Object.freeze(next);
    pending.push(...Object.values(next).filter((child) => typeof child === 'object' && child !== null));
  }
  return value;
}
