/** `node src/dev/check-ready.ts <url>`: exits 0 when the address answers 200. The health check of the containers. */
const timeoutMs = 2_000;

const url = process.argv[2];
if (url === undefined) throw new Error('usage: node src/dev/check-ready.ts <url>');
try {
  const { status } = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
  if (status !== 200) throw new Error(`status ${status}`);
} catch (error) {
  process.stderr.write(`${url} is not ready: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
