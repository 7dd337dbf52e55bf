import type { ArtifactStore } from '../../../../src/registry/artifact-store.ts';

/** Where nothing may go there. */
export const noArtifacts: ArtifactStore = {
  put: () => Promise.reject(new Error('put')),
  get: () => Promise.reject(new Error('get')),
  has: () => Promise.reject(new Error('has')),
  remove: () => Promise.reject(new Error('remove')),
};
