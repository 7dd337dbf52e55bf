import { readFileSync } from 'node:fs';

/** How much the memory of processes grew, in MB, from the making of the watch to the worst moment since. */
export interface MemoryWatch {
  /** By name. */
  grownMb(): ReadonlyMap<string, number>;
  stop(): void;
}

const lookEveryMs = 100;

/** Of `/proc`, where there is one; elsewhere nothing is known. */
export function watchMemory(pids: ReadonlyMap<string, number>): MemoryWatch {
  const first = new Map([...pids].map(([name, pid]) => [name, rssMb(pid)]));
  const most = new Map(first);
  const timer = setInterval(() => {
    for (const [name, pid] of pids) most.set(name, Math.max(most.get(name) ?? 0, rssMb(pid)));
  }, lookEveryMs);
  return {
    grownMb: () => new Map([...most].map(([name, mb]) => [name, mb - (first.get(name) ?? 0)])),
    stop: () => clearInterval(timer),
  };
}

function rssMb(pid: number): number {
  try {
    const kb = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return Number(kb) / 1024;
  } catch {
    return Number.NaN;
  }
}

/** Processes that `pid` has started. */
export function childrenOf(pid: number): readonly number[] {
  try {
    const listed = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    return listed === '' ? [] : listed.split(' ').map(Number);
  } catch {
    return [];
  }
}
