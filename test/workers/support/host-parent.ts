import { fileURLToPath } from 'node:url';
import { openPool } from './hosts.ts';

/** A process that does nothing but own two hosts of the given script; they announce themselves at the given port. */
const [, , entry = '', port = ''] = process.argv;
await openPool({
  hostCount: 2,
  hostEntry: fileURLToPath(new URL(`./${entry}`, import.meta.url)),
  hostEnv: { PRESENCE_PORT: port },
});
