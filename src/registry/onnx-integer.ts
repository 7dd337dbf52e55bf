/** A 64-bit field as the decoder gives it: a plain number, or two halves. */
export type DecodedInteger = number | { toString(): string };

export function toBigInt(value: DecodedInteger): bigint {
  return BigInt(value.toString());
}
