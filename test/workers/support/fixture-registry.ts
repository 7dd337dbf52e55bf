import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEmbeddedRegistry } from '../../../src/registry/embedded.ts';
import type { ModelVersion } from '../../../src/registry/model-version.ts';
import type { FolderArtifactStore } from '../../../src/registry/folder-artifact-store.ts';
import { createResolver } from '../../../src/registry/resolver.ts';
import type { Resolver } from '../../../src/registry/resolver.ts';
import { fixturePath } from './hosts.ts';

export interface FixtureRegistry {
  readonly home: string;
  readonly artifacts: FolderArtifactStore;
  /** Follows the registry; `refresh` after registering. */
  readonly versions: Resolver;
  /** Registers a fixture; `manifest` is put over what its file or its name says. */
  register(name: string, manifest?: object): Promise<ModelVersion>;
  close(): Promise<void>;
}

/** No file here needs trying: the fixtures declare the ranks of their outputs. */
const openGate = async (): Promise<ReadonlyMap<string, number>> => new Map();
const noPollMs = 3_600_000;

/** A registry of its own in a temporary folder. */
export async function openFixtureRegistry(): Promise<FixtureRegistry> {
  const home = await mkdtemp(join(tmpdir(), 'millrace-workers-'));
  const stores = openEmbeddedRegistry({
    home,
    gate: openGate,
    changes: null,
    artifactBytesMax: 10_000_000,
  });
  const { store, artifacts, registry } = stores;
  const versions = createResolver({ store, changes: null, pollMs: noPollMs });
  await versions.start();
  return {
    home,
    artifacts,
    versions,
    register: async (name, manifest = {}) => {
      const bytes = await readFile(fixturePath(name));
      const declared = { ...(await readManifest(name)), ...manifest };
      return (await registry.register(bytes, declared, 'test')).version;
    },
    close: async () => {
      await versions.stop();
      await stores.close();
      await rm(home, { recursive: true, force: true });
    },
  };
}

async function readManifest(name: string): Promise<object> {
  try {
    return JSON.parse(await readFile(fixturePath(name).replace('.onnx', '.manifest.json'), 'utf8')) as object;
  } catch {
    return { schema_version: 1, name };
  }
}
