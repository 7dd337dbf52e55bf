import { once } from 'node:events';
import { connect } from 'node:net';
import { watchParent } from '../../../src/workers/host/parent-watch.ts';

// Whoever listens at the port sees when this process ends. Its own thread never comes to see anything again.
watchParent();
await once(connect(Number(process.env['PRESENCE_PORT']), '127.0.0.1'), 'connect');
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
