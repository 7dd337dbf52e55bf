import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/dev/package-root.ts';
import type { Manifest } from '../../src/registry/manifest.ts';
import type { StackModel } from '../support/stack.ts';

const folder = 'test/fixtures/models';

/** Models of test/fixtures by name, each with the manifest that its README says, for `startStack`. */
export function fixtureModels(...names: readonly string[]): readonly StackModel[] {
  return names.map((name) => ({ file: `${folder}/${name}.onnx`, manifest: manifestOf(name) }));
}

function manifestOf(name: string): Manifest {
  const path = join(packageRoot, folder, `${name}.manifest.json`);
  if (!existsSync(path)) return { schema_version: 1, name };
  return JSON.parse(readFileSync(path, 'utf8')) as Manifest;
}
