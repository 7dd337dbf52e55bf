/**
 * Whether a client that sent this Accept header takes `mediaType` (RFC 9110 §12.5.1): the most specific
 * matching range decides, and a quality of 0 is a refusal. A missing or empty header takes everything.
 */
export function accepts(header: string | undefined, mediaType: string): boolean {
  return header === undefined || header === '*/*' || header === mediaType || quality(header, mediaType) > 0;
}

/** Of the media types, in the server's order of preference, the one that the client likes best; undefined for none. */
export function preferredType<Type extends string>(
  header: string | undefined,
  mediaTypes: readonly Type[],
): Type | undefined {
  let best: Type | undefined;
  let bestQuality = 0;
  for (const mediaType of mediaTypes) {
    const own = header === undefined ? 1 : quality(header, mediaType);
    if (own > bestQuality) [best, bestQuality] = [mediaType, own];
  }
  return best;
}

function quality(header: string, mediaType: string): number {
  if (header.trim() === '') return 1;
  const [type = '', subtype = ''] = mediaType.split('/');
  let specificity = -1;
  let found = 0;
  for (const range of header.split(',')) {
    const rank = matchRank(range, type, subtype);
    if (rank < 0 || rank < specificity) continue;
    const q = qualityOf(range);
    found = rank === specificity ? Math.max(found, q) : q;
    specificity = rank;
  }
  return found;
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
