import { inferRoles } from '../../src/processing/roles.ts';
import type { Manifest } from '../../src/registry/manifest.ts';
import type { ModelVersion } from '../../src/registry/model-version.ts';
import type { BatchAxis } from '../../src/registry/signature.ts';
import type { CarriedDatatype, Datatype } from '../../src/tensors/datatype.ts';
import { makeArray } from '../../src/tensors/datatype.ts';
import { makeTensor } from '../../src/tensors/tensor.ts';
import type { Tensor } from '../../src/tensors/tensor.ts';
import type { TensorSpec } from '../../src/tensors/tensor-spec.ts';

export function spec(name: string, datatype: Datatype, shape: readonly number[]): TensorSpec {
  return { name, datatype, shape };
}

/** A tensor from plain elements: numbers, BigInts or strings as the datatype has them. */
export function tensor(
  datatype: CarriedDatatype,
  shape: readonly number[],
  elements: readonly (number | bigint | string)[],
): Tensor {
  if (datatype === 'BYTES') return makeTensor(datatype, shape, elements as readonly string[]);
  const data = makeArray(datatype, elements.length);
  for (const [index, element] of elements.entries()) (data as { [index: number]: unknown })[index] = element;
  return makeTensor(datatype, shape, data);
}

export interface VersionParts extends Partial<Omit<ModelVersion, 'manifest' | 'signature'>> {
  /** Over `{ schema_version: 1, name: model }`. */
  readonly manifest?: Partial<Manifest>;
  /** Default: one FP32 input `X` of 3. */
  readonly inputs?: readonly TensorSpec[];
  /** Default: one FP32 output `Y` of 2. */
  readonly outputs?: readonly TensorSpec[];
  readonly batch?: BatchAxis;
}

/** A version as registration makes it: labels from the manifest and roles inferred unless given. */
export function buildVersion(parts: VersionParts = {}): ModelVersion {
  const { manifest: declared, inputs, outputs, batch, ...rest } = parts;
  const model = rest.model ?? declared?.name ?? 'sample';
  const manifest: Manifest = { schema_version: 1, name: model, ...declared };
  const signature = {
    inputs: inputs ?? [spec('X', 'FP32', [-1, 3])],
    outputs: outputs ?? [spec('Y', 'FP32', [-1, 2])],
    batch: batch ?? { kind: 'dynamic' as const },
  };
  return {
    model,
    version: manifest.version ?? '1',
    digest: 'd'.repeat(64),
    servedDigest: 'e'.repeat(64),
    artifactBytes: 1000,
    manifest,
    signature,
    labels: manifest.labels ?? null,
    roles: rest.roles ?? inferRoles(manifest, signature),
    status: 'ready',
    createdAtMs: 1_700_000_000_000,
    createdBy: 'test',
    ...rest,
  };
}

/** Five named features, three labels over integer classes, as the document's example has it. */
export function wineVersion(): ModelVersion {
  const names = ['alcohol', 'flavanoids', 'color_intensity', 'hue', 'proline'];
  return buildVersion({
    manifest: {
      name: 'wine',
      version: 'v1.2.3',
      task: 'classification',
      labels: ['class_0', 'class_1', 'class_2'],
      features: names.map((name) => ({ name })),
    },
    inputs: [spec('X', 'FP32', [-1, 5])],
    outputs: [spec('label', 'INT64', [-1]), spec('probabilities', 'FP32', [-1, 3])],
  });
}

/** Several inputs of one column, strings among them, as exports of pipelines over data frames have. */
export function penguinsVersion(): ModelVersion {
  return buildVersion({
    manifest: {
      name: 'penguins',
      task: 'classification',
      labels: ['Adelie', 'Chinstrap', 'Gentoo'],
      inputs: { sex: { missing: 'unknown' }, body_mass_g: { missing: 4200 } },
    },
    inputs: [
      spec('island', 'BYTES', [-1, 1]),
      spec('sex', 'BYTES', [-1, 1]),
      spec('bill_length_mm', 'FP32', [-1, 1]),
      spec('body_mass_g', 'FP32', [-1, 1]),
    ],
    outputs: [spec('output_label', 'BYTES', [-1]), spec('output_probability', 'FP32', [-1, 3])],
  });
}

export function regressionVersion(): ModelVersion {
  return buildVersion({
    manifest: { name: 'diabetes', task: 'regression' },
    inputs: [spec('X', 'FP32', [-1, 10])],
    outputs: [spec('variable', 'FP32', [-1, 1])],
  });
}
