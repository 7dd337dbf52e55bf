import { expect } from 'chai';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { portProblem } from '../../src/dev/ports.ts';
import { shutDownRedis } from '../../src/dev/shut-down-redis.ts';
import { freePort, startRedis } from '../support/redis-server.ts';

describe('ending the Redis of a crashed run', () => {
  it('ends one that takes its password', async () => {
    const redis = await startRedis(['--requirepass', 'ours']);
    await shutDownRedis(`redis://:ours@127.0.0.1:${redis.port}`);
    expect(await portProblem('127.0.0.1', redis.port)).to.equal(undefined);
    await redis.stop();
  });

  it('leaves one alone that has another password, or none', async () => {
    for (const extra of [['--requirepass', 'theirs'], []]) {
      const redis = await startRedis(extra);
      await shutDownRedis(`redis://:ours@127.0.0.1:${redis.port}`);
      expect(await portProblem('127.0.0.1', redis.port)).to.equal('is taken by another program');
      await redis.stop();
    }
  });

  it('goes on when nobody is there, and when somebody hangs up', async () => {
    await shutDownRedis(`redis://:ours@127.0.0.1:${await freePort()}`);
    const server = createServer((socket) => socket.destroy());
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    await shutDownRedis(`redis://:ours@127.0.0.1:${(server.address() as AddressInfo).port}`);
    server.close();
    await once(server, 'close');
  });
});
