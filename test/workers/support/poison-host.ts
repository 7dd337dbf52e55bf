import { Socket } from 'node:net';
import { serveHost } from '../../../src/workers/host/host-process.ts';
import { createOnnxSession } from '../../../src/workers/host/onnx-session.ts';
import { watchParent } from '../../../src/workers/host/parent-watch.ts';
import type { Session, SessionOptions } from '../../../src/workers/host/session.ts';
import type { NamedTensors } from '../../../src/tensors/tensor.ts';

/** The worker's side of these is in markers.ts. */
import { abortMarker, hangMarker } from './markers.ts';

async function createPoisonSession(bytes: Uint8Array, options: SessionOptions): Promise<Session> {
  const session = await createOnnxSession(bytes, options);
  return {
    ...session,
    run: (feeds, outputs) => {
      if (holds(feeds, abortMarker)) process.abort();
      // As a native run that never returns: the thread is gone.
      if (holds(feeds, hangMarker)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
      return session.run(feeds, outputs);
    },
  };
}

function holds(feeds: NamedTensors, marker: number): boolean {
  return [...feeds.values()].some(({ data }) => Array.from<unknown>(data).includes(marker));
}

watchParent();
await serveHost({ control: new Socket({ fd: 3 }), data: new Socket({ fd: 4 }) }, createPoisonSession);
process.exit(0);
