import { channels } from '../channels.ts';
import type { FaultEvent, NoticeEvent } from '../channels.ts';
import { MillraceError } from '../errors.ts';
import { nearestName } from '../validation.ts';
import type { RegistryChanges } from './changes.ts';
import { defaultAlias } from './model-ref.ts';
import type { Model, ModelVersion } from './model-version.ts';
import type { ModelStore } from './store.ts';

export interface ResolverOptions {
  readonly store: ModelStore;
  /** Null: the poll alone brings changes. */
  readonly changes: RegistryChanges | null;
  /** How late a change can be seen when its announcement is missed. */
  readonly pollMs: number;
}

export type ModelsListener = (models: readonly Model[]) => void;

interface KnownModel {
  readonly model: Model;
  /** Versions by name and by alias; a version of that name comes first. */
  readonly versions: ReadonlyMap<string, ModelVersion>;
}

export function createResolver(options: ResolverOptions): Resolver {
  return new Resolver(options);
}

/**
 * What names mean, from memory. A frozen snapshot of the registry is read again at an announcement, after a
 * reconnect, and when a slow poll finds another revision. While the store is out of reach the last snapshot
 * goes on serving.
 *
 * Archived versions still resolve by their own name: archiving takes a version out of the choice, it does not break
 * callers who pinned it.
 */
export class Resolver {
  readonly #options: ResolverOptions;
  readonly #listeners = new Set<ModelsListener>();
  #models: ReadonlyMap<string, KnownModel> = new Map();
  #list: readonly Model[] = [];
  #revision = -1;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #wanted = false;
  #faulty = false;

  constructor(options: ResolverOptions) {
    this.#options = options;
  }

  /** Reads the registry once, then follows it. Throws what the store throws. */
  async start(): Promise<void> {
    await this.#options.changes?.subscribe(this.#refreshQuietly);
    await this.refresh();
    this.#timer = setInterval(this.#refreshQuietly, this.#options.pollMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#options.changes?.close();
    await this.#running?.catch(() => undefined);
  }

  /** On the hot path: two map look-ups. `ref` is a version name or an alias. Throws `not_found` that says what exists. */
  resolve(model: string, ref: string = defaultAlias): ModelVersion {
    const known = this.#known(model);
    const version = known.versions.get(ref);
    if (version === undefined) throw notFound(`version of ${model}`, ref, [...known.versions.keys()]);
    return version;
  }

  /** Throws `not_found` that says what exists. */
  model(name: string): Model {
    return this.#known(name).model;
  }

  /** By name, ascending. */
  models(): readonly Model[] {
    return this.#list;
  }

  /** Called after each change of the snapshot. Returns what ends it. */
  onChange(listener: ModelsListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Looks whether the registry changed and reads it if so. A call during a read waits for another one, which begins
   * after it: what was stored before the call is seen. Throws what the store throws.
   */
  async refresh(): Promise<void> {
    this.#wanted = true;
    while (this.#wanted) {
      this.#running ??= this.#read().finally(() => {
        this.#running = undefined;
      });
      await this.#running;
    }
  }

  async #read(): Promise<void> {
    this.#wanted = false;
    // The revision first: a change in between is then read twice, never missed.
    const revision = await this.#options.store.revision();
    if (revision === this.#revision) return;
    const models = await this.#options.store.listModels();
    this.#list = Object.freeze([...models]);
    this.#models = new Map(models.map((model) => [model.name, index(model)]));
    this.#revision = revision;
    for (const listener of this.#listeners) notify(listener, this.#list);
  }

  #known(name: string): KnownModel {
    const known = this.#models.get(name);
    if (known === undefined) throw notFound('model', name, [...this.#models.keys()]);
    return known;
  }

  /** One fault for an outage, one notice for its end: a poll every few seconds would fill the log. */
  readonly #refreshQuietly = (): void => {
    this.refresh().then(
      () => {
        if (!this.#faulty) return;
        this.#faulty = false;
        const event: NoticeEvent = { component: 'registry', message: 'The registry is back in reach' };
        channels.notice.publish(event);
      },
      (error: unknown) => {
        if (this.#faulty) return;
        this.#faulty = true;
        fault('The registry is out of reach: the last known models go on serving', error);
      },
    );
  };
}

function index(model: Model): KnownModel {
  const byName = new Map(model.versions.map((version) => [version.version, version]));
  const versions = new Map(byName);
  for (const [alias, name] of Object.entries(model.aliases)) {
    const target = byName.get(name);
    if (target !== undefined && !byName.has(alias)) versions.set(alias, target);
  }
  return { model, versions };
}

function notify(listener: ModelsListener, models: readonly Model[]): void {
  try {
    listener(models);
  } catch (error) {
    fault('A listener to the registry failed', error);
  }
}

function fault(message: string, error: unknown): void {
  const event: FaultEvent = { component: 'registry', message, error };
  channels.fault.publish(event);
}

/** Names listed in a message: enough to choose from, too few to flood. */
const listedNamesMax = 8;

function notFound(what: string, name: string, known: readonly string[]): MillraceError {
  const nearest = nearestName(name, known);
  const listed = known.slice(0, listedNamesMax).join(', ');
  const more = known.length > listedNamesMax ? ` and ${known.length - listedNamesMax} more` : '';
  const hint = nearest === undefined ? '' : `; did you mean ${nearest}?`;
  return new MillraceError('not_found', `No such ${what}`, {
    details: known.length === 0 ? 'none exist' : `known: ${listed}${more}${hint}`,
  });
}
