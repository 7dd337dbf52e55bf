import { workerData } from 'node:worker_threads';

const pollMs = 500;

// An orphan's run is of use to nobody: there is nothing to wait for.
setInterval(() => {
  if (process.ppid !== workerData) process.kill(process.pid, 'SIGKILL');
}, pollMs);
