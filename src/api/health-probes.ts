import { MillraceError } from '../errors.ts';
import { poolOf } from '../registry/manifest.ts';
import type { Resolver } from '../registry/resolver.ts';
import type { ModelStore } from '../registry/store.ts';
import type { Engine } from './data-plane.ts';
import type { HealthProbe } from './health.ts';

export interface HealthProbesOptions {
  readonly ping: () => Promise<unknown>;
  readonly engine: () => Engine | undefined;
  readonly resolver: Pick<Resolver, 'resolve'>;
  readonly store: Pick<ModelStore, 'revision'>;
  readonly defaultModel: string;
}

/** What this process depends on. `redis` and `model` are in the contract; the others say why those fail. */
export function healthProbes(options: HealthProbesOptions): readonly HealthProbe[] {
  const { ping, engine, resolver, store, defaultModel } = options;
  return [
    { name: 'redis', required: true, check: async () => ping().then(isWell) },
    { name: 'model', required: true, check: async () => modelProblem(engine(), resolver, defaultModel) },
    { name: 'workers', required: true, check: async () => workersProblem(engine()) },
    // The last known models go on serving without it.
    { name: 'registry', required: false, check: async () => store.revision().then(isWell) },
  ];
}

function isWell(): null {
  return null;
}

/** The default model is known and somebody is there to run it. */
function modelProblem(
  engine: Engine | undefined,
  resolver: Pick<Resolver, 'resolve'>,
  name: string,
): string | null {
  try {
    const pool = poolOf(resolver.resolve(name).manifest);
    if (engine?.presence.isServed(pool) === true) return null;
    return `No worker serves pool ${pool}`;
  } catch (error) {
    if (!MillraceError.is(error) || error.code !== 'not_found') throw error;
    return `The default model ${name} is not registered`;
  }
}

function workersProblem(engine: Engine | undefined): string | null {
  const live = engine?.presence.all().filter((worker) => !worker.draining) ?? [];
  return live.length > 0 ? null : 'No worker is there';
}
