import { Socket } from 'node:net';
import { serveHost } from './host-process.ts';
import { createOnnxSession } from './onnx-session.ts';
import { watchParent } from './parent-watch.ts';

// A Ctrl-C goes to every process of the terminal; the host's end is the worker's to decide, through the pipes.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});

watchParent();
await serveHost({ control: new Socket({ fd: 3 }), data: new Socket({ fd: 4 }) }, createOnnxSession);
process.exit(0);
