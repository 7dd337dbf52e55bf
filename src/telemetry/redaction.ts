/**
 * What a log line may not show. Lines are made of named fields, so credentials can only come in through free
 * text (an error of a library that quotes its URL) or through the fields of a notice: both pass through here.
 */
const secretNamePattern = /authorization|api[-_]?key|cookie|credential|password|secret|signature|token/i;
/** `user:password@` of a URL, and the credentials of an Authorization header, wherever they are quoted. */
const urlCredentialsPattern = /\/\/[^\s/@]*@/g;
const headerCredentialsPattern = /\b(bearer|basic)\s+[\w.~+/=-]+/gi;
/** An API key: its id may be seen, the secret behind it may not. */
const apiKeyPattern = /\b(mlr_[a-z]{1,12}_[0-9A-Za-z]{12})_\w+/g;

const mask = '[redacted]';

export function redactText(text: string): string {
  return text
    .replace(urlCredentialsPattern, `//${mask}@`)
    .replace(headerCredentialsPattern, `$1 ${mask}`)
    .replace(apiKeyPattern, `$1_${mask}`);
}

/** Values under telling names are masked, other text is searched; nested values are left out but for their kind. */
export function redactFields(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      secretNamePattern.test(name) ? mask : redactValue(value),
    ]),
  );
}

function redactValue(value: unknown): unknown {
  if (typeof value === 'string') return redactText(value);
  if (typeof value === 'bigint') return String(value);
  if (Array.isArray(value))
    return value.every((entry) => typeof entry !== 'object') ? value.map(redactValue) : '[array]';
  return typeof value === 'object' && value !== null ? '[object]' : value;
}
