import { createHash, hash } from 'node:crypto';

/** What makes requests equal: method, path, query and body, by SHA-256. */
export class Fingerprint {
  /** Of method, path and query, base64url. */
  readonly target: string;
  readonly #body = createHash('sha256');
  #digest: string | undefined;

  /** `url` as it came, with its query. */
  constructor(method: string, url: string) {
    this.target = hash('sha256', `${method} ${url}`, 'base64url');
  }

  /** Of the body, base64url; undefined until the body has come to its end. */
  get body(): string | undefined {
    return this.#digest;
  }

  add(bytes: Uint8Array | string): void {
    this.#body.update(bytes);
  }

  end(): this {
    this.#digest ??= this.#body.digest('base64url');
    return this;
  }
}
