import { closeSync, openSync } from 'node:fs';
import { channels } from '../../../src/channels.ts';
import { HostPool } from '../../../src/workers/host-pool.ts';
import { poolDefaults } from './hosts.ts';

/** Starts a pool when no file can be opened any more; once that was a fault, gives the files back. Prints `serving`. */
const taken: number[] = [];
try {
  for (;;) taken.push(openSync('/dev/null', 'r'));
} catch {
  closeSync(taken.pop() as number);
}
channels.fault.subscribe(() => {
  for (const file of taken.splice(0)) closeSync(file);
});
const pool = new HostPool(poolDefaults);
pool.start();
await pool.serving();
process.stdout.write('serving');
await pool.close(1000);
