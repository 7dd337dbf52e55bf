import type { Column } from './column.ts';

/** (x - mean) / std, in place, computed in double precision. */
export function scale({ values, offset, stride, count }: Column, mean: number, std: number): void {
  for (let row = 0; row < count; row++) {
    const at = offset + row * stride;
    values[at] = ((values[at] as number) - mean) / std;
  }
}
