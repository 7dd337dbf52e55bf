import type { Answer } from './answer.ts';
import type { Exchange } from './exchange.ts';

/** The answer with its ETag, or 304 without a body where the client has it already (RFC 9110 §13.1.2). */
export function etagged(exchange: Exchange, etag: string, answer: Answer): Answer {
  const headers = [...answer.headers, 'ETag', etag];
  if (!matches(exchange.request.headers['if-none-match'], etag)) return { ...answer, headers };
  return { status: 304, headers: withoutContent(headers), body: '' };
}

/** Weak comparison: a `W/` in front does not matter for reading. */
function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  if (header.trim() === '*') return true;
  return header.split(',').some((tag) => opaque(tag.trim()) === opaque(etag));
}

function opaque(etag: string): string {
  return etag.replace(/^W\//, '');
}

function withoutContent(headers: readonly string[]): string[] {
  const kept: string[] = [];
  for (let index = 0; index < headers.length; index += 2) {
    const [name = '', value = ''] = headers.slice(index, index + 2);
    if (!name.startsWith('Content-')) kept.push(name, value);
  }
  return kept;
}
