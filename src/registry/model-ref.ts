import { MillraceError } from '../errors.ts';
import { describe } from '../validation.ts';

/** Models, versions and aliases share one alphabet: safe in a URL path, a Redis key and a metric label. */
export const namePattern = '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$';

/** The alias that predict uses when it names no version. */
export const defaultAlias = 'default';

/** Names that routes below `/models/` keep for themselves. */
export const reservedModelNames: readonly string[] = ['stats'];
/** A version by this name would hide the alias. */
export const reservedVersionNames: readonly string[] = [defaultAlias];

/**
 * What a caller asks for: a model and, by name, a version or an alias of it. Versions and aliases share one
 * namespace: at look-up a version of that name comes first.
 */
export interface ModelRef {
  readonly model: string;
  /** A version name or an alias; undefined means the alias `default`. */
  readonly ref: string | undefined;
}

const name = new RegExp(namePattern);

export function isName(value: unknown): value is string {
  return typeof value === 'string' && name.test(value);
}

/** `wine`, `wine/v1.2.3` or `wine@champion`. Throws `invalid_input`. `path` names the place in the message. */
export function parseModelRef(text: string, path = 'model'): ModelRef {
  const cut = text.search(/[/@]/);
  const model = cut === -1 ? text : text.slice(0, cut);
  const ref = cut === -1 ? undefined : text.slice(cut + 1);
  if (!isName(model) || (ref !== undefined && !isName(ref)))
    throw new MillraceError('invalid_input', 'Not the name of a model', {
      details: [{ path, expected: 'model, model/version or model@alias', found: describe(text) }],
    });
  return { model, ref };
}

/** The unambiguous name of a version: `wine/v1.2.3`. */
export function printVersion(version: { readonly model: string; readonly version: string }): string {
  return `${version.model}/${version.version}`;
}
