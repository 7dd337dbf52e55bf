import type { IncomingMessage } from 'node:http';
import { MillraceError } from '../../errors.ts';
import { batchQuery, headOfQuery } from '../batch/batch-parameters.ts';
import { bounded, gunzipped, tooLarge } from '../batch/ingest/content-coding.ts';
import { CsvRows } from '../batch/ingest/csv-rows.ts';
import { JsonUpload } from '../batch/ingest/json-upload.ts';
import { NdjsonRows } from '../batch/ingest/ndjson-rows.ts';
import { StreamedUpload } from '../batch/ingest/upload.ts';
import type { Upload } from '../batch/ingest/upload.ts';
import type { Exchange } from './exchange.ts';
import { parseQuery } from './query.ts';
import { Refusal } from './refusal.ts';

export interface UploadFormatLimits {
  /** Of a body, expanded. */
  readonly bytesMax: number;
  /** Of a line, a record or an instance. */
  readonly lineBytesMax: number;
  /** Of a JSON body, until what it says of itself must be known. */
  readonly heldBytesMax: number;
}

export type UploadFormat = 'json' | 'ndjson' | 'csv';

const formats: ReadonlyMap<string, UploadFormat> = new Map([
  ['application/json', 'json'],
  ['application/x-ndjson', 'ndjson'],
  ['application/ndjson', 'ndjson'],
  ['application/jsonl', 'ndjson'],
  ['text/csv', 'csv'],
]);
const acceptedTypes = 'application/json, application/x-ndjson, text/csv';
const acceptedCodings = 'gzip, identity';

/** What the head of the request says of its body: decided before a byte of it is read. */
export interface UploadPlan {
  readonly format: UploadFormat;
  /** The upload in these bytes of the body. */
  open(bytes: AsyncIterable<Buffer>): Upload;
}

/** Throws `unsupported_media_type`, `payload_too_large`, and `invalid_input` for a wrong query. */
export function planUpload(exchange: Exchange, limits: UploadFormatLimits): UploadPlan {
  const { headers } = exchange.request;
  const format = formatOf(headers['content-type']);
  const isGzip = isGzipped(headers['content-encoding']);
  checkLength(exchange.request, limits.bytesMax);
  const head = format === 'json' ? undefined : headOfQuery(parseQuery(exchange.search, batchQuery));
  if (format === 'json') checkNoQuery(exchange.search);
  return {
    format,
    open: (raw) => {
      const bytes = bounded(isGzip ? gunzipped(raw) : raw, limits.bytesMax);
      const { lineBytesMax, heldBytesMax } = limits;
      if (head === undefined) {
        const isModelKnown = exchange.params.length > 0;
        return new JsonUpload(bytes, { isModelKnown, heldBytesMax, elementBytesMax: lineBytesMax });
      }
      const Rows = format === 'csv' ? CsvRows : NdjsonRows;
      return new StreamedUpload(head, (version) => new Rows(bytes, version, lineBytesMax));
    },
  };
}

/** UTF-8 only; of CSV the header row may be announced, not left out. */
function formatOf(contentType: string | undefined): UploadFormat {
  const [type = '', ...parameters] = (contentType ?? '').split(';').map((part) => part.trim());
  const format = formats.get(type.toLowerCase());
  const right = parameters.every(
    (parameter) =>
      parameter === '' ||
      /^charset\s*=\s*(?:"utf-?8"|utf-?8)$/i.test(parameter) ||
      (format === 'csv' && /^header\s*=\s*"?present"?$/i.test(parameter)),
  );
  if (format !== undefined && right) return format;
  throw new Refusal('unsupported_media_type', 'The media type of the body is not supported', {
    details: [
      {
        path: 'header Content-Type',
        expected: `${acceptedTypes}, in UTF-8`,
        found: contentType === undefined ? 'nothing' : contentType.slice(0, 80),
      },
    ],
    headers: ['Accept-Post', acceptedTypes],
  });
}

function isGzipped(coding: string | undefined): boolean {
  const name = coding?.trim().toLowerCase() ?? 'identity';
  if (name === 'identity') return false;
  if (name === 'gzip' || name === 'x-gzip') return true;
  throw new Refusal('unsupported_media_type', 'The content coding of the body is not supported', {
    details: [{ path: 'header Content-Encoding', expected: acceptedCodings, found: name.slice(0, 80) }],
    headers: ['Accept-Encoding', acceptedCodings],
  });
}

function checkLength({ headers }: IncomingMessage, bytesMax: number): void {
  if (headers['transfer-encoding'] !== undefined) return;
  const length = Number(headers['content-length'] ?? 0);
  if (length > bytesMax) throw tooLarge(bytesMax);
  if (length > 0) return;
  throw new MillraceError('invalid_input', 'The body is empty', {
    details: [{ path: '(root)', expected: 'rows', found: 'nothing' }],
  });
}

function checkNoQuery(search: string): void {
  if (search === '') return;
  throw new MillraceError('invalid_input', 'The query string is not valid', {
    details: [
      {
        path: 'query',
        expected: 'nothing: parameters of a JSON body go in the body',
        found: search.slice(0, 80),
      },
    ],
  });
}
