import { fileURLToPath } from 'node:url';

/** Absolute, with a slash at the end: where src/ and examples/ are. */
export const packageRoot = fileURLToPath(new URL('../../', import.meta.url));
