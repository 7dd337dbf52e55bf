import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { MillraceError } from '../errors.ts';
import type { Registry } from '../registry/registry.ts';
import { packageRoot } from './package-root.ts';

export interface Sample {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly manifest: unknown;
}

/** `examples/models` has one folder a model: `model.onnx` and `manifest.json`. */
export function readSamples(): readonly Sample[] {
  const folder = join(packageRoot, 'examples', 'models');
  const models = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return models
    .map(({ name }) => name)
    .toSorted()
    .map((name) => ({
      name,
      bytes: readFileSync(join(folder, name, 'model.onnx')),
      manifest: JSON.parse(readFileSync(join(folder, name, 'manifest.json'), 'utf8')) as unknown,
    }));
}

/**
 * Registers what is missing; what is there already costs a look at the store. Resolves with the names of those
 * whose version name is taken by another file: an older checkout registered it, and versions never change.
 */
export async function registerSamples(
  registry: Registry,
  samples: readonly Sample[],
): Promise<readonly string[]> {
  const outdated: string[] = [];
  for (const { name, bytes, manifest } of samples) {
    try {
      await registry.register(bytes, manifest, 'npm start');
    } catch (error) {
      if (!MillraceError.is(error) || error.code !== 'conflict') throw error;
      outdated.push(name);
    }
  }
  return outdated;
}
