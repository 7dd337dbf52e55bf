import { MillraceError } from '../../errors.ts';
import type { Column } from './column.ts';

/**
 * Category indices to one column for each category, 1 or 0. `target` is the first of them and all zeros; a
 * missing index becomes `missing`. Throws `internal_error` for an index that packing cannot have made.
 */
export function oneHot(source: Column, target: Column, categoryCount: number, missing: number | null): void {
  for (let row = 0; row < source.count; row++) {
    const value = source.values[source.offset + row * source.stride] as number;
    const index = Number.isNaN(value) && missing !== null ? missing : value;
    if (!(index >= 0 && index < categoryCount && Number.isInteger(index)))
      throw new MillraceError('internal_error', `Row ${row} has category ${index} of ${categoryCount}`);
    target.values[target.offset + row * target.stride + index] = 1;
  }
}
