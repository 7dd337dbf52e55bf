import { expect } from 'chai';
import { AofBarrier, aofStateOf, isWritten } from '../../../src/queues/batch/aof-barrier.ts';
import type { AofState } from '../../../src/queues/batch/aof-barrier.ts';
import { codeOf } from '../../contracts/store.ts';
import { startRedis } from '../../support/redis-server.ts';
import { redisUrl } from '../../support/services.ts';
import { closeConnections, connect } from '../builders.ts';
import { makeLedgerRig } from './support/ledger-rig.ts';

const state = (over: Partial<AofState>): AofState => ({
  enabled: true,
  writtenBytes: 1000,
  bufferedBytes: 200,
  baseBytes: 50,
  ...over,
});

describe('AofBarrier', () => {
  afterEach(closeConnections);

  const first = state({});
  const cases: readonly [what: string, later: AofState, written: boolean][] = [
    ['nothing was written since', first, false],
    ['a part of it was', state({ writtenBytes: 1199, bufferedBytes: 1 }), false],
    ['all of it was', state({ writtenBytes: 1200, bufferedBytes: 900 }), true],
    ['nothing is left to write', state({ writtenBytes: 400, bufferedBytes: 0 }), true],
    ['the file is another one', state({ writtenBytes: 5000, bufferedBytes: 1, baseBytes: 51 }), false],
    ['the file has shrunk', state({ writtenBytes: 999, bufferedBytes: 1 }), false],
    ['there is no file', state({ enabled: false }), true],
  ];
  for (const [what, later, written] of cases)
    it(`${written ? 'is through' : 'waits on'} when ${what}`, () =>
      expect(isWritten(first, later)).to.equal(written));

  it('reads what Redis says of its file', async () => {
    const redis = await connect('command', redisUrl());
    const before = aofStateOf(await redis.info('persistence'));
    expect(before.enabled).to.equal(true);
    await redis.set('aof-barrier', 'x'.repeat(10_000));
    await new AofBarrier(redis).written();
    const after = aofStateOf(await redis.info('persistence'));
    expect(after.writtenBytes).to.be.at.least(before.writtenBytes + 10_000);
  });

  it('is one round for all callers of a moment, and another one for who comes later', async () => {
    const redis = await connect('command', redisUrl());
    let looks = 0;
    const counting = new Proxy(redis, {
      get: (target, name) => {
        if (name === 'info') looks += 1;
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const barrier = new AofBarrier(counting);
    const waits = Array.from({ length: 100 }, () => barrier.written());
    await Promise.all(waits);
    // The first caller's round, and one for the 99 that came while it ran; a busy Redis may be looked at again.
    expect(looks).to.be.within(2, 20);
  });

  it('lets a Redis without a file be', async () => {
    const server = await startRedis(['--appendonly', 'no']);
    const redis = await connect('command', server.url);
    await new AofBarrier(redis).written();
    await server.stop();
  });

  it('says when Redis is out of reach, and when it came back without the batch', async () => {
    const server = await startRedis();
    const { ledger, redis, submit } = await makeLedgerRig(server.url);
    const id = await submit(1);
    const record = (await ledger.get(id))!;
    await ledger.durable(record);
    await redis.flushall();
    expect(await codeOf(ledger.durable(record))).to.equal('service_unavailable');
    await server.kill();
    expect(await codeOf(ledger.durable(record))).to.equal('service_unavailable');
    await server.stop();
  });
});
