/** What a worker says of itself with every heartbeat. */
export interface WorkerHeartbeat {
  readonly workerId: string;
  readonly pool: string;
  /** `model/version` of every version that is loaded in at least one host. */
  readonly loaded: readonly string[];
  /** `model/version` of those that lately ended or hung a host of this worker. */
  readonly flagged: readonly string[];
  readonly hostCount: number;
  readonly busyHostCount: number;
  readonly draining: boolean;
  readonly sentAtMs: number;
}

/** Port, worker side. */
export interface PresenceAnnouncer {
  announce(heartbeat: WorkerHeartbeat): Promise<void>;
  /** Says that the worker is gone, so that nobody waits for its heartbeat to expire. */
  withdraw(workerId: string, pool: string): Promise<void>;
}

/** Port, API side: kept fresh by subscription, so that asking costs no Redis trip. */
export interface PresenceObserver {
  /**
   * Whether a worker of the pool lives: heartbeat within the expiry and not draining. Asked for every request, so it looks
   * no further than the first.
   */
  isServed(pool: string): boolean;
  /** Whose heartbeat is within the expiry. */
  all(): readonly WorkerHeartbeat[];
  close(): Promise<void>;
}
