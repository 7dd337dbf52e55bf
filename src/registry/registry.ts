import { channels } from '../channels.ts';
import type { FaultEvent, NoticeEvent } from '../channels.ts';
import { MillraceError } from '../errors.ts';
import { checkInputRules } from '../processing/input-rules.ts';
import { inferRoles } from '../processing/roles.ts';
import { describe } from '../validation.ts';
import type { ArtifactStore } from './artifact-store.ts';
import type { RegistryChanges } from './changes.ts';
import { digestOf } from './digest.ts';
import type { Gate } from './gate.ts';
import type { Manifest } from './manifest.ts';
import { invalidManifest, parseManifest } from './manifest-schema.ts';
import { isName, printVersion } from './model-ref.ts';
import type { Label, Model, ModelVersion, OutputRoles } from './model-version.ts';
import { readOnnxGraph } from './onnx-graph.ts';
import { batchAxisOf, completeSignature } from './signature.ts';
import type { Signature } from './signature.ts';
import { isSameVersion } from './store.ts';
import type { ModelStore, VersionDraft } from './store.ts';

export interface RegistryOptions {
  readonly store: ModelStore;
  readonly artifacts: ArtifactStore;
  readonly gate: Gate;
  /** Null: nobody is told; other processes see a change at their next poll. */
  readonly changes: RegistryChanges | null;
  readonly limits: { readonly artifactBytesMax: number };
}

export interface Registration {
  readonly kind: 'created' | 'exists';
  readonly version: ModelVersion;
}

export function createRegistry(options: RegistryOptions): Registry {
  return new Registry(options);
}

/** The control plane: adds versions and moves aliases. */
export class Registry {
  readonly #options: RegistryOptions;

  constructor(options: RegistryOptions) {
    this.#options = options;
  }

  /**
   * Makes a version of an ONNX file and its manifest. The same bytes with the same manifest are the same
   * version (`exists`), found before any work is done. Artifacts are stored before the version that names them.
   * Throws `invalid_input` (file or manifest), `payload_too_large`, `conflict` (the version name is taken), and what the
   * stores throw.
   */
  async register(bytes: Uint8Array, manifest: unknown, createdBy: string): Promise<Registration> {
    const parsed = parseManifest(manifest);
    const { artifactBytesMax } = this.#options.limits;
    if (bytes.byteLength > artifactBytesMax)
      throw new MillraceError('payload_too_large', 'The ONNX file is too large', {
        details: `at most ${artifactBytesMax} bytes`,
      });
    const digest = digestOf(bytes);
    const known = await this.#known(parsed, digest);
    if (known !== undefined) return { kind: 'exists', version: known };
    const { draft, served } = await this.#examine(bytes, parsed, { digest, createdBy });
    await this.#options.artifacts.put(bytes);
    if (draft.servedDigest !== digest) await this.#options.artifacts.put(served);
    const outcome = await this.#options.store.putVersion(draft);
    if (outcome.kind === 'conflict') throw conflict(outcome.version);
    if (outcome.kind === 'created') await this.#announce('registered', outcome.version);
    return { kind: outcome.kind, version: outcome.version };
  }

  /** Points an alias at a version. Throws `invalid_input`, `not_found`, or `conflict` for a version's own name. */
  async setAlias(model: string, alias: string, version: string): Promise<void> {
    if (!isName(alias))
      throw new MillraceError('invalid_input', 'Not a name for an alias', {
        details: [{ path: 'alias', expected: 'letters, digits, . _ -', found: describe(alias) }],
      });
    const versions = (await this.#options.store.getModel(model))?.versions ?? [];
    if (versions.some((known) => known.version === alias))
      throw new MillraceError(
        'conflict',
        `${model} has a version named ${alias}, which would hide the alias`,
      );
    await this.#options.store.setAlias(model, alias, version);
    await this.#announce(`alias ${alias} moved`, { model, version });
  }

  /** All models by name, ascending. */
  list(): Promise<readonly Model[]> {
    return this.#options.store.listModels();
  }

  get(model: string): Promise<Model | undefined> {
    return this.#options.store.getModel(model);
  }

  /** The version that this registration already is, if its artifacts are there too. Throws `conflict`. */
  async #known(manifest: Manifest, digest: string): Promise<ModelVersion | undefined> {
    const model = await this.#options.store.getModel(manifest.name);
    if (model === undefined) return undefined;
    const same = model.versions.find((version) => isSameVersion(version, { digest, manifest }));
    if (same === undefined) {
      const { version } = manifest;
      const taken = model.versions.find((known) => known.version === version);
      if (taken !== undefined) throw conflict(taken);
      if (version !== undefined && Object.hasOwn(model.aliases, version))
        throw new MillraceError('conflict', `${model.name} has an alias named ${version}`);
      return undefined;
    }
    const { artifacts } = this.#options;
    const whole = (await artifacts.has(digest)) && (await artifacts.has(same.servedDigest));
    return whole ? same : undefined;
  }

