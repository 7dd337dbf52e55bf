import { MillraceError } from '../../errors.ts';

/** Visible ASCII. Quotes are a part of the key: who sends them sends them every time. */
const keyPattern = /^[!-~]{1,255}$/;

/** Value of the header `Idempotency-Key`, of which one is expected. Throws `invalid_input`. */
export function parseIdempotencyKey(header: string | readonly string[]): string {
  if (typeof header === 'string' && keyPattern.test(header)) return header;
  throw new MillraceError('invalid_input', 'The idempotency key is not valid', {
    details: [
      {
        path: 'header Idempotency-Key',
        expected: 'one key of 1 to 255 visible ASCII characters',
        // Several fields come joined by a comma and a space.
        found: JSON.stringify(String(header).slice(0, 80)),
      },
    ],
  });
}
