import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { MillraceError } from '../../src/errors.ts';
import type { ErrorPlace } from '../../src/errors.ts';
import { manifestCharsMax, manifestSchema, parseManifest } from '../../src/registry/manifest-schema.ts';
import type { SchemaObject } from '../../src/validation.ts';

const base = { schema_version: 1, name: 'wine' };
const classifier = { ...base, task: 'classification' };

describe('manifest', () => {
  it('needs a schema version and a name', () => {
    expect(parseManifest(base)).to.deep.equal(base);
    expect(placeOf({ name: 'wine' }).path).to.equal('schema_version');
    expect(placeOf({ schema_version: 1 }).path).to.equal('name');
  });

  it('is a frozen copy', () => {
    const given = { ...classifier, labels: ['a', 'b'] };
    const parsed = parseManifest(given);
    given.labels.push('c');
    expect(parsed.labels).to.deep.equal(['a', 'b']);
    expect(parsed.labels).to.satisfy(Object.isFrozen);
  });

  it('names the nearest known key, at the right depth', () => {
    expect(placeOf({ ...base, lables: [] })).to.include({ path: 'lables' });
    expect(placeOf({ ...base, lables: [] }).expected).to.contain('labels');
    const deep = placeOf({ ...base, features: [{ name: 'a', scale: { mean: 1, std: 1, maen: 1 } }] });
    expect(deep.path).to.equal('features[0].scale.maen');
    expect(deep.expected).to.contain('mean');
  });

  const refused: readonly [string, unknown, string][] = [
    ['no object', null, '(root)'],
    ['nothing', undefined, '(root)'],
    ['an unsafe name', { ...base, name: '../wine' }, 'name'],
    ['a reserved model name', { ...base, name: 'stats' }, 'name'],
    ['a reserved version name', { ...base, version: 'default' }, 'version'],
    ['another schema version', { ...base, schema_version: 2 }, 'schema_version'],
    ['a deviation of 0', { ...base, inputs: { x: { scale: { mean: 0, std: 0 } } } }, 'inputs.x.scale.std'],
    ['features beside inputs', { ...base, features: [{ name: 'a' }], inputs: { x: {} } }, 'inputs'],
    ['a feature twice', { ...base, features: [{ name: 'a' }, { name: 'a' }] }, 'features[1].name'],
    [
      'one_hot with scale',
      { ...base, features: [{ name: 'a', one_hot: ['x'], scale: { mean: 0, std: 1 } }] },
      'features[0].scale',
    ],
    [
      'a missing value that is no category',
      { ...base, features: [{ name: 'a', one_hot: ['x'], missing: 'y' }] },
      'features[0].missing',
    ],
    [
      'a number missing among categories',
      { ...base, features: [{ name: 'a', one_hot: ['1'], missing: 1 }] },
      'features[0].missing',
    ],
    ['a string for a number', { ...base, features: [{ name: 'a', missing: 'x' }] }, 'features[0].missing'],
    [
      'a category twice',
      { ...base, features: [{ name: 'a', one_hot: ['x', 'x'] }] },
      'features[0].one_hot[1]',
    ],
    ['a label twice', { ...classifier, labels: ['a', 'a'] }, 'labels[1]'],
    ['labels that read alike', { ...classifier, labels: [1, '1'] }, 'labels[1]'],
    ['a label that is no integer', { ...classifier, labels: [0.5] }, 'labels[0]'],
    ['labels without classes', { ...base, labels: ['a'] }, 'labels'],
    ['roles of another task', { ...classifier, outputs: { value: 'y' } }, 'outputs.value'],
    [
      'a step without its key',
      { ...base, postprocess: [{ op: 'argmax', output: 'y' }] },
      'postprocess[0].to',
    ],
    [
      'a step with another key',
      { ...base, postprocess: [{ op: 'softmax', output: 'y', at: 1 }] },
      'postprocess[0].at',
    ],
    ['an unknown step', { ...base, postprocess: [{ op: 'relu', output: 'y' }] }, 'postprocess[0].op'],
    ['top_k without classes', { ...base, postprocess: [{ op: 'top_k', k: 3 }] }, 'postprocess[0]'],
    [
      'an output added twice',
      {
        ...base,
        postprocess: [
          { op: 'argmax', output: 'y', to: 'z' },
          { op: 'argmax', output: 'y', to: 'z' },
        ],
      },
      'postprocess[1].to',
    ],
    ['an example without inputs', { ...base, examples: [{}] }, 'examples[0].inputs'],
    [
      'an expected output of raw tensors',
      { ...base, examples: [{ inputs: 1, output: 1 }] },
      'examples[0].output',
    ],
    ['a timeout of 0', { ...base, timeout_ms: 0 }, 'timeout_ms'],
    ['an inherited name', { ...base, ['constructor']: 1 }, 'constructor'],
    ['too much', { ...base, examples: [{ inputs: 'x'.repeat(manifestCharsMax) }] }, '(root)'],
  ];
  for (const [what, manifest, path] of refused)
    it(`refuses ${what}`, () => {
      expect(placeOf(manifest).path).to.equal(path);
    });

  it('refuses what is not JSON', () => {
    const cycle: Record<string, unknown> = { ...base };
    cycle['self'] = cycle;
    expect(placeOf(cycle).path).to.equal('(root)');
    let deep: unknown = [];
    for (let depth = 0; depth < 100_000; depth++) deep = [deep];
    expect(placeOf({ ...base, examples: [{ inputs: deep }] }).path).to.equal('(root)');
  });
});

describe('docs/manifest.md', () => {
  const page = readFileSync(new URL('../../docs/manifest.md', import.meta.url), 'utf8');

  it('lists each key of the schema, and no other', () => {
    const listed = [...page.matchAll(/^\| `([^`]+)` \|/gm)].map((match) => match[1]);
    expect(listed).to.have.members([...keysOf(manifestSchema, '')]);
  });

  it('has examples that are valid', () => {
    const examples = [...page.matchAll(/```json\n([\s\S]*?)```/g)].map((match) => match[1] as string);
    expect(examples).to.have.length(2);
    for (const example of examples) parseManifest(JSON.parse(example));
  });
});

function* keysOf(schema: SchemaObject, path: string): Generator<string> {
  for (const [key, child] of Object.entries((schema['properties'] ?? {}) as Record<string, SchemaObject>)) {
    const childPath = path === '' ? key : `${path}.${key}`;
    yield childPath;
    yield* keysOf(child, childPath);
  }
  if (schema['items'] !== undefined) yield* keysOf(schema['items'] as SchemaObject, `${path}[]`);
  const others: unknown = schema['additionalProperties'];
  if (typeof others === 'object') yield* keysOf(others as SchemaObject, `${path}.*`);
}

function placeOf(manifest: unknown): ErrorPlace {
  try {
    parseManifest(manifest);
  } catch (error) {
    if (!MillraceError.is(error)) throw error;
    expect(error.code).to.equal('invalid_input');
    return (error.details as readonly ErrorPlace[])[0] as ErrorPlace;
  }
  throw new Error('the manifest was accepted');
}
