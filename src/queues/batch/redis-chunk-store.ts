import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { MillraceError } from '../../errors.ts';
import type { ArtifactStore } from '../../registry/artifact-store.ts';
import type { RedisKeys } from '../lanes.ts';
import { redisUnavailable } from '../redis-failure.ts';
import type { ChunkRef } from './batch.ts';
import type { ChunkPlace, ChunkStore } from './batch-ledger.ts';
import { createLedgerScripts } from './ledger-scripts.ts';

export interface ChunkStoreOptions {
  /** A connection of role `command`; stays the caller's. */
  readonly redis: Redis;
  readonly keys: RedisKeys;
  readonly artifacts: ArtifactStore;
  /** Of a batch, inputs and results: what comes beyond goes to the artifact store. */
  readonly redisBytesMax: number;
}

export function createChunkStore(options: ChunkStoreOptions): ChunkStore {
  const { redis, keys, artifacts, redisBytesMax } = options;
  const run = createLedgerScripts({ redis, root: keys.batches, uploadLeaseMs: 0 });

  const read = async (
    hash: string,
    { index }: ChunkRef,
    place: ChunkPlace,
  ): Promise<Uint8Array | undefined> => {
    if (place.kind === 'artifact') return artifacts.get(place.digest).catch(absent);
    const bytes = await redis.hgetBuffer(hash, String(index)).catch((error: unknown) => {
      throw redisUnavailable(error);
    });
    return bytes ?? undefined;
  };

  return {
    place: async (id, bytes, redisBytesSoFar) => {
      if (redisBytesSoFar + bytes.length <= redisBytesMax) return { kind: 'redis', bytes };
      const digest = createHash('sha256').update(bytes).digest('hex');
      // Before they are put: whatever happens then, they are removed with the batch.
      if ((await run('note-digest', id, digest)) === 0) throw new MillraceError('not_found', 'No such batch');
      await artifacts.put(bytes);
      return { kind: 'artifact', digest };
    },
    readInput: (ref, place) => read(keys.batchInputs(ref.batchId), ref, place),
    readResult: (ref, place) => read(keys.batchResults(ref.batchId), ref, place),
    remove: (digest) => artifacts.remove(digest),
  };
}

function absent(error: unknown): undefined {
  if (MillraceError.is(error) && error.code === 'not_found') return undefined;
  throw error;
}