  async #examine(
    bytes: Uint8Array,
    manifest: Manifest,
    origin: { readonly digest: string; readonly createdBy: string },
  ): Promise<{ readonly draft: VersionDraft; readonly served: Uint8Array }> {
    const graph = readOnnxGraph(bytes);
    const labels = chooseLabels(manifest, graph.labels);
    const batch = batchAxisOf(graph.declared, manifest);
    const misfits = checkInputRules({
      manifest,
      signature: completeSignature(graph.declared, batch, new Map()),
    });
    if (misfits.length > 0) throw invalidManifest(misfits);
    const request = { manifest, declared: graph.declared, batch, labels };
    const ranks = await this.#options.gate(graph.served, request);
    const signature = completeSignature(graph.declared, batch, ranks);
    const roles = inferRoles(manifest, signature);
    checkLabelCount(labels, roles, signature);
    const draft: VersionDraft = {
      model: manifest.name,
      version: manifest.version ?? null,
      digest: origin.digest,
      servedDigest: graph.served === bytes ? origin.digest : digestOf(graph.served),
      artifactBytes: bytes.byteLength,
      manifest,
      signature,
      labels,
      roles,
      status: 'ready',
      createdAtMs: Date.now(),
      createdBy: origin.createdBy,
    };
    return { draft, served: graph.served };
  }

  /** The version stands, whether or not anyone could be told: polls find it. */
  async #announce(
    message: string,
    version: { readonly model: string; readonly version: string },
  ): Promise<void> {
    const notice: NoticeEvent = {
      component: 'registry',
      message,
      fields: { model: version.model, version: version.version },
    };
    channels.notice.publish(notice);
    try {
      await this.#options.changes?.announce();
    } catch (error) {
      const fault: FaultEvent = { component: 'registry', message: 'A change was not announced', error };
      channels.fault.publish(fault);
    }
  }
}

function conflict(taken: ModelVersion): MillraceError {
  return new MillraceError('conflict', `${printVersion(taken)} exists with another file or manifest`, {
    details: { digest: taken.digest },
  });
}

/**
 * The manifest speaks first. It may give names to classes that the graph merely numbers 0, 1, …. Where the graph
 * names them itself, another order or other names would put labels beside the wrong probabilities.
 */
function chooseLabels(manifest: Manifest, ofGraph: readonly Label[] | null): readonly Label[] | null {
  const { labels } = manifest;
  if (labels === undefined) return manifest.task === 'regression' ? null : ofGraph;
  if (ofGraph === null) return labels;
  if (ofGraph.length !== labels.length) throw labelCount(labels.length, ofGraph.length);
  if (ofGraph.every((label, index) => label === index || label === labels[index])) return labels;
  throw invalidManifest([
    {
      path: 'labels',
      expected: `the classes that the model names, ${JSON.stringify(ofGraph)}, or nothing`,
      found: JSON.stringify(labels),
    },
  ]);
}

function checkLabelCount(labels: readonly Label[] | null, roles: OutputRoles, signature: Signature): void {
  if (labels === null || roles.task !== 'classification') return;
  const output = signature.outputs.find(({ name }) => name === roles.probabilities);
  const classCount = output?.shape.at(-1) ?? -1;
  // One score a row stands for two classes.
  if (output === undefined || output.shape.length < 2 || classCount < 2) return;
  if (classCount !== labels.length) throw labelCount(labels.length, classCount);
}

function labelCount(given: number, needed: number): MillraceError {
  return invalidManifest([
    { path: 'labels', expected: `${needed} labels, as the model has classes`, found: `${given}` },
  ]);
}
