import type { Manifest } from '../registry/manifest.ts';
import type { OutputRoles } from '../registry/model-version.ts';
import type { Signature } from '../registry/signature.ts';
import { isFloat } from '../tensors/datatype.ts';
import { unknownName } from './member-names.ts';
import { manifestError, print, resultOutputs } from './result-outputs.ts';
import type { ResultOutput } from './result-outputs.ts';

type Role = 'label' | 'probabilities' | 'value';

interface RoleRule {
  readonly fits: (output: ResultOutput) => boolean;
  readonly expected: string;
  /** Breaks a tie between outputs that fit: exporters call them so. */
  readonly usualName: RegExp;
}

const labelDatatypes = new Set(['INT64', 'INT32', 'BYTES']);

const rules: Readonly<Record<Role, RoleRule>> = {
  label: {
    fits: ({ datatype, rowShape }) => labelDatatypes.has(datatype) && isOneElement(rowShape),
    expected: 'an INT64, INT32 or BYTES output of one element a row',
    usualName: /label|class/i,
  },
  probabilities: {
    fits: ({ datatype, rowShape }) => isFloat(datatype) && rowShape.length <= 1,
    expected: 'a float output of one element a class',
    usualName: /prob/i,
  },
  value: {
    fits: ({ datatype }) => isFloat(datatype),
    expected: 'a float output',
    usualName: /^(value|variable|prediction|output)s?$/i,
  },
};

/**
 * Which output plays which part. What the manifest names is checked; the rest is told from datatypes, shapes
 * and, between several that fit, names. Throws `invalid_input` with the manifest key that decides where it
 * cannot be told. Outputs that post-processing adds count.
 */
export function inferRoles(manifest: Manifest, signature: Signature): OutputRoles {
  const outputs = resultOutputs({ manifest, signature });
  const named = manifest.outputs ?? {};
  switch (manifest.task) {
    case 'classification': {
      const label =
        named.label === undefined ? guess('label', outputs) : check('label', named.label, outputs);
      const probabilities =
        named.probabilities === undefined
          ? guess('probabilities', outputs, named.label !== undefined)
          : check('probabilities', named.probabilities, outputs);
      if (label === null && probabilities === null)
        throw undecided('label', outputs, 'no output fits, nor one for probabilities');
      checkClassCount(manifest, probabilities);
      return { task: 'classification', label: nameOf(label), probabilities: nameOf(probabilities) };
    }
    case 'regression': {
      const value =
        named.value === undefined ? guess('value', outputs) : check('value', named.value, outputs);
      if (value === null) throw undecided('value', outputs, 'no output fits');
      return { task: 'regression', value: value.name };
    }
    case 'tensor':
    case undefined:
      return { task: 'tensor' };
    default:
      return manifest.task satisfies never;
  }
}

function nameOf(output: ResultOutput | null): string | null {
  return output === null ? null : output.name;
}

function check(role: Role, name: string, outputs: readonly ResultOutput[]): ResultOutput {
  const path = `outputs.${role}`;
  const output = outputs.find((candidate) => candidate.name === name);
  if (output === undefined) {
    const known = outputs.map((candidate) => candidate.name);
    throw manifestError(unknownName(name, known, 'output', path));
  }
  if (!rules[role].fits(output))
    throw manifestError({ path, expected: rules[role].expected, found: print(output) });
  return output;
}

/** Null where none fits, and where several do but the version can do without. */
function guess(role: Role, outputs: readonly ResultOutput[], dispensable = false): ResultOutput | null {
  const { fits, usualName } = rules[role];
  const fitting = outputs.filter(fits);
  if (fitting.length <= 1) return fitting[0] ?? null;
  const usual = fitting.filter((output) => usualName.test(output.name));
  if (usual.length === 1) return usual[0] ?? null;
  if (dispensable) return null;
  throw undecided(role, fitting, `${fitting.length} outputs fit`);
}

function undecided(role: Role, outputs: readonly ResultOutput[], found: string) {
  const expected = `the name of ${rules[role].expected}`;
  return manifestError({
    path: `outputs.${role}`,
    expected,
    found: `nothing, and ${found}: ${outputs.map(print).join(', ')}`,
  });
}

/** One score a row is that of the second of two classes. */
function checkClassCount({ labels }: Manifest, probabilities: ResultOutput | null): void {
  if (labels === undefined || probabilities === null) return;
  const width = probabilities.rowShape[0] ?? 1;
  const classCount = width === 1 ? 2 : width;
  if (width >= 0 && labels.length !== classCount)
    throw manifestError({
      path: 'labels',
      expected: `${classCount} labels for ${print(probabilities)}`,
      found: `${labels.length}`,
    });
}

function isOneElement(rowShape: readonly number[]): boolean {
  return rowShape.length === 0 || (rowShape.length === 1 && rowShape[0] === 1);
}
