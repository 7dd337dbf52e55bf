import { relative } from 'node:path';
import type { Lifecycle } from '../lifecycle.ts';
import type { LoadedSettings } from '../settings.ts';
import type { Crew } from './crew.ts';
import type { Output } from './output.ts';

/** What the parts of a start share. */
export interface Launch {
  /** Absolute. */
  readonly home: string;
  readonly loaded: LoadedSettings;
  readonly lifecycle: Lifecycle;
  readonly crew: Crew;
  readonly output: Output;
}

/** As a person would type it: relative when it lies in the folder that they are in. */
export function shorten(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith('..') ? path : short;
}
