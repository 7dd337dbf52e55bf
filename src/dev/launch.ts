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

/** Relative where that is shorter: what a person would type. */
export function shorten(path: string): string {
  const short = relative(process.cwd(), path);
  return short.length < path.length ? short : path;
}
