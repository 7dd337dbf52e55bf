import { until } from '../../../../src/dev/readiness.ts';

/** Asks until the answer is yes: for what another clock (Redis') or connection decides. The test's own time limits it. */
export async function untilTrue(question: () => Promise<boolean>): Promise<void> {
  await until(question, AbortSignal.timeout(15_000));
}
