import { expect } from 'chai';
import type { BatchObject } from '../../../../src/api/batch/batch-view.ts';
import type { ErrorPlace } from '../../../../src/errors.ts';

/** The batch object of an answer. */
export async function objectOf(response: Response, status = 202): Promise<BatchObject> {
  const text = await response.text();
  expect(response.status, text).to.equal(status);
  return JSON.parse(text) as BatchObject;
}

export interface Refused {
  readonly code: string;
  readonly message: string;
  readonly details: readonly ErrorPlace[];
}

/** The error of an answer. */
export async function errorOf(response: Response, status: number): Promise<Refused> {
  const text = await response.text();
  expect(response.status, text).to.equal(status);
  return (JSON.parse(text) as { error: Refused }).error;
}
