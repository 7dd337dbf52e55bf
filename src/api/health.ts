/** One dependency's check: resolves with null when all is well, or with what is wrong, in words for callers. */
export interface HealthProbe {
  readonly name: string;
  /** Without it nothing can be served; an optional one that is down only degrades. */
  readonly required: boolean;
  readonly check: () => Promise<string | null>;
}

export type HealthStatus = 'healthy' | 'degraded' | 'unhealthy';

export interface DependencyHealth {
  readonly status: HealthStatus;
  readonly latency_ms: number;
  readonly message: string | null;
  readonly last_check: string;
}

/** The body of `GET /api/v1/health`, field for field as clients know it. */
export interface HealthReport {
  readonly status: HealthStatus;
  readonly version: string;
  readonly environment: string;
  readonly dependencies: Readonly<Record<string, DependencyHealth>>;
  readonly uptime_seconds: number;
}

export interface HealthOptions {
  readonly version: string;
  readonly environment: string;
  readonly probes: readonly HealthProbe[];
  /** A dependency that has not answered by then counts as down. */
  readonly timeoutMs: number;
  /** A report serves everybody who asks within this time, so that polling it costs the dependencies nothing. */
  readonly cacheMs: number;
}

export class Health {
  readonly #options: HealthOptions;
  readonly #startedAtMs = performance.now();
  #report: Promise<HealthReport> | undefined;
  #reportedAtMs = 0;

  constructor(options: HealthOptions) {
    this.#options = options;
  }

  /** Never rejects; settles within timeoutMs. */
  report(): Promise<HealthReport> {
    const now = performance.now();
    if (this.#report === undefined || now - this.#reportedAtMs >= this.#options.cacheMs) {
      this.#reportedAtMs = now;
      this.#report = this.#make();
    }
    return this.#report;
  }

  async #make(): Promise<HealthReport> {
    const { version, environment, probes, timeoutMs } = this.#options;
    const dependencies = await Promise.all(probes.map((probe) => ask(probe, timeoutMs)));
    return {
      status: worst(dependencies),
      version,
      environment,
      dependencies: Object.fromEntries(dependencies.map((health, index) => [probes[index]?.name, health])),
      uptime_seconds: Math.round((performance.now() - this.#startedAtMs) / 1000),
    };
  }
}

async function ask(probe: HealthProbe, timeoutMs: number): Promise<DependencyHealth> {
  const startedAtMs = performance.now();
  const message = await within(probe.check(), timeoutMs);
  return {
    status: message === null ? 'healthy' : probe.required ? 'unhealthy' : 'degraded',
    latency_ms: Math.round((performance.now() - startedAtMs) * 1000) / 1000,
    message,
    last_check: new Date().toISOString(),
  };
}

/** What a dependency itself says of its failure is not shown: it may name hosts and paths. */
async function within(check: Promise<string | null>, timeoutMs: number): Promise<string | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, `No answer within ${timeoutMs} ms`);
  });
  try {
    return await Promise.race([check, late]);
  } catch {
    return 'Out of reach';
  } finally {
    clearTimeout(timer);
  }
}

function worst(dependencies: readonly DependencyHealth[]): HealthStatus {
  const has = (status: HealthStatus): boolean => dependencies.some((health) => health.status === status);
  if (has('unhealthy')) return 'unhealthy';
  return has('degraded') ? 'degraded' : 'healthy';
}
