import { MillraceError, toMillraceError } from '../errors.ts';
import type { LocalArtifacts } from '../registry/artifact-cache.ts';
import type { ModelVersion } from '../registry/model-version.ts';
import type { Signature } from '../registry/signature.ts';
import { encodeTensors } from '../tensors/binary-codec.ts';
import { carrierOf, makeArray } from '../tensors/datatype.ts';
import { elementCount } from '../tensors/shape.ts';
import type { NamedTensors, Tensor } from '../tensors/tensor.ts';
import type { TensorSpec } from '../tensors/tensor-spec.ts';
import type { HostPool } from './host-pool.ts';

export interface ModelPoolOptions {
  readonly hosts: HostPool;
  /** A file is held while its version is loaded: hosts that are replaced load it again. */
  readonly artifacts: LocalArtifacts;
  /**
   * Counts artifact bytes × hosts, since every host holds every version: a floor, as ONNX Runtime adds packed
   * weights and its arena (66 MB of file took 65 to 70 MB of memory; small files take a few MB each).
   */
  readonly loadedBytesMax: number;
  /** For a load: waiting for a host, loading and warming up in it. */
  readonly loadTimeoutMs: number;
  readonly intraOpThreads: number;
  /** Told of a version that was not loaded before, once a host holds it. */
  readonly onLoaded?: (version: ModelVersion) => void;
}

/** The right to run a loaded version: until `release`, it stays loaded. */
export interface Lease {
  readonly key: string;
  release(): void;
}

interface Resident {
  readonly name: string;
  readonly digest: string;
  readonly bytes: number;
  readonly loaded: Promise<void>;
  isLoaded: boolean;
  useCount: number;
}

interface Refusal {
  readonly error: unknown;
  readonly untilMs: number;
}

/** How long a version that cannot be loaded is not tried again: each try may cost two hosts, which others wait for. */
const refusedMs = 10_000;
/** A warm-up with no example to go by. */
const warmupBatchSizes = [1];

/** Which versions are loaded: loads on demand, one load a version at a time, unloads the least recently used. */
export class ModelPool {
  readonly #options: ModelPoolOptions;
  /** By session key, least recently used first. */
  readonly #residents = new Map<string, Resident>();
  /** By session key: one for a version at most. */
  readonly #refusals = new Map<string, Refusal>();

  constructor(options: ModelPoolOptions) {
    this.#options = options;
  }

  /** `model/version` of what is loaded in one host at least. */
  get loadedNames(): readonly string[] {
    return [...this.#residents.values()].filter(({ isLoaded }) => isLoaded).map(({ name }) => name);
  }

  get loadedBytes(): number {
    let bytes = 0;
    for (const resident of this.#residents.values()) bytes += resident.bytes;
    return bytes;
  }

  /** Whether the version is loaded or being loaded. */
  holds(version: ModelVersion): boolean {
    return this.#residents.has(sessionKey(version));
  }

  /** Whether the version could be loaded without unloading another. */
  hasRoomFor(version: ModelVersion): boolean {
    return this.loadedBytes + this.#bytesOf(version) <= this.#options.loadedBytesMax;
  }

  /**
   * Loads the version unless it is loaded, and holds it. Throws `service_unavailable` when it is larger than
   * the memory bound or did not load in time, `bad_gateway` when its file is missing or damaged, `internal_error`
   * when it cannot be loaded: then the same again without another try for a while.
   */
  async acquire(version: ModelVersion): Promise<Lease> {
    const key = sessionKey(version);
    const resident = this.#resident(key) ?? this.#begin(key, version);
    resident.useCount += 1;
    this.#touch(key, resident);
    try {
      await resident.loaded;
    } catch (error) {
      resident.useCount -= 1;
      throw error;
    }
    return { key, release: () => this.#release(resident) };
  }

  /** A version whose loading ended its hosts, also after a restart, has lost its place: it is loaded anew. */
  #resident(key: string): Resident | undefined {
    const resident = this.#residents.get(key);
    if (resident?.isLoaded === true && !this.#options.hosts.isResident(key)) {
      this.#residents.delete(key);
      this.#unload(key, resident.digest);
      return undefined;
    }
    return resident;
  }

  #bytesOf({ artifactBytes }: ModelVersion): number {
    return artifactBytes * this.#options.hosts.hostCount;
  }

  #begin(key: string, version: ModelVersion): Resident {
    const bytes = this.#bytesOf(version);
    const { loadedBytesMax } = this.#options;
    const refusal = this.#refusals.get(key);
    if (refusal !== undefined && performance.now() < refusal.untilMs) throw refusal.error;
    this.#refusals.delete(key);
    const name = `${version.model}/${version.version}`;
    if (bytes > loadedBytesMax)
      throw new MillraceError(
        'service_unavailable',
        `${name} takes ${bytes} bytes over all hosts; worker.loaded_bytes_max is ${loadedBytesMax}`,
      );
    this.#makeRoom(loadedBytesMax - bytes);
    const resident: Resident = {
      name,
      digest: version.servedDigest,
      bytes,
      loaded: this.#load(key, version),
      isLoaded: false,
      useCount: 0,
    };
    this.#residents.set(key, resident);
    resident.loaded.then(
      () => {
        resident.isLoaded = true;
        this.#options.onLoaded?.(version);
      },
      (error: unknown) => {
        if (this.#residents.get(key) === resident) this.#residents.delete(key);
        if (toMillraceError(error).code === 'internal_error')
          this.#refusals.set(key, { error, untilMs: performance.now() + refusedMs });
      },
    );
    return resident;
  }

  async #load(key: string, version: ModelVersion): Promise<void> {
    const { hosts, artifacts, loadTimeoutMs, intraOpThreads } = this.#options;
    const { model, version: name, servedDigest: digest } = version;
    try {
      const path = await artifacts.ensureLocal(digest);
      const spec = {
        key,
        model,
        version: name,
        path,
        digest,
        intraOpThreads,
        warmups: warmupInputs(version),
      };
      const late = `Loading ${key} took longer than ${loadTimeoutMs} ms`;
      await withinTime(hosts.load(spec), loadTimeoutMs, late).catch((error: unknown) => {
        this.#unload(key, digest);
        throw error;
      });
    } catch (error) {
      throw toLoadError(error, version);
    }
  }

