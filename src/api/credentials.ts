import { hash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { MillraceError } from '../errors.ts';
import { parseKey, secretMatches } from './keys/key-format.ts';
import type { KeyRecord, KeyStore } from './keys/key-store.ts';
import type { Scope } from './keys/scopes.ts';

/** Who calls, and what the caller may do. */
export interface Principal {
  /** Safe to log; never the key itself. */
  readonly id: string;
  readonly name: string;
  readonly scopes: ReadonlySet<Scope>;
  /** Requests a minute that replace the general limit; 0 for none; null for the general one. */
  readonly ratePerMinute: number | null;
}

/** `admin` holds every scope; the others hold themselves only. */
export function hasScope(principal: Principal, scope: Scope): boolean {
  return principal.scopes.has(scope) || principal.scopes.has('admin');
}

export interface CredentialsOptions {
  readonly keys: KeyStore;
  /** How long a verdict is kept: revocation is seen everywhere within this time. */
  readonly cacheMs: number;
  readonly now: () => number;
}

/** Verdicts kept at once: about 300 bytes each, so 3 MB; the oldest goes first. */
const verdictCountMax = 10_000;
/** Longer than any key of ours (72 characters): a longer one is refused unread. */
const keyLengthMax = 128;

interface Verdict {
  readonly principal: Principal | null;
  readonly untilMs: number;
}

/**
 * From request headers to a principal.
 *
 * Verdicts are cached under the SHA-256 of the presented key: the secret itself is never kept, and how long
 * the look-up takes says nothing about any key, since a caller cannot steer a digest. Positive and negative
 * verdicts live equally long, but apart: a flood of wrong keys cannot push out the right ones.
 */
export class Credentials {
  readonly #options: CredentialsOptions;
  readonly #granted = new Map<string, Verdict>();
  readonly #refused = new Map<string, Verdict>();

  constructor(options: CredentialsOptions) {
    this.#options = options;
  }

  /** Whose key it is, at once, while the verdict is kept; undefined when `authenticate` has to tell. */
  recall(headers: IncomingHttpHeaders): Principal | undefined {
    const verdict = this.#grantedTo(headers);
    return verdict !== undefined && this.#holds(verdict) ? (verdict.principal ?? undefined) : undefined;
  }

  /** Whether the key was valid when it was last looked at: who sends it is not guessing. */
  familiar(headers: IncomingHttpHeaders): boolean {
    return this.#grantedTo(headers) !== undefined;
  }

  /** Rejects with `unauthorized`, or with what the store throws when it is out of reach. */
  async authenticate(headers: IncomingHttpHeaders): Promise<Principal> {
    const key = headers['x-api-key'];
    if (key === undefined) throw withoutKey(headers.authorization);
    if (typeof key !== 'string' || key.length > keyLengthMax) throw invalidKey();
    const digest = digestOf(key);
    const verdict = this.#granted.get(digest) ?? this.#refused.get(digest);
    if (verdict === undefined || !this.#holds(verdict)) return this.#verify(key, digest);
    if (verdict.principal === null) throw invalidKey();
    return verdict.principal;
  }

  #grantedTo(headers: IncomingHttpHeaders): Verdict | undefined {
    const key = headers['x-api-key'];
    return typeof key === 'string' && key.length <= keyLengthMax
      ? this.#granted.get(digestOf(key))
      : undefined;
  }

  /** A clock that was set back must not stretch a verdict, or a revoked key would live on by that much. */
  #holds({ untilMs }: Verdict): boolean {
    const leftMs = untilMs - this.#options.now();
    return leftMs > 0 && leftMs <= this.#options.cacheMs;
  }

  async #verify(key: string, digest: string): Promise<Principal> {
    const parsed = parseKey(key);
    if (parsed === undefined) throw invalidKey();
    const record = await this.#options.keys.get(parsed.id);
    // Compared in every case, against nothing where the id is unknown: both take the same time.
    const matches = secretMatches(parsed.secret, record?.secretDigest);
    const now = this.#options.now();
    this.#granted.delete(digest);
    this.#refused.delete(digest);
    const valid = matches && record !== undefined && isLive(record, now);
    const untilMs = Math.min(
      now + this.#options.cacheMs,
      valid ? (record.expiresAtMs ?? Infinity) : Infinity,
    );
    const principal = valid ? toPrincipal(record) : null;
    keep(principal === null ? this.#refused : this.#granted, digest, { principal, untilMs });
    if (principal === null) throw invalidKey();
    return principal;
  }
}

function digestOf(key: string): string {
  return hash('sha256', key, 'base64url');
}

function isLive(record: KeyRecord, nowMs: number): boolean {
  return record.revokedAtMs === null && (record.expiresAtMs === null || record.expiresAtMs > nowMs);
}

function toPrincipal(record: KeyRecord): Principal {
  return {
    id: record.id,
    name: record.name,
    scopes: new Set(record.scopes),
    ratePerMinute: record.ratePerMinute,
  };
}

function keep(verdicts: Map<string, Verdict>, digest: string, verdict: Verdict): void {
  if (verdicts.size >= verdictCountMax) {
    const oldest = verdicts.keys().next();
    if (oldest.done === false) verdicts.delete(oldest.value);
  }
  verdicts.set(digest, verdict);
}

function invalidKey(): MillraceError {
  return new MillraceError('unauthorized', 'The API key is not valid', {
    details: 'It is malformed, unknown, expired or revoked',
  });
}

function withoutKey(authorization: string | undefined): MillraceError {
  const details =
    authorization === undefined
      ? 'Send an API key in the header X-API-Key'
      : 'No issuer of bearer tokens is configured here; send an API key in the header X-API-Key';
  return new MillraceError('unauthorized', undefined, { details });
}
