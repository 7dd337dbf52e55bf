import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { generateWebhookSecret, signaturesOf } from '../../src/api/webhooks/webhook-signature.ts';
import { until } from '../../src/dev/readiness.ts';
import { loadSettings } from '../../src/settings.ts';
import { freePort } from '../support/redis-server.ts';

const page = readFileSync(new URL('../../docs/webhooks.md', import.meta.url), 'utf8');
const body = '{"id":"batch_1","status":"completed","counts":{"succeeded":3}}';

describe('docs/webhooks.md', () => {
  it('has an example for Node that takes what is signed, and nothing else', async () => {
    const [, code = ''] = /```js\n(.*?)```/s.exec(page) ?? [];
    const secret = generateWebhookSecret();
    const port = await freePort();
    const child = spawn(process.execPath, ['--input-type=module', '--eval', code], {
      env: { WEBHOOK_SECRET: secret, PORT: String(port) },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    const send = async (key: string, timestampS: number, sent = body) => {
      const headers = {
        'webhook-id': 'batch_1',
        'webhook-timestamp': String(timestampS),
        'webhook-signature': signaturesOf({ id: 'batch_1', timestampS, body }, [
          generateWebhookSecret(),
          key,
        ]),
      };
      const response = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', headers, body: sent });
      return response.status;
    };
    const nowS = Math.floor(Date.now() / 1000);
    try {
      await until(async () => (await send(secret, nowS)) === 204, AbortSignal.timeout(10_000));
      expect(await send(generateWebhookSecret(), nowS)).to.equal(401);
      expect(await send(secret, nowS - 600)).to.equal(401);
      expect(await send(secret, nowS, body.replace('3', '4'))).to.equal(401);
      await until(async () => output.includes('\n'), AbortSignal.timeout(10_000));
      expect(output).to.equal('batch_1 completed: 3 rows\n');
    } finally {
      child.kill();
      await once(child, 'close');
    }
  });

  it('lists the attempts that the default settings make', () => {
    const { retry_delays_s: delays } = loadSettings({}).settings.webhooks;
    const listed = [...page.matchAll(/^\| \d \| (?:(\d+) (s|min|h)|at once) \|/gm)].slice(1);
    const seconds = { s: 1, min: 60, h: 3600 } as const;
    expect(
      listed.map(([, count, unit]) => Number(count) * seconds[unit as keyof typeof seconds]).join(),
    ).to.equal(delays);
  });
});
