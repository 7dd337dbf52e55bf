import { hash, randomInt, timingSafeEqual } from 'node:crypto';
import { crc32 } from 'node:zlib';

/**
 * `mlr_<environment>_<id>_<secret>_<checksum>`: the prefix lets secret scanners find a leaked key, the id
 * finds its record, the checksum refuses typing errors before anything is looked up. The secret has
 * 32 × log2(62) = 190 bits, so a fast hash is enough at rest: there is nothing to guess, and a slow one would
 * be a way to keep the API busy.
 */
const keyPattern = /^(mlr_([a-z]{1,12})_([0-9A-Za-z]{12})_([0-9A-Za-z]{32}))_([0-9a-f]{8})$/;

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const idLength = 12;
const secretLength = 32;

export interface ParsedKey {
  readonly environment: string;
  readonly id: string;
  readonly secret: string;
}

/** Undefined when it is no key of ours or its checksum is wrong. Does no I/O. */
export function parseKey(key: string): ParsedKey | undefined {
  const parts = keyPattern.exec(key);
  if (parts === null) return undefined;
  const [, checked = '', environment = '', id = '', secret = '', checksum = ''] = parts;
  return checksumOf(checked) === checksum ? { environment, id, secret } : undefined;
}

export interface NewKey {
  /** The key in full: shown once, never stored. */
  readonly key: string;
  readonly id: string;
  readonly secretDigest: Uint8Array;
}

/** `environment` is 1 to 12 lower-case letters, as in `dev`. */
export function generateKey(environment: string): NewKey {
  const id = randomText(idLength);
  const secret = randomText(secretLength);
  const checked = `mlr_${environment}_${id}_${secret}`;
  return { key: `${checked}_${checksumOf(checked)}`, id, secretDigest: digestOf(secret) };
}

/** SHA-256, 32 bytes. */
function digestOf(secret: string): Uint8Array {
  return hash('sha256', secret, 'buffer');
}

const nobodysDigest = digestOf('');

/** In constant time, and in the same time where there is no digest to compare with. */
export function secretMatches(secret: string, digest: Uint8Array | undefined): boolean {
  const usable = digest?.byteLength === nobodysDigest.byteLength ? digest : nobodysDigest;
  const equal = timingSafeEqual(digestOf(secret), usable);
  return equal && usable !== nobodysDigest;
}

function checksumOf(text: string): string {
  return crc32(text).toString(16).padStart(8, '0');
}

function randomText(length: number): string {
  let text = '';
  while (text.length < length) text += alphabet[randomInt(alphabet.length)];
  return text;
}
