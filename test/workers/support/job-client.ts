import type { Redis } from 'ioredis';
import { ulid } from 'ulid';
import { createBullmqProducer } from '../../../src/queues/bullmq-producer.ts';
import { jobSchemaVersion } from '../../../src/queues/job.ts';
import { createRedisKeys } from '../../../src/queues/lanes.ts';
import { createRedisResultReceiver } from '../../../src/queues/redis-result-receiver.ts';
import type { InferenceResult } from '../../../src/queues/result.ts';
import { createSharedClock } from '../../../src/queues/shared-clock.ts';
import type { WorkerHeartbeat } from '../../../src/queues/worker-presence.ts';
import { createRedis } from '../../../src/redis.ts';
import { openEmbeddedStores } from '../../../src/registry/embedded.ts';
import { rowCount } from '../../../src/tensors/batch.ts';
import { encodeTensors } from '../../../src/tensors/binary-codec.ts';
import type { NamedTensors } from '../../../src/tensors/tensor.ts';
import { nextEvent } from '../../queues/inbox.ts';

/** What an API process is to workers, through the same ports. */
export interface JobClient {
  /** One job of one entry; resolves with its result. */
  ask(model: string, tensors: NamedTensors): Promise<InferenceResult>;
  /** The next heartbeat that `wanted` says yes to. */
  heartbeat(wanted: (heartbeat: WorkerHeartbeat) => boolean): Promise<WorkerHeartbeat>;
  /** Resolves when a worker says goodbye. */
  withdrawal(): Promise<string>;
  close(): Promise<void>;
}

const deadlineMs = 15_000;

export async function openJobClient(system: {
  readonly home: string;
  readonly redisUrl: string;
  readonly redisPrefix: string;
}): Promise<JobClient> {
  const keys = createRedisKeys(system.redisPrefix);
  const connect = (role: 'command' | 'producer' | 'subscriber'): Redis =>
    createRedis(role, {
      url: system.redisUrl,
      connectTimeoutMs: 1000,
      commandTimeoutMs: 2000,
      retryDelayMsMax: 100,
      onError: () => {},
    });
  const [redis, adding, subscriber] = [connect('command'), connect('producer'), connect('subscriber')];
  await Promise.all([redis, adding, subscriber].map((client) => nextEvent(client, 'ready')));
  const clock = createSharedClock({ redis });
  await clock.synchronize();
  const stores = openEmbeddedStores(system.home);
  const limits = {
    payloadInlineBytesMax: 131_072,
    payloadTtlMs: 60_000,
    eventsKeptMax: 10,
    failedKeptMax: 10,
  };
  const producer = createBullmqProducer({ redis: adding, keys, ...limits });
  const receiver = await createRedisResultReceiver({ subscriber, redis, keys, replyTo: ulid() });
  await subscriber.subscribe(keys.workerChannel);

  function message<Found>(read: (text: string) => Found | undefined): Promise<Found> {
    return new Promise((resolve) => {
      const onMessage = (channel: string, text: string): void => {
        const found = channel === keys.workerChannel ? read(text) : undefined;
        if (found === undefined) return;
        subscriber.off('message', onMessage);
        resolve(found);
      };
      subscriber.on('message', onMessage);
    });
  }

  return {
    async ask(model, tensors) {
      const version = (await stores.store.getModel(model))?.versions[0];
      if (version === undefined) throw new Error(`${model} is not registered`);
      const id = ulid();
      const settled = new Promise<InferenceResult>((resolve, reject) => {
        receiver.expect(id, (outcome) => {
          if (outcome.kind === 'result') resolve(outcome.result);
          else reject(outcome.error);
        });
      });
      const submittedAtMs = clock.nowMs();
      await producer.add({
        schemaVersion: jobSchemaVersion,
        id,
        model,
        version: version.version,
        servedDigest: version.servedDigest,
        pool: 'default',
        lane: 'online',
        replyTo: receiver.replyTo,
        submittedAtMs,
        entries: [{ requestId: id, rowCount: rowCount(tensors), deadlineMs: submittedAtMs + deadlineMs }],
        outputs: null,
        payload: encodeTensors(tensors),
      });
      return settled;
    },
    heartbeat: (wanted) =>
      message((text) => {
        const heartbeat = JSON.parse(text) as Partial<WorkerHeartbeat>;
        return heartbeat.workerId !== undefined && wanted(heartbeat as WorkerHeartbeat)
          ? (heartbeat as WorkerHeartbeat)
          : undefined;
      }),
    withdrawal: () => message((text) => (JSON.parse(text) as { withdrawn?: string }).withdrawn),
    async close() {
      await receiver.close();
      await producer.close();
      clock.close();
      await stores.close();
      redis.disconnect();
      adding.disconnect();
      subscriber.disconnect();
    },
  };
}
