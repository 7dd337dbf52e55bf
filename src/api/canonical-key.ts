import { hash } from 'node:crypto';
import { perVersion } from '../processing/per-version.ts';
import type { ModelVersion } from '../registry/model-version.ts';
import { encodeTensors } from '../tensors/binary-codec.ts';
import type { NamedTensors } from '../tensors/tensor.ts';

/** Raised when equal requests would no longer be answered equally by older code, as after a change of post-processing. */
const keyFormat = 1;
const digestBytes = 32;

/**
 * The name under which the result of a request is kept: SHA-256, base64url, of everything that the result is
 * computed from. Two requests have one key iff they are of one version with all its facts, ask for the same
 * outputs in whatever order, and their packed inputs are the same bytes.
 *
 * Same bytes means same values, bit by bit: 0 and -0 differ, since a model can tell them apart (1/x); strings are not
 * normalised. A NaN is the one NaN that the packer writes; others could only make a miss of a hit. What changes
 * the rendering alone (`return_probability`, `top_k`, the order of `outputs`) has no part in it.
 */
export type CanonicalKey = (tensors: NamedTensors, outputs: readonly string[] | null) => string;

export const compileCanonicalKey: (version: ModelVersion) => CanonicalKey = perVersion((version) => {
  const { model, version: name, servedDigest, manifest, labels, roles } = version;
  const facts = JSON.stringify([keyFormat, model, name, servedDigest, manifest, labels, roles]);
  const inTask = hash('sha256', facts, 'buffer');
  return (tensors, outputs) => {
    const asked =
      outputs === null ? inTask : hash('sha256', facts + JSON.stringify(outputs.toSorted()), 'buffer');
    // A digest in front, of fixed length: it cannot be confused with the packed inputs behind it.
    const bytes = encodeTensors(tensors, digestBytes);
    bytes.set(asked);
    return hash('sha256', bytes, 'base64url');
  };
});
