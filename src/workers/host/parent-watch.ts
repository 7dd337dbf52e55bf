import { Worker } from 'node:worker_threads';

/** About three times what the thread needs: it keeps a timer and no data. */
const resourceLimits = { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 };

/**
 * A run blocks the host's thread, also from seeing that its pipes have closed: after its worker was killed, a host
 * in a run that never returns would live for ever. So a second thread asks who the parent is. It knows nothing of
 * models, does not keep the process alive and ends with it.
 */
export function watchParent(): void {
  const thread = new URL('./parent-watch-thread.ts', import.meta.url);
  const watcher = new Worker(thread, { workerData: process.ppid, resourceLimits });
  // Models are served without it as well.
  watcher.on('error', () => {});
  watcher.unref();
}
