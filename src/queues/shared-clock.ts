import type { Redis } from 'ioredis';
import { channels } from '../channels.ts';
import type { FaultEvent } from '../channels.ts';

/**
 * Deadlines cross machines as absolute milliseconds of the Redis server's clock, so that neither side needs a
 * clock of its own that is right.
 */
export interface SharedClock {
  /** Milliseconds since the epoch by the Redis clock, with a fraction. Never steps while Redis is out of reach. */
  nowMs(): number;
  /** Measures the offset anew. Rejects when Redis is out of reach; the last offset then stays in use. */
  synchronize(): Promise<void>;
  /** False until the first measurement: `nowMs` then shows this machine's clock. */
  readonly synchronized: boolean;
  close(): void;
}

export interface SharedClockOptions {
  /** A connection of role `command`; stays the caller's. */
  readonly redis: Redis;
  /** Two quartz clocks drift by up to 100 ms an hour (30 ppm); in 30 s by about 1 ms. */
  readonly refreshMs?: number;
}

const defaultRefreshMs = 30_000;
/** The shortest round trip of a few has the smallest error: half of it is the bound. */
const samplesPerMeasurement = 3;

/** Starts measuring at once, again every `refreshMs` and after every reconnect. */
export function createSharedClock(options: SharedClockOptions): SharedClock {
  const { redis } = options;
  // performance.now() is monotonic: a step of the local clock (NTP, suspend, an operator) moves no deadline.
  let offsetMs = performance.timeOrigin;
  let synchronized = false;

  const synchronize = async (): Promise<void> => {
    offsetMs = await measureOffset(redis);
    synchronized = true;
  };
  const refresh = (): void => {
    if (redis.status === 'ready') void synchronize().catch(publishFault);
  };
  const timer = setInterval(refresh, options.refreshMs ?? defaultRefreshMs);
  redis.on('ready', refresh);
  refresh();

  return {
    nowMs: () => performance.now() + offsetMs,
    synchronize,
    get synchronized() {
      return synchronized;
    },
    close: () => {
      clearInterval(timer);
      redis.off('ready', refresh);
    },
  };
}

async function measureOffset(redis: Redis): Promise<number> {
  let best = { roundTripMs: Number.POSITIVE_INFINITY, offsetMs: 0 };
  for (let sample = 0; sample < samplesPerMeasurement; sample++) {
    const sentAtMs = performance.now();
    // One after the other on purpose: samples in parallel would share one round trip.
    // oxlint-disable-next-line no-await-in-loop
    const [seconds, microseconds] = await redis.time();
    const roundTripMs = performance.now() - sentAtMs;
    const serverMs = Number(seconds) * 1000 + Number(microseconds) / 1000;
    if (roundTripMs < best.roundTripMs)
      best = { roundTripMs, offsetMs: serverMs - (sentAtMs + roundTripMs / 2) };
  }
  return best.offsetMs;
}

function publishFault(error: unknown): void {
  channels.fault.publish({
    component: 'shared-clock',
    message: 'The offset to the Redis clock could not be measured',
    error,
  } satisfies FaultEvent);
}
