import { expect } from 'chai';
import { entryShares } from '../../src/queues/entry-share.ts';
import { rows, sampleResult } from './builders.ts';

describe('entry shares', () => {
  it("are where each entry's rows begin, past those that failed", () => {
    const result = sampleResult({
      tensors: rows(1, 2, 3, 4),
      failures: [{ entryIndex: 1, reason: 'failed', error: { code: 'invalid_input', message: 'bad row' } }],
    });
    const [first, second, third] = entryShares(result, [1, 5, 3]);
    expect(first).to.deep.equal({ kind: 'rows', firstRow: 0 });
    expect(second?.kind === 'failed' && second.error).to.include({
      code: 'invalid_input',
      message: 'bad row',
    });
    expect(third).to.deep.equal({ kind: 'rows', firstRow: 1 });
  });

  it('of the expired are timeouts, whatever the worker says of them', () => {
    const result = sampleResult({
      tensors: new Map(),
      failures: [{ entryIndex: 0, reason: 'expired', error: { code: 'internal_error', message: '' } }],
    });
    const [only] = entryShares(result, [1]);
    expect(only?.kind === 'failed' && only.error.code).to.equal('timeout');
  });

  for (const [what, tensors] of [
    ['too few rows', rows(1)],
    ['too many rows', rows(1, 2, 3)],
    ['no tensors', new Map()],
  ] as const)
    it(`are refused where the result has ${what}`, () => {
      expect(() => entryShares(sampleResult({ tensors }), [1, 1]))
        .to.throw()
        .with.property('code', 'internal_error');
    });
});
