import { expect } from 'chai';
import { channels } from '../../src/channels.ts';
import type { FaultEvent } from '../../src/channels.ts';
import { MillraceError } from '../../src/errors.ts';
import type { PresenceAnnouncer, WorkerHeartbeat } from '../../src/queues/worker-presence.ts';
import { Heartbeat } from '../../src/workers/heartbeat.ts';
import { collectEvents } from './support/collect-events.ts';

const said: WorkerHeartbeat = {
  workerId: 'worker-1',
  pool: 'default',
  loaded: ['wine/1'],
  hostCount: 2,
  busyHostCount: 1,
  flagged: [],
  draining: false,
  sentAtMs: 1,
};

describe('heartbeat', () => {
  it('beats at once and at each interval until it says goodbye', async () => {
    const beats: WorkerHeartbeat[] = [];
    const goodbyes: (readonly [string, string])[] = [];
    const third = Promise.withResolvers<void>();
    const announcer: PresenceAnnouncer = {
      announce: async (heartbeat) => {
        if (beats.push(heartbeat) === 3) third.resolve();
      },
      withdraw: async (workerId, pool) => {
        goodbyes.push([workerId, pool]);
      },
    };
    const heartbeat = new Heartbeat({ announcer, intervalMs: 5, describe: () => said });
    heartbeat.start();
    expect(beats).to.deep.equal([said]);
    await third.promise;
    await heartbeat.withdraw();
    expect(goodbyes).to.deep.equal([['worker-1', 'default']]);
  });

  it('says nothing of a worker that never began, nor after its goodbye', async () => {
    const told: string[] = [];
    const announcer: PresenceAnnouncer = {
      announce: async () => void told.push('here'),
      withdraw: async () => void told.push('goodbye'),
    };
    const heartbeat = new Heartbeat({ announcer, intervalMs: 1000, describe: () => said });
    heartbeat.beat();
    await heartbeat.withdraw();
    heartbeat.start();
    await heartbeat.withdraw();
    heartbeat.beat();
    expect(told).to.deep.equal(['here', 'goodbye']);
  });

  it('goes on when Redis does not hear it', async () => {
    const log = collectEvents<FaultEvent>(channels.fault);
    const deaf = (): Promise<void> => Promise.reject(new MillraceError('service_unavailable'));
    const heartbeat = new Heartbeat({
      announcer: { announce: deaf, withdraw: deaf },
      intervalMs: 1000,
      describe: () => said,
    });
    heartbeat.start();
    await log.next(({ message }) => message === 'A heartbeat was lost');
    await heartbeat.withdraw();
    await log.next(({ message }) => message === 'The worker could not say goodbye');
    log.stop();
  });
});