  #unload(key: string, digest: string): void {
    this.#options.hosts.unload(key);
    this.#options.artifacts.release(digest);
  }

  /** Versions in use stay: then the bound is passed until they are released. */
  #makeRoom(bytesMax: number): void {
    let bytes = this.loadedBytes;
    for (const [key, resident] of this.#residents) {
      if (bytes <= bytesMax) return;
      if (resident.useCount > 0 || !resident.isLoaded) continue;
      this.#residents.delete(key);
      this.#unload(key, resident.digest);
      bytes -= resident.bytes;
    }
  }

  #release(resident: Resident): void {
    resident.useCount -= 1;
    this.#makeRoom(this.#options.loadedBytesMax);
  }

  #touch(key: string, resident: Resident): void {
    this.#residents.delete(key);
    this.#residents.set(key, resident);
  }
}

/** A registered version that is missing or cannot be loaded is nobody's bad request. */
function toLoadError(error: unknown, { model, version }: ModelVersion): MillraceError {
  const known = toMillraceError(error);
  if (known.code === 'not_found')
    return new MillraceError('bad_gateway', `The artifact of ${model}/${version} is missing`, {
      cause: error,
    });
  if (known.code === 'invalid_input')
    return new MillraceError('internal_error', `${model}/${version}: ${known.message}`, { cause: error });
  return known;
}

export function sessionKey({ model, version, servedDigest }: ModelVersion): string {
  return `${model}/${version}@${servedDigest}`;
}

/** Packed, for each batch size. */
export function warmupInputs({ signature, manifest }: ModelVersion): readonly Uint8Array[] {
  const sizes =
    signature.batch.kind === 'dynamic'
      ? (manifest.warmup?.batch_sizes ?? warmupBatchSizes)
      : warmupBatchSizes;
  return sizes.map((size) => encodeTensors(zeroInputs(signature, size)));
}

/** Zeros and empty strings as the graph takes them; open dimensions count 1. */
export function zeroInputs({ inputs }: Signature, rows: number): NamedTensors {
  return new Map(inputs.map((spec) => [spec.name, zeroTensor(spec, rows)] as const));
}

function zeroTensor(spec: TensorSpec, batchSize: number): Tensor {
  const datatype = carrierOf(spec.datatype);
  const shape = spec.shape.map((dimension, axis) =>
    dimension >= 0 ? dimension : axis === 0 ? batchSize : 1,
  );
  const count = elementCount(shape);
  const data = datatype === 'BYTES' ? Array.from({ length: count }, () => '') : makeArray(datatype, count);
  return { datatype, shape, data };
}

async function withinTime(work: Promise<void>, timeoutMs: number, message: string): Promise<void> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new MillraceError('service_unavailable', message)), timeoutMs);
  try {
    await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
