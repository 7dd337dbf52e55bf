import { rmSync, rmdirSync } from 'node:fs';
import { Socket } from 'node:net';
import process from 'node:process';
import { modelFile, requestFile } from './trial-request.ts';

/**
 * A thread of the gate's child that ends it when the parent is gone: the main thread may be deep in a native
 * run and deaf. The parent holds the other end of stdin and never writes.
 */
const parent = new Socket({ fd: 0, readable: true, writable: false });
parent.on('error', die);
parent.on('close', die);
parent.resume();

function die(): void {
  try {
    // Nobody else is left to do it. By name, so that no other folder could ever be emptied.
    rmSync(modelFile, { force: true });
    rmSync(requestFile, { force: true });
    rmdirSync(process.cwd());
  } finally {
    process.kill(process.pid, 'SIGKILL');
  }
}
