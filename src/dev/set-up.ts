import { join } from 'node:path';
import { SqliteKeyStore } from '../api/keys/sqlite-key-store.ts';
import { openEmbeddedRegistry } from '../registry/embedded.ts';
import { createChildGate } from '../registry/gate.ts';
import type { Settings } from '../settings.ts';
import { prepareDevKey } from './dev-key.ts';
import { registerSamples } from './samples.ts';
import type { Sample } from './samples.ts';

export interface SetUpOptions {
  /** Absolute. */
  readonly home: string;
  readonly samples: readonly Sample[];
  readonly limits: Settings['registry'];
}

export interface SetUp {
  readonly apiKey: string;
  /** Samples that stay as an older checkout registered them. */
  readonly outdated: readonly string[];
}

/**
 * What a home needs before a system can run from it: models in the registry and a key to use them with. Done
 * before the processes start, so nobody has to be told.
 */
export async function setUp({ home, samples, limits }: SetUpOptions): Promise<SetUp> {
  const gate = createChildGate({
    timeoutMs: limits.gate_timeout_ms,
    memoryBytesMax: limits.gate_memory_bytes_max,
  });
  const artifactBytesMax = limits.artifact_bytes_max;
  const stores = openEmbeddedRegistry({ home, gate, changes: null, artifactBytesMax });
  const keys = new SqliteKeyStore(join(home, 'keys.db'));
  try {
    const outdated = await registerSamples(stores.registry, samples);
    return { apiKey: await prepareDevKey(home, keys, Date.now()), outdated };
  } finally {
    await keys.close();
    await stores.close();
  }
}
