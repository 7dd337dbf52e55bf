import { connect } from 'node:net';

/** It answers at once, or it is not there, or it is stuck and SIGKILL is the next step of whoever needs the port. */
const timeoutMs = 3_000;

/**
 * Ends the Redis of a run that crashed, so that two servers never write to one folder. Its random password makes
 * sure that it is ours: whoever does not take it is left alone. Nothing happens when nobody listens there.
 */
export async function shutDownRedis(url: string): Promise<void> {
  const { hostname, port, password } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.setTimeout(timeoutMs, () => socket.destroy());
  socket.write(`AUTH ${password}\r\n`);
  try {
    for await (const reply of socket) {
      if (!String(reply).startsWith('+OK')) return;
      // Answered by the end of the connection, and so of the loop.
      socket.write('SHUTDOWN NOSAVE\r\n');
    }
  } catch {
    // Not there, or silent: nothing that could be ended from here.
  } finally {
    socket.destroy();
  }
}
