import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** v2, then v1. In a container these are its own. */
const quotaFiles = {
  max: '/sys/fs/cgroup/cpu.max',
  quota: '/sys/fs/cgroup/cpu/cpu.cfs_quota_us',
  period: '/sys/fs/cgroup/cpu/cpu.cfs_period_us',
} as const;

/**
 * Whole cores that this process may use, 1 at least: the lesser of its CPU affinity and its cgroup's quota,
 * rounded up. ONNX Runtime looks at neither quota and would start a thread for each core of the machine.
 */
export function usableCores(
  read: (path: string) => string | undefined = readText,
  parallelism = availableParallelism(),
): number {
  const quota = quotaV2(read) ?? quotaV1(read) ?? Number.POSITIVE_INFINITY;
  return Math.max(1, Math.min(parallelism, Math.ceil(quota)));
}

/** `cpu.max` holds `<quota> <period>` in microseconds, or `max <period>`. */
function quotaV2(read: (path: string) => string | undefined): number | undefined {
  const [quota, period] = read(quotaFiles.max)?.trim().split(/\s+/) ?? [];
  return toCores(quota, period);
}

/** The quota is -1 where there is none. */
function quotaV1(read: (path: string) => string | undefined): number | undefined {
  return toCores(read(quotaFiles.quota), read(quotaFiles.period));
}

function toCores(quota: string | undefined, period: string | undefined): number | undefined {
  const cores = Number(quota) / Number(period);
  return Number.isFinite(cores) && cores > 0 ? cores : undefined;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
