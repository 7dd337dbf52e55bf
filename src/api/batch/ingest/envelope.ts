import type { MillraceError } from '../../../errors.ts';
import { isObject } from '../../../processing/member-names.ts';
import type { JsonObject } from '../../../processing/member-names.ts';
import { perVersion } from '../../../processing/per-version.ts';
import { requestInputs } from '../../../processing/request-inputs.ts';
import type { InputFacts } from '../../../processing/request-inputs.ts';
import { describe, refusal } from '../../../tensors/refusal.ts';
import type { Row } from './row.ts';

/** A caller's id is echoed with its row and travels with it: 256 characters hold any key of theirs. */
export const rowIdCharsMax = 256;

/**
 * A row's JSON value to the row: the instance itself, or `{ "id": "mine", "inputs": instance }`, the envelope.
 *
 * An object is an envelope when it has `inputs` and nothing else but `id`. Where the model has a feature or input that
 * is itself called `inputs`, `{ "inputs": … }` is an instance, and only one with an `id` is an envelope; where it has
 * both `inputs` and `id`, every object is an instance.
 */
export const compileEnvelope: (version: InputFacts) => (value: unknown, line: number | null) => Row =
  perVersion((version) => {
    const names = new Set(requestInputs(version).flatMap(namesOf));
    const isEnvelope = envelopeRule(names.has('inputs'), names.has('id'));
    return (value, line) =>
      isObject(value) && isEnvelope(value)
        ? open(value, line)
        : { id: null, line, instance: value, error: null };
  });

function namesOf({ name, features }: ReturnType<typeof requestInputs>[number]): readonly string[] {
  return features === null ? [name] : [name, ...features.map((feature) => feature.name)];
}

function envelopeRule(hasInputs: boolean, hasId: boolean): (object: JsonObject) => boolean {
  if (hasInputs && hasId) return () => false;
  return (object) => {
    if (!Object.hasOwn(object, 'inputs')) return false;
    const named = Object.hasOwn(object, 'id');
    return Object.keys(object).length === (named ? 2 : 1) && (named || !hasInputs);
  };
}

function open({ id, inputs }: JsonObject, line: number | null): Row {
  if (id === undefined || id === null) return { id: null, line, instance: inputs, error: null };
  const error = idRefusal(id);
  return error === null
    ? { id: id as string, line, instance: inputs, error: null }
    : { id: null, line, instance: undefined, error };
}

function idRefusal(id: unknown): MillraceError | null {
  if (typeof id === 'string' && id.length <= rowIdCharsMax && id.isWellFormed()) return null;
  const found = typeof id === 'string' ? `a string of ${id.length}` : describe(id);
  return refusal('id', `a string of at most ${rowIdCharsMax} characters`, found);
}
