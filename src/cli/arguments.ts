import { parseArgs } from 'node:util';
import type { ParseArgsOptionsConfig } from 'node:util';
import { UsageError } from './failures.ts';

export interface OptionSpec {
  readonly type: 'string' | 'boolean';
  readonly short?: string;
  /** Stands for the value in the help, as in `--model NAME`. */
  readonly value?: string;
  readonly help: string;
}

export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

/** What stands behind a command's name, by kind. All readers throw UsageError. */
export interface Arguments {
  readonly operands: readonly string[];
  text(option: string): string | undefined;
  flag(option: string): boolean;
  integer(option: string, min: number, max: number): number | undefined;
  oneOf<T extends string>(option: string, allowed: readonly T[]): T | undefined;
  /** Comma-separated. */
  list(option: string): readonly string[] | undefined;
}

/** Throws UsageError. */
export function parseArguments(args: readonly string[], specs: OptionSpecs): Arguments {
  const { values, positionals } = parse(args, specs);
  const text = (option: string) => {
    const value = values[option];
    if (value === undefined || typeof value !== 'string') return undefined;
    if (value === '') throw new UsageError(`--${option} is empty`);
    return value;
  };
  return {
    operands: positionals,
    text,
    flag: (option) => values[option] === true,
    integer(option, min, max) {
      const given = text(option);
      if (given === undefined) return undefined;
      const value = Number(given);
      if (!/^\d{1,9}$/.test(given) || value < min || value > max)
        throw new UsageError(
          `--${option} must be an integer from ${min} to ${max}, found ${JSON.stringify(given)}`,
        );
      return value;
    },
    oneOf(option, allowed) {
      const given = text(option);
      if (given === undefined) return undefined;
      const found = allowed.find((name) => name === given);
      if (found === undefined)
        throw new UsageError(`--${option} must be ${allowed.join(', ')}; found ${JSON.stringify(given)}`);
      return found;
    },
    list: (option) => text(option)?.split(','),
  };
}

function parse(args: readonly string[], specs: OptionSpecs) {
  const options: ParseArgsOptionsConfig = Object.fromEntries(
    Object.entries(specs).map(([name, { type, short }]) => [
      name,
      { type, ...(short === undefined ? {} : { short }) },
    ]),
  );
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    // Node adds a paragraph about operands that begin with a dash.
    const [message = ''] = (error instanceof Error ? error.message : String(error)).split('. To specify');
    throw new UsageError(message);
  }
}
