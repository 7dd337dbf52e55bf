import { fileURLToPath } from 'node:url';
import { openPool } from './hosts.ts';

/** A process that does nothing but own two hosts; they announce themselves at the port given as its argument. */
await openPool({
  hostCount: 2,
  hostEntry: fileURLToPath(new URL('./announcing-host.ts', import.meta.url)),
  hostEnv: { PRESENCE_PORT: process.argv[2] ?? '' },
});
