/**
 * `node keeper.ts <command> <argument>…`: runs a program that knows nothing of us (redis-server, docker) as a
 * child and ends it when the launcher goes, however it goes: even after a kill -9 the pipe to our stdin closes.
 */
import { spawn } from 'node:child_process';

/** Redis writes its last second of AOF and ends within milliseconds; past this it is stuck. */
const stopTimeoutMs = 5_000;
/** API and worker see the launcher go at the same moment, and need Redis to finish what they have accepted. */
const outliveMs = 2_000;

const [command, ...args] = process.argv.slice(2);
const child = spawn(command!, args, { stdio: ['ignore', 'inherit', 'inherit'] });

child.once('error', (error) => {
  process.stderr.write(`${command} could not be started: ${error.message}\n`);
  process.exit(1);
});
child.once('exit', (code) => process.exit(code ?? 1));
process.stdin.once('close', () => setTimeout(stop, outliveMs)).resume();
process.on('SIGTERM', stop);
process.on('SIGINT', stop);

function stop(): void {
  child.kill('SIGTERM');
  setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
}
