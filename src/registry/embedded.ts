import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { RegistryChanges } from './changes.ts';
import { FolderArtifactStore } from './folder-artifact-store.ts';
import type { Gate } from './gate.ts';
import { createRegistry } from './registry.ts';
import type { Registry } from './registry.ts';
import { SqliteStore } from './sqlite-store.ts';
import type { ModelStore } from './store.ts';

export interface EmbeddedStores {
  readonly store: ModelStore;
  readonly artifacts: FolderArtifactStore;
  close(): Promise<void>;
}

/** The embedded default: `registry.db` and `artifacts/` under `home`, shared by the processes of one machine. */
export function openEmbeddedStores(home: string): EmbeddedStores {
  mkdirSync(home, { recursive: true });
  const store = new SqliteStore(join(home, 'registry.db'));
  const artifacts = new FolderArtifactStore(join(home, 'artifacts'));
  return { store, artifacts, close: () => store.close() };
}

export interface EmbeddedRegistryOptions {
  readonly home: string;
  readonly gate: Gate;
  /** Null: other processes see changes at their next poll. */
  readonly changes: RegistryChanges | null;
  readonly artifactBytesMax: number;
}

/** The stores and the facade over them, for processes that register. The caller closes it. */
export function openEmbeddedRegistry(
  options: EmbeddedRegistryOptions,
): EmbeddedStores & { readonly registry: Registry } {
  const stores = openEmbeddedStores(options.home);
  const registry = createRegistry({
    store: stores.store,
    artifacts: stores.artifacts,
    gate: options.gate,
    changes: options.changes,
    limits: { artifactBytesMax: options.artifactBytesMax },
  });
  return { ...stores, registry };
}
