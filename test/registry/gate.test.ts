import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { MillraceError } from '../../src/errors.ts';
import type { ErrorPlace } from '../../src/errors.ts';
import { createChildGate } from '../../src/registry/gate.ts';
import type { Manifest } from '../../src/registry/manifest.ts';
import { readOnnxGraph } from '../../src/registry/onnx-graph.ts';
import { batchAxisOf } from '../../src/registry/signature.ts';
import { fixture, float, float16, int64, model, node, value } from './onnx-builder.ts';

const roomy = { timeoutMs: 30_000, memoryBytesMax: 2 ** 29 };
const plain: Manifest = { schema_version: 1, name: 'm' };

describe('the gate', function () {
  this.timeout(60_000);

  it('gives the rank of each output', async () => {
    const ranks = await tryModel(fixture('two-in-two-out'));
    expect([...ranks]).to.deep.equal([
      ['sum', 2],
      ['twice', 2],
    ]);
  });

  for (const name of ['identity-string', 'identity-float16', 'zipmap-int64', 'scalar', 'no-batch-reduce'])
    it(`lets ${name} pass`, async () => {
      expect((await tryModel(fixture(name))).size).to.be.greaterThan(0);
    });

  it('lets casts pass that a subgraph captures, and a ZipMap whose input is an output', async () => {
    const branch = { name: 'b', node: [node('Identity', ['x'], ['t'])], output: [value('t', float16, [2])] };
    const zipMap = node('ZipMap', ['p'], ['z'], {
      domain: 'ai.onnx.ml',
      attribute: [{ name: 'classlabels_int64s', type: 7, ints: [4, 5] }],
    });
    const bytes = model({
      node: [
        node('If', ['c'], ['y'], {
          attribute: [
            { name: 'then_branch', type: 5, g: branch },
            { name: 'else_branch', type: 5, g: branch },
          ],
        }),
        node('Softmax', ['q'], ['p']),
        zipMap,
      ],
      input: [value('c', 9, []), value('x', float16, [2]), value('q', float, ['N', 2])],
      output: [
        value('y', float16, [2]),
        value('p', float, ['N', 2]),
        { name: 'z', type: { sequenceType: { elemType: { mapType: { keyType: 7, valueType: {} } } } } },
      ],
    });
    expect([...(await tryModel(bytes)).keys()]).to.deep.equal(['y', 'p', 'z']);
  });

  it('shows the rank that a file leaves open', async () => {
    const bytes = model({
      node: [node('Identity', ['x'], ['y'])],
      input: [value('x', float, ['N', 2, 3])],
      output: [value('y', float, null)],
    });
    expect((await tryModel(bytes)).get('y')).to.equal(3);
  });

  for (const name of ['wrong-rows', 'wrong-rows-double'])
    it(`refuses ${name}`, async () => {
      expect((await refusal(tryModel(fixture(name)))).expected).to.contain('as many rows of "y" as go in');
    });

  it('refuses a model that onnxruntime does not load', async () => {
    const bytes = model({
      node: [node('NoSuchOperator', ['x'], ['y'])],
      input: [value('x', float, ['N'])],
      output: [value('y', float, ['N'])],
    });
    const place = await refusal(tryModel(bytes));
    expect(place.expected).to.equal('a model that onnxruntime loads');
    expect(place.found).to.contain('NoSuchOperator');
  });

  it('refuses a signature that the session does not confirm', async () => {
    const bytes = fixture('sum-rows');
    const { declared } = readOnnxGraph(bytes);
    const [input] = declared.inputs;
    const lying = { ...declared, inputs: [{ ...input!, shape: [-1, 6] }] };
    const request = { manifest: plain, declared: lying, batch: { kind: 'dynamic' }, labels: null } as const;
    expect((await refusal(createChildGate(roomy)(bytes, request))).expected).to.equal(
      'the shape [-1, 6] for x',
    );
  });

  it('survives a file that kills its process', async () => {
    const request = {
      manifest: plain,
      declared: { inputs: [], outputs: [] },
      batch: { kind: 'none' },
      labels: null,
    } as const;
    const place = await refusal(createChildGate(roomy)(fixture('deep-functions'), request));
    expect(place.found).to.equal('it ended by SIGSEGV');
  });

  it('ends a run that does not end', async () => {
    const manifest = { ...plain, examples: [{ inputs: ['1000000000000'] }] };
    const gate = createChildGate({ ...roomy, timeoutMs: 2_000 });
    const place = await refusal(tryModel(fixture('slow-loop'), manifest, gate));
    expect(place.found).to.equal('the time limit was reached');
  });

  it('bounds the memory of a model', async () => {
    const bytes = model({
      node: [node('ConstantOfShape', ['s'], ['big']), node('Add', ['x', 'big'], ['y'])],
      initializer: [{ name: 's', dataType: int64, dims: [1], int64Data: [4_000_000_000] }],
      input: [value('x', float, [1])],
      output: [value('y', float, [4_000_000_000])],
    });
    expect((await refusal(tryModel(bytes))).path).to.equal('artifact');
  });

  it('runs examples as requests would be, and holds the model to their output', async () => {
    const manifest: Manifest = {
      ...plain,
      task: 'classification',
      features: [{ name: 'a' }, { name: 'b', missing: 0 }],
      labels: ['high', 'low', 'mid'],
    };
    const bytes = fixture('zipmap-string');
    const run = async (output: string): Promise<unknown> =>
      refusal(
        tryModel(bytes, {
          ...manifest,
          labels: ['high', 'low', 'mid'],
          examples: [{ inputs: [0, 0], output }],
        }),
      );
    const places = await Promise.all(['high', 'low', 'mid'].map((label) => run(label).catch(() => 'passed')));
    expect(places.filter((place) => place === 'passed')).to.have.length(1);
    const wrongInput = { ...manifest, examples: [{ inputs: { a: 'x' } }] };
    expect((await refusal(tryModel(bytes, wrongInput))).path).to.contain('examples[0].inputs');
  });

  it('refuses outputs that do not fit the manifest', async () => {
    const manifest: Manifest = { ...plain, task: 'classification', labels: ['a', 'b', 'c'] };
    const place = await refusal(tryModel(fixture('zipmap-string'), manifest));
    expect(place.expected).to.equal('outputs that fit the manifest');
  });

  it('holds no meaningless guess against a model that has examples', async () => {
    const bytes = model({
      node: [
        node('AveragePool', ['x'], ['y'], { attribute: [{ name: 'kernel_shape', type: 7, ints: [3, 3] }] }),
      ],
      input: [value('x', float, ['N', 1, 'H', 'W'])],
      output: [value('y', float, ['N', 1, 'h', 'w'])],
    });
    expect((await refusal(tryModel(bytes))).expected).to.contain('runs on its trial inputs');
    const row = [1, 2, 3];
    const examples = [{ inputs: [[row, row, row]] }];
    expect((await tryModel(bytes, { ...plain, examples })).get('y')).to.equal(4);
  });

  it('leaves no folder behind', async () => {
    await refusal(tryModel(fixture('wrong-rows')));
    expect(await foldersOf(process.pid)).to.deep.equal([]);
  });

  it('takes its child along when the parent is killed', async () => {
    const script = fileURLToPath(new URL('./gate-parent.ts', import.meta.url));
    const parent = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [pid] = (await once(createInterface({ input: parent.stdout }), 'line')) as [string];
    parent.kill('SIGKILL');
    // Ends when that process has.
    await once(spawn('tail', [`--pid=${pid}`, '-s', '0.05', '-f', '/dev/null']), 'exit');
    expect(await foldersOf(parent.pid)).to.deep.equal([]);
  });
});

async function foldersOf(pid: number | undefined): Promise<string[]> {
  return (await readdir(tmpdir())).filter((name) => name.startsWith(`millrace-gate-${pid}-`));
}

async function tryModel(
  bytes: Uint8Array,
  manifest = plain,
  gate = createChildGate(roomy),
): Promise<ReadonlyMap<string, number>> {
  const { declared, labels, served } = readOnnxGraph(bytes);
  const batch = batchAxisOf(declared, manifest);
  return gate(served, { manifest, declared, batch, labels: manifest.labels ?? labels });
}

/** The place that a refusal names; its words show nothing of this machine. */
async function refusal(promise: Promise<unknown>): Promise<ErrorPlace> {
  try {
    await promise;
  } catch (error) {
    if (!MillraceError.is(error)) throw error;
    expect(error.code).to.equal('invalid_input');
    expect(JSON.stringify([error.message, error.details])).to.not.match(
      /\/(?:tmp|work|src|home|onnxruntime)/,
    );
    return (error.details as readonly ErrorPlace[])[0] as ErrorPlace;
  }
  throw new Error('the model passed');
}
