import { channels } from '../channels.ts';
import type { FaultEvent } from '../channels.ts';
import { poolOf } from '../registry/manifest.ts';
import type { Model, ModelVersion } from '../registry/model-version.ts';
import type { ModelPool } from './model-pool.ts';

/**
 * Ready versions of a pool, the most important first: the default version of the default model, of the other
 * models, then the rest, newest first.
 */
export function preloadOrder(
  models: readonly Model[],
  pool: string,
  defaultModel: string,
): readonly ModelVersion[] {
  const rank = (version: ModelVersion): number => {
    const isDefault = models.some(
      ({ name, aliases }) => name === version.model && aliases['default'] === version.version,
    );
    if (!isDefault) return 2;
    return version.model === defaultModel ? 0 : 1;
  };
  return models
    .flatMap(({ versions }) => versions)
    .filter((version) => version.status === 'ready' && poolOf(version.manifest) === pool)
    .toSorted((a, b) => rank(a) - rank(b) || b.createdAtMs - a.createdAtMs);
}

/** Loads in the given order whatever fits; a version that cannot be loaded is left for the job that asks for it. */
export async function preload(
  versions: readonly ModelVersion[],
  models: ModelPool,
  stopping: AbortSignal,
): Promise<void> {
  for (const version of versions) {
    if (stopping.aborted) return;
    if (models.holds(version) || !models.hasRoomFor(version)) continue;
    try {
      const lease = await models.acquire(version);
      lease.release();
    } catch (error) {
      const message = `${version.model}/${version.version} could not be loaded ahead`;
      channels.fault.publish({ component: 'preload', message, error } satisfies FaultEvent);
    }
  }
}
