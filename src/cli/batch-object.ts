import type { ErrorDetails } from '../errors.ts';

/** The fields of the API's batch object that the commands show or steer by. */
export interface BatchObject {
  readonly id: string;
  readonly status: 'queued' | 'running' | 'completed' | 'failed' | 'cancelled';
  readonly paused: boolean;
  readonly model_name: string;
  readonly model_version: string;
  readonly counts: { readonly total: number | null; readonly succeeded: number; readonly failed: number };
  readonly progress: number;
  readonly eta_seconds: number | null;
  readonly created_at: string;
  readonly started_at: string | null;
  readonly finished_at: string | null;
  readonly expires_at: string | null;
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly details: ErrorDetails | null;
  } | null;
  readonly retry_of: string | null;
}

export function hasEnded({ status }: BatchObject): boolean {
  return status === 'completed' || status === 'failed' || status === 'cancelled';
}

export function batchPath(id: string, below = ''): string {
  return `/api/v1/batch/${encodeURIComponent(id)}${below}`;
}
