import { createReadStream } from 'node:fs';
import { request } from 'node:http';
import { text } from 'node:stream/consumers';

/** What the bench looks at of a batch object (docs/api.md). */
export interface BatchObject {
  readonly id: string;
  readonly status: string;
  readonly counts: { readonly total: number | null; readonly succeeded: number; readonly failed: number };
}

export interface BatchTarget {
  readonly apiUrl: string;
  readonly apiKey: string;
}

/** Uploads a file of NDJSON; resolves with the 202. */
export async function submitFile(
  { apiUrl, apiKey }: BatchTarget,
  model: string,
  file: string,
): Promise<BatchObject> {
  const answer = Promise.withResolvers<BatchObject>();
  const upload = request(
    `${apiUrl}/api/v1/models/${model}/batch`,
    { method: 'POST', headers: { 'content-type': 'application/x-ndjson', 'x-api-key': apiKey } },
    (response) => {
      text(response).then((body) => {
        if (response.statusCode === 202) answer.resolve(JSON.parse(body) as BatchObject);
        else answer.reject(new Error(`${response.statusCode}: ${body}`));
      }, answer.reject);
    },
  );
  upload.on('error', answer.reject);
  createReadStream(file, { highWaterMark: 1 << 20 }).pipe(upload);
  return answer.promise;
}

/** Of a few rows, as JSON; resolves with the 202. */
export async function submitRows(
  { apiUrl, apiKey }: BatchTarget,
  model: string,
  inputs: readonly unknown[],
): Promise<BatchObject> {
  const response = await fetch(`${apiUrl}/api/v1/models/${model}/batch`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-api-key': apiKey, prefer: 'respond-async' },
    body: JSON.stringify({ inputs }),
  });
  if (response.status !== 202) throw new Error(`${response.status}: ${await response.text()}`);
  return (await response.json()) as BatchObject;
}

/** Resolves with the batch object once the batch has ended, told by its events. */
export async function untilEnded(target: BatchTarget, id: string): Promise<BatchObject> {
  const response = await fetch(`${target.apiUrl}/api/v1/batch/${id}/events`, {
    headers: { 'x-api-key': target.apiKey },
  });
  await response.text();
  return batchOf(target, id);
}

export async function batchOf({ apiUrl, apiKey }: BatchTarget, id: string): Promise<BatchObject> {
  const response = await fetch(`${apiUrl}/api/v1/batch/${id}`, { headers: { 'x-api-key': apiKey } });
  if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
  return (await response.json()) as BatchObject;
}

export async function cancel({ apiUrl, apiKey }: BatchTarget, id: string): Promise<void> {
  const response = await fetch(`${apiUrl}/api/v1/batch/${id}`, {
    method: 'DELETE',
    headers: { 'x-api-key': apiKey },
  });
  await response.text();
}

/** Lines of the results as NDJSON, which are counted and thrown away; followed until the batch ends. */
export async function countResults({ apiUrl, apiKey }: BatchTarget, id: string): Promise<number> {
  const response = await fetch(`${apiUrl}/api/v1/batch/${id}/results?follow=true`, {
    headers: { 'x-api-key': apiKey, accept: 'application/x-ndjson' },
  });
  if (response.status !== 200 || response.body === null)
    throw new Error(`${response.status}: ${await response.text()}`);
  let lines = 0;
  for await (const chunk of response.body) {
    const bytes = Buffer.from((chunk as Uint8Array).buffer, chunk.byteOffset, chunk.byteLength);
    for (let at = bytes.indexOf(10); at !== -1; at = bytes.indexOf(10, at + 1)) lines += 1;
  }
  return lines;
}
