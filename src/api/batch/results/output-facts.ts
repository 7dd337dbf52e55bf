import type { OutputFacts } from '../../../processing/postprocess/compile.ts';
import { MillraceError } from '../../../errors.ts';
import type { BatchRecord } from '../../../queues/batch/batch.ts';
import type { Resolver } from '../../../registry/resolver.ts';

/** Versions kept after they have gone: some KiB each, mostly labels. */
const versionCountMax = 256;

/**
 * What a batch's results are to be read with. A version may be removed while its batches are still there: it is then
 * remembered by a process that used it before; in others, results show the tensors by name, as those of a model
 * without a task do.
 */
export class FactsOfBatches {
  readonly #resolver: Pick<Resolver, 'resolve'>;
  readonly #known = new Map<string, OutputFacts>();

  constructor(resolver: Pick<Resolver, 'resolve'>) {
    this.#resolver = resolver;
  }

  of({ model, version, servedDigest }: Pick<BatchRecord, 'model' | 'version' | 'servedDigest'>): OutputFacts {
    const key = `${model}/${version}/${servedDigest}`;
    const facts = this.#resolve(model, version, servedDigest) ?? this.#known.get(key);
    if (facts === undefined) return tensorFacts(model, version);
    this.#known.delete(key);
    this.#known.set(key, facts);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= versionCountMax) break;
      this.#known.delete(oldest);
    }
    return facts;
  }

  #resolve(model: string, version: string, servedDigest: string): OutputFacts | undefined {
    try {
      const found = this.#resolver.resolve(model, version);
      // An alias of that name, or another file under the name of one that was removed.
      return found.version === version && found.servedDigest === servedDigest ? found : undefined;
    } catch (error) {
      if (MillraceError.is(error) && error.code === 'not_found') return undefined;
      throw error;
    }
  }
}

function tensorFacts(model: string, version: string): OutputFacts {
  return {
    model,
    version,
    manifest: { schema_version: 1, name: model },
    signature: { inputs: [], outputs: [], batch: { kind: 'dynamic' } },
    labels: null,
    roles: { task: 'tensor' },
  };
}
