import type { Redis } from 'ioredis';
import type { RedisKeys } from '../lanes.ts';
import { redisUnavailable } from '../redis-failure.ts';
import { CostCurve } from './cost-curve.ts';
import type { CurvePoint } from './cost-curve.ts';

/** Port: what workers found out about the run times of versions, for whoever cuts batches into chunks. */
export interface CostCurves {
  /** The newest counts, whichever worker it is of. Throws `service_unavailable` when Redis is out of reach. */
  publish(servedDigest: string, points: readonly CurvePoint[]): Promise<void>;
  /** The same where nothing is known yet: what runs of batches have shown is worth more than a guess. */
  suggest(servedDigest: string, points: readonly CurvePoint[]): Promise<void>;
  /**
   * Most rows of which one host makes a run (or, without a batch axis, runs) of about so long; at least 1. Undefined
   * where no worker has measured the version. Throws `service_unavailable` when Redis is out of reach.
   */
  rowsFor(servedDigest: string, targetMs: number): Promise<number | undefined>;
}

export interface RedisCostCurvesOptions {
  /** A connection of role `command`; stays the caller's. */
  readonly redis: Redis;
  readonly keys: RedisKeys;
}

/** A day: a curve is measured anew whenever a worker loads the version, and published again while batches run. */
const ttlMs = 24 * 3_600_000;

export function createRedisCostCurves({ redis, keys }: RedisCostCurvesOptions): CostCurves {
  return {
    publish: (servedDigest, points) =>
      written(redis.set(keys.costCurve(servedDigest), print(points), 'PX', ttlMs)),
    suggest: (servedDigest, points) =>
      written(redis.set(keys.costCurve(servedDigest), print(points), 'PX', ttlMs, 'NX')),
    rowsFor: async (servedDigest, targetMs) => {
      let text: string | null;
      try {
        text = await redis.get(keys.costCurve(servedDigest));
      } catch (error) {
        throw redisUnavailable(error);
      }
      return text === null ? undefined : new CostCurve(parsePoints(text)).rowsWithin(targetMs);
    },
  };
}

async function written(reply: Promise<unknown>): Promise<void> {
  await reply.catch((error: unknown) => {
    throw redisUnavailable(error);
  });
}

function print(points: readonly CurvePoint[]): string {
  return JSON.stringify(points.map(([rows, ms]) => [Math.round(rows), Number(ms.toFixed(4))]));
}

/** None where the text is not ours: a curve only sizes chunks. */
function parsePoints(text: string): readonly CurvePoint[] {
  try {
    const points: unknown = JSON.parse(text);
    return Array.isArray(points) && points.every(isPoint) ? points : [];
  } catch {
    return [];
  }
}

function isPoint(point: unknown): point is CurvePoint {
  return (
    Array.isArray(point) &&
    Number.isSafeInteger(point[0]) &&
    (point[0] as number) > 0 &&
    Number.isFinite(point[1]) &&
    (point[1] as number) >= 0
  );
}
