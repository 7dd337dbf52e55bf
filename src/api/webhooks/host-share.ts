/** Bounds how many calls one host gets at once, so that a slow one cannot take all of them. */
export class HostShare {
  readonly #perHostMax: number;
  /** By host; never a zero. */
  readonly #counts = new Map<string, number>();

  constructor(perHostMax: number) {
    this.#perHostMax = perHostMax;
  }

  /** False when the host has its share; else `giveBack` is to follow. */
  take(host: string): boolean {
    const count = this.#counts.get(host) ?? 0;
    if (count >= this.#perHostMax) return false;
    this.#counts.set(host, count + 1);
    return true;
  }

  giveBack(host: string): void {
    const left = (this.#counts.get(host) ?? 0) - 1;
    if (left > 0) this.#counts.set(host, left);
    else this.#counts.delete(host);
  }
}
