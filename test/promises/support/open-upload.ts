import { Agent, request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import type { Stack } from '../../support/stack.ts';
import type { BatchAnswer } from './batch-client.ts';

/** What a body may be: `gzip` is NDJSON in gzip. */
export type UploadFormat = 'ndjson' | 'csv' | 'gzip';

const typeOf: Readonly<Record<UploadFormat, Readonly<Record<string, string>>>> = {
  ndjson: { 'content-type': 'application/x-ndjson' },
  csv: { 'content-type': 'text/csv' },
  gzip: { 'content-type': 'application/x-ndjson', 'content-encoding': 'gzip' },
};

/** An upload whose end the client alone knows. */
export interface OpenUpload {
  /** Undefined where the connection broke first. */
  readonly answer: Promise<BatchAnswer | undefined>;
  readonly isAnswered: boolean;
  send(bytes: string | Uint8Array): void;
  /** The connection breaks, without a word. */
  vanish(): void;
}

export function openUpload(
  { url, key }: Pick<Stack, 'url' | 'key'>,
  model: string,
  format: UploadFormat,
): OpenUpload {
  // A connection of its own: it ends as this upload does.
  const agent = new Agent({ keepAlive: false });
  const sent = request(`${url}/api/v1/models/${model}/batch`, {
    method: 'POST',
    agent,
    headers: { ...typeOf[format], 'x-api-key': key },
  });
  sent.on('error', () => undefined);
  sent.flushHeaders();
  let isAnswered = false;
  const answer = new Promise<IncomingMessage>((resolve, reject) => {
    sent.once('response', resolve).once('close', () => reject(new Error('no answer')));
  })
    .then(async (response) => ({ status: response.statusCode ?? 0, text: await text(response) }))
    .catch(() => undefined)
    .finally(() => {
      isAnswered = true;
      sent.destroy();
    });
  return {
    answer,
    get isAnswered() {
      return isAnswered;
    },
    send: (bytes) => void sent.write(bytes),
    vanish: () => void sent.destroy(),
  };
}
