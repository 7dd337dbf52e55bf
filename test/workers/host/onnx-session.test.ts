import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { MillraceError } from '../../../src/errors.ts';
import type { CarriedDatatype } from '../../../src/tensors/datatype.ts';
import { createOnnxSession } from '../../../src/workers/host/onnx-session.ts';
import type { Session } from '../../../src/workers/host/session.ts';
import { tensor } from '../../support/builders.ts';
import { fixturePath } from '../support/hosts.ts';

const sessions: Session[] = [];

async function open(name: string): Promise<Session> {
  const session = await createOnnxSession(readFileSync(fixturePath(name)), { intraOpThreads: 1 });
  sessions.push(session);
  return session;
}

async function refusalOf(work: Promise<unknown>): Promise<MillraceError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!MillraceError.is(error)) throw new Error(`expected a MillraceError, got ${String(error)}`);
  return error;
}

const values: readonly (readonly [string, CarriedDatatype, readonly (number | bigint | string)[]])[] = [
  ['float32', 'FP32', [1.5, NaN, -Infinity]],
  ['float64', 'FP64', [1e300, -0, NaN]],
  ['int8', 'INT8', [-128, 0, 127]],
  ['int16', 'INT16', [-32768, 0, 32767]],
  ['int32', 'INT32', [-(2 ** 31), 0, 2 ** 31 - 1]],
  ['int64', 'INT64', [-(2n ** 63n), 0n, 2n ** 63n - 1n]],
  ['uint8', 'UINT8', [0, 1, 255]],
  ['uint16', 'UINT16', [0, 1, 65535]],
  ['uint32', 'UINT32', [0, 1, 2 ** 32 - 1]],
  ['uint64', 'UINT64', [0n, 1n, 2n ** 64n - 1n]],
  ['bool', 'BOOL', [0, 1, 1]],
  ['string', 'BYTES', ['', 'ß', '𝛼 b']],
];

describe('onnx session', () => {
  afterEach(async () => {
    for (const session of sessions.splice(0)) await session.release();
  });

  for (const [name, datatype, elements] of values) {
    it(`carries ${datatype} there and back`, async () => {
      const session = await open(`identity-${name}`);
      const x = tensor(datatype, [1, 3], elements);
      const outputs = await session.run(new Map([['x', x]]), null);
      expect([...outputs.keys()]).to.deep.equal(['y']);
      expect(outputs.get('y')).to.deep.equal(x);
    });
  }

  it('tells what the graph takes and gives', async () => {
    const session = await open('two-in-two-out');
    expect(session.inputs).to.deep.equal([
      { name: 'a', datatype: 'FP32', shape: [-1, 2] },
      { name: 'b', datatype: 'INT64', shape: [-1, 1] },
    ]);
    expect(session.outputs.map(({ name }) => name)).to.deep.equal(['sum', 'twice']);
  });

  it('fetches only the outputs that are asked for', async () => {
    const session = await open('two-in-two-out');
    const feeds = new Map([
      ['a', tensor('FP32', [1, 2], [1, 2])],
      ['b', tensor('INT64', [1, 1], [3n])],
    ]);
    const outputs = await session.run(feeds, ['twice']);
    expect([...outputs.keys()]).to.deep.equal(['twice']);
  });

  it('blames the input for an index out of bounds', async () => {
    const session = await open('gather-strict');
    const error = await refusalOf(session.run(new Map([['index', tensor('INT64', [1], [99n])]]), null));
    expect(error.code).to.equal('invalid_input');
    expect(error.message).to.include('out of data bounds');
  });

  it('does not blame the input for an output that the graph lacks', async () => {
    const session = await open('nonce');
    const error = await refusalOf(session.run(new Map([['x', tensor('FP64', [1, 1], [1])]]), ['nope']));
    expect(error.code).to.equal('internal_error');
  });

  for (const name of ['truncated', 'random', 'external-data', 'opset-99', 'custom-domain']) {
    it(`refuses ${name}.onnx without naming a path`, async () => {
      const error = await refusalOf(open(name));
      expect(error.code).to.equal('invalid_input');
      expect(error.message).to.match(/^The model cannot be loaded: ./);
      expect(error.message).not.to.match(/\/\w+\/\w+/);
    });
  }
});
