/** Examples that several operations show. */

export const exampleBatchId = 'batch_01KB3J5X9E8Q2Z7N4M6P0R1S3T';
const self = `/api/v1/batch/${exampleBatchId}`;

export const runningBatch = {
  id: exampleBatchId,
  status: 'running',
  paused: false,
  model_name: 'wine',
  model_version: 'v1.2.3',
  counts: { total: 1_000_000, succeeded: 249_990, failed: 10 },
  progress: 0.25,
  eta_seconds: 6,
  created_at: '2026-11-25T10:00:00.000Z',
  started_at: '2026-11-25T10:00:00.120Z',
  finished_at: null,
  expires_at: null,
  error: null,
  retry_of: null,
  links: { self, results: `${self}/results`, events: `${self}/events` },
};

export const failedBatch = {
  ...runningBatch,
  status: 'failed',
  counts: { total: null, succeeded: 12_288, failed: 0 },
  progress: 0,
  eta_seconds: null,
  finished_at: '2026-11-25T10:01:00.000Z',
  expires_at: '2026-11-26T10:01:00.000Z',
  error: {
    code: 'request_timeout',
    message: 'The upload broke off: nothing arrived for 30 seconds',
    details: null,
  },
};

export const rows = [
  { row: 0, id: 'mine-1', output: 'class_1', score: 0.7 },
  {
    row: 1,
    id: 'mine-2',
    line: 2,
    error: {
      code: 'invalid_input',
      message: 'The instance is not valid',
      details: [{ path: 'inputs[2]', expected: 'a number', found: 'string "x"' }],
    },
  },
];

export const csvRows = [
  'row,id,output,score,error_code,error_message,line',
  '0,mine-1,class_1,0.7,,,',
  '1,mine-2,,,invalid_input,The instance is not valid,2',
  '',
].join('\r\n');
