import { descendantsOf } from '../../support/processes.ts';
import type { Harmable } from './promise-stack.ts';
import type { Random } from './random.ts';
import { lasting } from './schedule.ts';

/** How often each was killed. */
export type KillCounts = Readonly<Record<Victim, number>>;

const victims = ['api', 'worker', 'host', 'redis'] as const;
type Victim = (typeof victims)[number];

/** Each of them is hit in a round so often: on average one and a half of two APIs, two workers, a host and Redis. */
const hitShare = 0.25;
/** Between rounds, and of what was hit; work is done in between. */
const pauseMsMax = 1500;
const outageMsMax = 1000;

/**
 * Rounds of kill -9: any of the processes, several at once or none left, down for a while and started again. Everything
 * is up when it resolves.
 */
export async function killAtRandom(
  { stack, redis }: Harmable,
  random: Random,
  rounds: number,
): Promise<KillCounts> {
  const counts = { api: 0, worker: 0, host: 0, redis: 0 };
  for (let round = 0; round < rounds; round++) {
    // oxlint-disable no-await-in-loop
    await lasting(random.next() * pauseMsMax);
    const apis = stack.apis.filter(() => random.chance(hitShare));
    const workers = stack.workers.filter(() => random.chance(hitShare));
    const hosts = random.chance(hitShare) ? descendantsOf(random.pick(stack.workers).pid) : [];
    // The first of a round that hits nobody is Redis: what all the others lean on.
    const isRedisHit = random.chance(hitShare) || apis.length + workers.length + hosts.length === 0;
    counts.api += apis.length;
    counts.worker += workers.length;
    counts.host += hosts.length > 0 ? 1 : 0;
    counts.redis += isRedisHit ? 1 : 0;
    if (hosts.length > 0) killHost(random.pick(hosts));
    await Promise.all([
      ...[...apis, ...workers].map((member) => member.kill('SIGKILL')),
      ...(isRedisHit ? [redis.kill()] : []),
    ]);
    await lasting(random.next() * outageMsMax);
    if (isRedisHit) await redis.restart();
    for (const member of [...apis, ...workers]) member.start();
    await Promise.all([...apis, ...workers].map((member) => member.ready()));
    // oxlint-enable no-await-in-loop
  }
  return counts;
}

/** Its worker starts another one. */
function killHost(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has just ended by itself.
  }
}
