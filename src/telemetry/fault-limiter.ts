/** Keeps one line of repeated identical faults in each window, so that an outage does not fill the disk. Pure. */
export interface FaultLimiter {
  /** How many equal ones were left out since the last line, when this one is due; undefined when it is not. */
  admit(key: string, nowMs: number): number | undefined;
  /** What was left out and not yet told, by key; forgets everything. */
  drain(): ReadonlyMap<string, number>;
}

interface Repeats {
  windowEndMs: number;
  omitted: number;
}

/** `keysMax` bounds memory when messages hold ids: the key that is longest known is then forgotten. */
export function createFaultLimiter(windowMs: number, keysMax: number): FaultLimiter {
  const known = new Map<string, Repeats>();
  return {
    admit(key, nowMs) {
      const repeats = known.get(key);
      if (repeats !== undefined && nowMs < repeats.windowEndMs) {
        repeats.omitted++;
        return undefined;
      }
      known.delete(key);
      if (known.size >= keysMax) known.delete(known.keys().next().value as string);
      known.set(key, { windowEndMs: nowMs + windowMs, omitted: 0 });
      return repeats?.omitted ?? 0;
    },
    drain() {
      const omitted = [...known].filter(([, repeats]) => repeats.omitted > 0);
      known.clear();
      return new Map(omitted.map(([key, repeats]) => [key, repeats.omitted]));
    },
  };
}
