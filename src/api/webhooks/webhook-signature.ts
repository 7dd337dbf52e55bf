import { randomBytes } from 'node:crypto';
import { Webhook } from 'standardwebhooks';

/** Standard Webhooks 1.0.0 wants 24 to 64. */
const secretBytes = 32;
const secretPrefix = 'whsec_';

export function generateWebhookSecret(): string {
  return secretPrefix + randomBytes(secretBytes).toString('base64');
}

export interface SignedMessage {
  /** Neither it nor the timestamp may hold a dot, which divides what is signed. */
  readonly id: string;
  /** Of the attempt, seconds since the epoch. */
  readonly timestampS: number;
  readonly body: string;
}

/** Value of `webhook-signature`: one signature for each secret, so that a receiver may know any of them. */
export function signaturesOf({ id, timestampS, body }: SignedMessage, secrets: readonly string[]): string {
  const at = new Date(timestampS * 1000);
  return secrets.map((secret) => new Webhook(secret).sign(id, at, body)).join(' ');
}
