import type { Reuse } from '../shared-answers.ts';

/**
 * What the Cache-Control of a request (RFC 9111) allows: `no-store` nothing, `no-cache` and `max-age=0` only that
 * its own result is kept. Directives that we do not know are ignored, as the standard wants it.
 */
export function reuseOf(header: string | undefined): Reuse {
  if (header === undefined) return 'any';
  const directives = header
    .toLowerCase()
    .split(',')
    .map((directive) => directive.trim());
  if (directives.includes('no-store')) return 'none';
  return directives.includes('no-cache') || directives.includes('max-age=0') ? 'refresh' : 'any';
}
