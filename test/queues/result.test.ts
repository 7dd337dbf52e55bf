import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import fc from 'fast-check';
import { decodeFrame, decodeResult, encodeResult } from '../../src/queues/result.ts';
import type { InferenceResult } from '../../src/queues/result.ts';
import { rows, rowValues, sampleResult } from './builders.ts';

/** Base64 in lines of 76, so that a change of the wire shows as a readable diff. */
const goldenUrl = new URL('golden/result-v1.golden.txt', import.meta.url);
const noLimit = Number.POSITIVE_INFINITY;

const goldenResult: InferenceResult = sampleResult({
  id: '01JDG0000000000000000000ZZ',
  tensors: rows(0.5, -1),
  failures: [
    { entryIndex: 1, reason: 'failed', error: { code: 'invalid_input', message: 'no', details: 'x' } },
    { entryIndex: 3, reason: 'expired', error: { code: 'timeout', message: 'late' } },
  ],
});

function decodeWhole(frame: Buffer): InferenceResult {
  const decoded = decodeFrame(frame);
  if (decoded.kind !== 'frame' || decoded.tensors === null) throw new Error(decoded.kind);
  const outcome = decodeResult(decoded.header, decoded.tensors);
  if (outcome.kind !== 'result') throw outcome.error;
  return outcome.result;
}

describe('result', () => {
  it('is encoded as its golden file says', async () => {
    const { frame } = encodeResult(goldenResult, noLimit);
    const golden = (await readFile(goldenUrl, 'utf8')).replaceAll('\n', '');
    expect(frame.toString('base64')).to.equal(golden);
  });

  it('is read from its golden file', async () => {
    const golden = Buffer.from((await readFile(goldenUrl, 'utf8')).replaceAll('\n', ''), 'base64');
    const result = decodeWhole(golden);
    expect({ ...result, tensors: null }).to.deep.equal({ ...goldenResult, tensors: null });
    expect(rowValues(result.tensors)).to.deep.equal([0.5, -1]);
  });

  it('keeps tensors beyond the limit out of the frame', () => {
    const { frame, tensorsApart } = encodeResult(goldenResult, 10);
    if (tensorsApart === null) throw new Error('inline');
    const decoded = decodeFrame(frame);
    if (decoded.kind !== 'frame') throw new Error(decoded.kind);
    expect(decoded.tensors).to.equal(null);
    const outcome = decodeResult(decoded.header, tensorsApart);
    if (outcome.kind !== 'result') throw outcome.error;
    expect(rowValues(outcome.result.tensors)).to.deep.equal([0.5, -1]);
  });

  it('of an unknown schema version is refused with its id', () => {
    const { frame } = encodeResult(goldenResult, noLimit);
    frame.writeUInt8(2, 0);
    const decoded = decodeFrame(frame);
    if (decoded.kind !== 'refused') throw new Error(decoded.kind);
    expect(decoded.id).to.equal(goldenResult.id);
    expect(decoded.error.message).to.equal('The result cannot be read: schema version 2 is unknown');
  });

  it('with damaged tensors is unreadable', () => {
    const { frame } = encodeResult(goldenResult, noLimit);
    const decoded = decodeFrame(frame.subarray(0, frame.length - 1));
    if (decoded.kind !== 'frame' || decoded.tensors === null) throw new Error(decoded.kind);
    expect(decodeResult(decoded.header, decoded.tensors).kind).to.equal('unreadable');
  });

  it('never throws, whatever bytes are decoded or flipped', () => {
    const { frame } = encodeResult(goldenResult, noLimit);
    const flips = fc.array(fc.tuple(fc.nat(frame.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(flips, (changes) => {
        const damaged = Buffer.from(frame);
        for (const [at, byte] of changes) damaged[at] = byte;
        const decoded = decodeFrame(damaged);
        if (decoded.kind === 'frame' && decoded.tensors !== null)
          decodeResult(decoded.header, decoded.tensors);
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        decodeFrame(Buffer.from(bytes));
      }),
    );
  });
});
