import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import fc from 'fast-check';
import { decodeJob, encodeJob } from '../../src/queues/job.ts';
import type { InferenceJob } from '../../src/queues/job.ts';
import { sampleJob } from './builders.ts';

const goldenUrl = new URL('golden/job-v1.golden.json', import.meta.url);

const goldenJob: InferenceJob = sampleJob({
  id: '01JDG0000000000000000000ZZ',
  outputs: ['probabilities'],
  entries: [
    { requestId: 'req_1', rowCount: 1, deadlineMs: 1_700_000_002_000 },
    { requestId: 'req_2', rowCount: 1, deadlineMs: 1_700_000_002_500.5 },
  ],
  payload: Uint8Array.of(0, 1, 2, 250, 251, 252),
});

function throughJson(wire: unknown): unknown {
  return JSON.parse(JSON.stringify(wire));
}

describe('job', () => {
  it('is encoded as its golden file says', async () => {
    const golden: unknown = JSON.parse(await readFile(goldenUrl, 'utf8'));
    expect(throughJson(encodeJob(goldenJob, false))).to.deep.equal(golden);
  });

  it('is read from its golden file', async () => {
    const decoded = decodeJob(JSON.parse(await readFile(goldenUrl, 'utf8')));
    if (decoded.kind !== 'job') throw new Error(decoded.kind);
    expect(decoded.payloadApart).to.equal(false);
    expect({ ...decoded.job, payload: Uint8Array.from(decoded.job.payload) }).to.deep.equal(goldenJob);
  });

  it('leaves out a payload that lies apart', () => {
    const wire = throughJson(encodeJob(goldenJob, true));
    const decoded = decodeJob(wire);
    if (decoded.kind !== 'job') throw new Error(decoded.kind);
    expect(decoded.payloadApart).to.equal(true);
    expect(decoded.job.payload).to.have.length(0);
  });

  it('of an unknown schema version is refused with its address', () => {
    const [, ...rest] = encodeJob(goldenJob, false);
    const decoded = decodeJob([2, ...rest.slice(0, 3), { whatever: 'version 2 holds' }]);
    if (decoded.kind !== 'refused') throw new Error(decoded.kind);
    expect(decoded).to.include({ id: goldenJob.id, replyTo: 'api-1', entryCount: 2 });
    expect(decoded.error).to.include({
      code: 'internal_error',
      message: 'The worker cannot read the job: schema version 2 is unknown',
    });
  });

  it('with any place of the wrong type is refused by that place', () => {
    const places = [
      'model',
      'version',
      'servedDigest',
      'pool',
      'lane',
      'submittedAtMs',
      'entries',
      'outputs',
    ];
    for (const [index, place] of places.entries()) {
      const wire: unknown[] = [...encodeJob(goldenJob, false)];
      wire[index + 4] = { no: 'good' };
      const decoded = decodeJob(wire);
      expect(decoded.kind, place).to.equal('refused');
      if (decoded.kind === 'refused') expect(decoded.error.message).to.include(place);
    }
  });

  it('never throws, whatever is decoded', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        expect(decodeJob(value).kind).to.be.oneOf(['refused', 'unreadable']);
      }),
    );
  });

  it('survives encoding for any entries and payload', () => {
    const entry = fc.record({
      requestId: fc.string({ minLength: 1 }),
      rowCount: fc.integer({ min: 1, max: 1e6 }),
      deadlineMs: fc.double({ noNaN: true, noDefaultInfinity: true, min: 0 }),
    });
    fc.assert(
      fc.property(
        fc.array(entry, { maxLength: 50 }),
        fc.uint8Array({ maxLength: 200 }),
        (entries, payload) => {
          const decoded = decodeJob(throughJson(encodeJob({ ...goldenJob, entries, payload }, false)));
          if (decoded.kind !== 'job') throw new Error(decoded.kind);
          expect(decoded.job.entries).to.deep.equal(entries);
          expect(Uint8Array.from(decoded.job.payload)).to.deep.equal(payload);
        },
      ),
      { numRuns: 50 },
    );
  });
});
