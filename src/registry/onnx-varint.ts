/**
 * A base-128 number of at most ten bytes, or undefined when it is broken off or longer. Values past 2^53 lose
 * their low bits: callers use them as tags and lengths, which are far smaller, or drop them.
 */
export function varint(
  bytes: Uint8Array,
  start: number,
  end: number,
): { readonly value: number; readonly next: number } | undefined {
  let value = 0;
  let factor = 1;
  for (let index = start; index < end && index < start + 10; index++) {
    const byte = bytes[index] as number;
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return { value, next: index + 1 };
    factor *= 128;
  }
  return undefined;
}
