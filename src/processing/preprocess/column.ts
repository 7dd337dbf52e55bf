/** Every `stride`-th element from `offset` on, `count` of them: one feature of all rows of a matrix. */
export interface Column {
  readonly values: Float32Array | Float64Array;
  readonly offset: number;
  readonly stride: number;
  readonly count: number;
}

/** The columns are of equal count. */
export function copyColumn(source: Column, target: Column): void {
  for (let row = 0; row < source.count; row++)
    target.values[target.offset + row * target.stride] = source.values[
      source.offset + row * source.stride
    ] as number;
}
