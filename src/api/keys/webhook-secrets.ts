export interface WebhookSecret {
  /** `whsec_` and base64. It signs, so it has to be kept as it is. */
  readonly secret: string;
  readonly createdAtMs: number;
  /** Null for the one that is current. */
  readonly expiresAtMs: number | null;
}

/**
 * Port: secrets that sign the webhooks of a caller, shared by all API processes of a deployment. Each call gives those
 * that sign now, the current one first. Methods throw `service_unavailable` when the store is out of reach.
 */
export interface WebhookSecrets {
  /** `fresh` becomes the current one where there is none. */
  ensure(owner: string, fresh: string, nowMs: number): Promise<readonly WebhookSecret[]>;
  /**
   * `fresh` becomes the current one; the one before signs until `previousUntilMs` beside it. Whoever rotates often keeps
   * the newest few.
   */
  rotate(
    owner: string,
    fresh: string,
    nowMs: number,
    previousUntilMs: number,
  ): Promise<readonly WebhookSecret[]>;
  close(): Promise<void>;
}
