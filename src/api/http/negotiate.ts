/**
 * Whether a client that sent this Accept header takes `mediaType` (RFC 9110 §12.5.1): the most specific
 * matching range decides, and a quality of 0 is a refusal. A missing or empty header takes everything.
 */
export function accepts(header: string | undefined, mediaType: string): boolean {
  if (header === undefined || header === '*/*' || header === mediaType || header.trim() === '') return true;
  const [type = '', subtype = ''] = mediaType.split('/');
  let specificity = -1;
  let quality = 0;
  for (const range of header.split(',')) {
    const rank = matchRank(range, type, subtype);
    if (rank < 0 || rank < specificity) continue;
    const q = qualityOf(range);
    quality = rank === specificity ? Math.max(quality, q) : q;
    specificity = rank;
  }
  return quality > 0;
}

/** 2 for the very type, 1 for its family, 0 for the range that takes everything, -1 for another type. */
function matchRank(range: string, type: string, subtype: string): number {
  const name = (range.split(';', 1)[0] ?? '').trim().toLowerCase();
  if (name === `${type}/${subtype}`) return 2;
  if (name === `${type}/*`) return 1;
  return name === '*/*' ? 0 : -1;
}

/** A quality that cannot be read counts as 1: RFC 9110 leaves it open, and an answer serves better than a refusal. */
function qualityOf(range: string): number {
  for (const parameter of range.split(';').slice(1)) {
    const [name = '', value = ''] = parameter.split('=');
    if (name.trim().toLowerCase() !== 'q') continue;
    const q = Number(value.trim());
    return value.trim() !== '' && q >= 0 && q <= 1 ? q : 1;
  }
  return 1;
}
