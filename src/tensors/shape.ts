/** Product of a concrete shape; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  let count = 1;
  for (const dimension of shape) count *= dimension;
  return count;
}

export function isFixed(shape: readonly number[]): boolean {
  return shape.every((dimension) => dimension >= 0);
}

/** Whether two shapes differ at most in axis 0. */
export function sameRowShape(a: readonly number[], b: readonly number[]): boolean {
  if (a.length !== b.length) return false;
  for (let axis = 1; axis < a.length; axis++) if (a[axis] !== b[axis]) return false;
  return true;
}

/** For messages, as in `[?, 4]`. */
export function printShape(shape: readonly number[]): string {
  return `[${shape.map((dimension) => (dimension < 0 ? '?' : dimension)).join(', ')}]`;
}
