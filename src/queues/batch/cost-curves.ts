import type { Redis } from 'ioredis';
import type { RedisKeys } from '../lanes.ts';
import { redisUnavailable } from '../redis-failure.ts';
import { CostCurve } from './cost-curve.ts';
import type { CurvePoint } from './cost-curve.ts';

/** Port: what workers found out about the run times of versions, for whoever cuts batches into chunks. */
export interface CostCurves {
  /** What bulk runs took. The newest counts, whichever worker it is of. Throws `service_unavailable` when Redis is out of reach. */
  publish(servedDigest: string, points: readonly CurvePoint[]): Promise<void>;
  /**
   * The same of zeros, where nothing is known yet: rows of another kind may take a thousand times as long, so that
   * `rowsFor` stays small until runs of batches have shown how long they do.
   */
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
/** Of which only zeros were measured: the first chunks of its first batch, until the first run has ended. */
const rowsUnseenMax = 64;

/** As it is kept: `seen` tells runs of batches from zeros. */
interface StoredCurve {
  readonly seen: boolean;
  readonly points: readonly CurvePoint[];
}

export function createRedisCostCurves({ redis, keys }: RedisCostCurvesOptions): CostCurves {
  return {
    publish: (servedDigest, points) =>
      written(redis.set(keys.costCurve(servedDigest), print({ seen: true, points }), 'PX', ttlMs)),
    suggest: (servedDigest, points) =>
      written(redis.set(keys.costCurve(servedDigest), print({ seen: false, points }), 'PX', ttlMs, 'NX')),
    rowsFor: async (servedDigest, targetMs) => {
      let text: string | null;
      try {
        text = await redis.get(keys.costCurve(servedDigest));
      } catch (error) {
        throw redisUnavailable(error);
      }
      const { seen, points } = parse(text);
      const rows = new CostCurve(points).rowsWithin(targetMs);
      return seen || rows === undefined ? rows : Math.min(rows, rowsUnseenMax);
    },
  };
}

async function written(reply: Promise<unknown>): Promise<void> {
  await reply.catch((error: unknown) => {
    throw redisUnavailable(error);
  });
}

function print({ seen, points }: StoredCurve): string {
  const rounded = points.map(([rows, ms]) => [Math.round(rows), Number(ms.toFixed(4))]);
  return JSON.stringify({ seen, points: rounded });
}

/** Without points where the text is not ours: a curve only sizes chunks. */
function parse(text: string | null): StoredCurve {
  try {
    const stored = JSON.parse(text ?? 'null') as Partial<StoredCurve> | null;
    const points: unknown = stored?.points;
    if (Array.isArray(points) && points.every(isPoint)) return { seen: stored?.seen === true, points };
  } catch {
    // Not JSON.
  }
  return { seen: false, points: [] };
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
