import { MillraceError } from '../errors.ts';
import type { ModelVersion } from '../registry/model-version.ts';
import type { Resolver } from '../registry/resolver.ts';

/** Where a call names its model, if it does. */
export interface ModelChoice {
  /** From the path; they win over `parameters`, which must not differ. */
  readonly model: string | undefined;
  readonly ref: string | undefined;
  readonly parameters: { readonly model?: string; readonly version?: string };
}

/** Throws `invalid_input` for a choice that contradicts itself, `not_found` for what there is not. */
export function chosenVersion(
  resolver: Pick<Resolver, 'resolve'>,
  { model, ref, parameters }: ModelChoice,
  defaultModel: string,
): ModelVersion {
  agree('model', model, parameters.model);
  agree('version', ref, parameters.version);
  return resolver.resolve(model ?? parameters.model ?? defaultModel, ref ?? parameters.version);
}

/** A parameter may repeat what the path says, not contradict it. */
function agree(name: 'model' | 'version', inPath: string | undefined, given: string | undefined): void {
  if (inPath === undefined || given === undefined || inPath === given) return;
  throw new MillraceError('invalid_input', `The path and the parameters name different ${name}s`, {
    details: [
      {
        path: `parameters.${name}`,
        expected: `${JSON.stringify(inPath)}, as in the path, or nothing`,
        found: JSON.stringify(given),
      },
    ],
  });
}
