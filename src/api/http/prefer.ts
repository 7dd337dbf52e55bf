/** What a request prefers of what we know (RFC 7240). */
export interface Preferences {
  readonly respondAsync: boolean;
  /** Whole seconds; null where it is not given, or is none. */
  readonly waitS: number | null;
}

const none: Preferences = { respondAsync: false, waitS: null };

/** Preferences that are unknown, or make no sense, are as good as not there: so the RFC wants it. The first of two counts. */
export function parsePrefer(header: string | readonly string[] | undefined): Preferences {
  if (header === undefined) return none;
  let respondAsync = false;
  let waitS: number | null = null;
  for (const preference of String(header).split(',')) {
    const [token = '', value = ''] = (preference.split(';', 1)[0] as string).split('=');
    const name = token.trim().toLowerCase();
    if (name === 'respond-async') respondAsync = true;
    else if (name === 'wait' && waitS === null && wholeNumber.test(value.trim()))
      waitS = Number(value.trim().replaceAll('"', ''));
  }
  return { respondAsync, waitS };
}

const wholeNumber = /^(?:\d{1,9}|"\d{1,9}")$/;

/** For an answer that does not wait. */
export const respondAsyncApplied = ['Preference-Applied', 'respond-async'] as const;
