/** Values that make poison-host.ts die or hang in a run. */
export const abortMarker = -666;
export const hangMarker = -777;
