import type { Arguments } from '../arguments.ts';
import { UsageError } from '../failures.ts';

/** The one operand of the commands on a batch. Throws UsageError for what cannot be an id. */
export function batchIdOf(args: Arguments): string {
  const id = args.operands[0]?.trim() ?? '';
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(id))
    throw new UsageError(`A batch has an id as batch_01K8Y…, found ${JSON.stringify(id)}`);
  return id;
}
