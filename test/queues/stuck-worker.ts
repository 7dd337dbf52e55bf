import { createRedisKeys } from '../../src/queues/lanes.ts';
import { makeQueueRig } from './queue-rig.ts';

/** A worker process that takes jobs, says so to its parent and never ends them: made to be killed. */
const [url, prefix] = process.argv.slice(2) as [string, string];
const rig = await makeQueueRig(url, createRedisKeys(prefix));
await rig.consume(({ job }) => {
  process.send?.(job.id);
  return new Promise(() => undefined);
});
process.send?.('ready');
process.once('disconnect', () => process.exit(0));
