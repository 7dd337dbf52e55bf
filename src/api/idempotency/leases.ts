import { channels } from '../../channels.ts';
import type { FaultEvent } from '../../channels.ts';
import type { Claims } from './claims.ts';

/** Two renewals may fail before a lease ends. */
const renewalsPerLease = 3;

/** Keeps the claims of running requests. Nothing ticks while there are none. */
export class Leases {
  readonly #claims: Pick<Claims, 'renew'>;
  readonly #intervalMs: number;
  readonly #held = new Map<string, string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(claims: Pick<Claims, 'renew'>, leaseMs: number) {
    this.#claims = claims;
    this.#intervalMs = Math.ceil(leaseMs / renewalsPerLease);
  }

  hold(entry: string, token: string): void {
    this.#held.set(entry, token);
    this.#timer ??= setInterval(this.#renew, this.#intervalMs);
  }

  drop(entry: string, token: string): void {
    if (this.#held.get(entry) === token) this.#held.delete(entry);
    if (this.#held.size === 0) this.close();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  readonly #renew = (): void => {
    this.#claims.renew(this.#held).catch((error: unknown) => {
      channels.fault.publish({
        component: 'idempotency',
        message: 'Leases of running requests could not be renewed',
        error,
      } satisfies FaultEvent);
    });
  };
}
