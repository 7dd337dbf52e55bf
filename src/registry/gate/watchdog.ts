import { Socket } from 'node:net';
import process from 'node:process';

/**
 * A thread of the gate's child that ends it when the parent is gone: the main thread may be deep in a native
 * run and deaf. The parent holds the other end of stdin and never writes.
 */
const parent = new Socket({ fd: 0, readable: true, writable: false });
parent.on('error', die);
parent.on('close', die);
parent.resume();

function die(): void {
  process.kill(process.pid, 'SIGKILL');
}
