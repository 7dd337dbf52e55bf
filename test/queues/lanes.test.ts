import { expect } from 'chai';
import { createRedisKeys, laneName } from '../../src/queues/lanes.ts';

describe('lanes', () => {
  it('names a lane by its pool', () => {
    expect(laneName('default', 'online')).to.equal('default.online');
    expect(laneName('gpu-large', 'bulk')).to.equal('gpu-large.bulk');
  });

  for (const pool of ['', 'a:b', '{x}', '.a', 'a'.repeat(65), 'ä'])
    it(`refuses the pool name ${JSON.stringify(pool.slice(0, 8))} of ${pool.length} characters`, () => {
      expect(() => laneName(pool, 'online'))
        .to.throw()
        .with.property('code', 'invalid_input');
    });

  it('puts every key of an installation under one hash tag', () => {
    const keys = createRedisKeys('millrace');
    const names = [
      keys.bullmq,
      keys.payload('j'),
      keys.resultChannel('a'),
      keys.resultHash('a'),
      keys.resultTensors('a', 'j'),
      keys.workers,
      keys.worker('w'),
      keys.workerChannel,
      keys.batches,
      keys.batchChannel('b'),
      keys.batchEndings,
      keys.openBatches('o'),
      keys.batchPools,
      keys.batchInputs('b'),
      keys.batchResults('b'),
      keys.batchSweep,
      keys.deadLetter('l'),
    ];
    for (const name of names) expect(name).to.match(/^\{millrace\}/);
  });
});
