import type { Column } from './column.ts';

/** Puts `fill` where a value is missing, in place. */
export function impute({ values, offset, stride, count }: Column, fill: number): void {
  for (let row = 0; row < count; row++) {
    const at = offset + row * stride;
    if (Number.isNaN(values[at])) values[at] = fill;
  }
}
