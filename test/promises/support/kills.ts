import { descendantsOf } from '../../support/processes.ts';
import type { StackMember } from '../../support/stack.ts';
import type { Harmable } from './promise-stack.ts';
import type { Random } from './random.ts';
import { lasting } from './schedule.ts';

/** How often each was hit. */
export type HitCounts = Readonly<Record<'api' | 'worker' | 'host' | 'redis', number>>;

/** Each is hit in a round so often: on average one and a half of two APIs, two workers, a host and Redis. */
const hitShare = 0.25;
/** Between rounds, in which work is done, and until what was hit comes back. */
const pauseMsMax = 1500;
const outageMsMax = 1500;
/** Most are killed; some are told to stop, as a deployment does, some stand still and know nothing of it afterwards. */
const hits = ['SIGKILL', 'SIGKILL', 'SIGKILL', 'SIGTERM', 'SIGSTOP'] as const;

/**
 * Rounds in which any of the processes go, several at once or all, each without a word to the others, and come back after
 * a while. Everything is up when it resolves.
 */
export async function killAtRandom(
  { stack, redis }: Harmable,
  random: Random,
  rounds: number,
): Promise<HitCounts> {
  const counts = { api: 0, worker: 0, host: 0, redis: 0 };
  for (let round = 0; round < rounds; round++) {
    // oxlint-disable no-await-in-loop
    await lasting(random.next() * pauseMsMax);
    const apis = stack.apis.filter(() => random.chance(hitShare));
    const workers = stack.workers.filter(() => random.chance(hitShare));
    const hosts = random.chance(hitShare) ? descendantsOf(random.pick(stack.workers).pid) : [];
    // A round that would hit nobody hits what all the others lean on.
    const isRedisHit = random.chance(hitShare) || apis.length + workers.length + hosts.length === 0;
    counts.api += apis.length;
    counts.worker += workers.length;
    counts.host += hosts.length > 0 ? 1 : 0;
    counts.redis += isRedisHit ? 1 : 0;
    if (hosts.length > 0) killHost(random.pick(hosts));
    const outageMs = random.next() * outageMsMax;
    await Promise.all([
      ...[...apis, ...workers].map((member) => hit(member, random.pick(hits), outageMs)),
      ...(isRedisHit
        ? [
            redis
              .kill()
              .then(() => lasting(outageMs))
              .then(() => redis.restart()),
          ]
        : []),
    ]);
    await Promise.all([...apis, ...workers].map((member) => member.ready()));
    // oxlint-enable no-await-in-loop
  }
  return counts;
}

async function hit(member: StackMember, how: (typeof hits)[number], outageMs: number): Promise<void> {
  if (how === 'SIGSTOP') member.signal(how);
  else await member.kill(how);
  await lasting(outageMs);
  if (how === 'SIGSTOP') member.signal('SIGCONT');
  else member.start();
}

/** Its worker starts another one. */
function killHost(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has just ended by itself.
  }
}
