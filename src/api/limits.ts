import type { Principal } from './credentials.ts';
import { rowIdCharsMax } from './batch/ingest/envelope.ts';
import { outputCountMax, topKMax } from './predict-request.ts';

/** The settings that a client can run into. */
export interface LimitSettings {
  readonly api: {
    readonly body_bytes_max: number;
    readonly json_depth_max: number;
    readonly header_bytes_max: number;
    readonly header_count_max: number;
    readonly headers_timeout_ms: number;
    readonly request_timeout_ms: number;
    readonly keep_alive_timeout_ms: number;
  };
  readonly predict: { readonly timeout_ms: number; readonly timeout_ms_max: number };
  readonly batch: {
    readonly rows_max: number;
    readonly bytes_max: number;
    readonly line_bytes_max: number;
    readonly open_max: number;
    readonly wait_ms: number;
    readonly wait_ms_max: number;
    readonly upload_idle_ms: number;
    readonly upload_bytes_per_s_min: number;
    readonly retention_ms: number;
    readonly event_streams_per_caller_max: number;
    readonly result_streams_per_caller_max: number;
  };
  readonly rate_limits: { readonly default_per_minute: number; readonly sensitive_per_minute: number };
}

/** Rows of one page of results. */
export const resultPage = { default: 1000, max: 10_000 } as const;

/**
 * Pages on their way, of all callers of a process and of one. They are short, but a reader that takes nothing holds one
 * for a minute; each has what a stream of results has.
 */
export const resultPagesAtOnce = { countMax: 256, perCallerMax: 64 } as const;

/** Every limit that this caller can meet; `openBatchCount`: its batches that have not ended. */
export function limitsFor(settings: LimitSettings, principal: Principal, openBatchCount: number) {
  const { api, predict, batch, rate_limits: rates } = settings;
  const own = principal.ratePerMinute;
  const perMinute = (limit: number): number | null => (own === 0 || limit === 0 ? null : limit);
  return {
    requests: {
      default_per_minute: perMinute(own ?? rates.default_per_minute),
      sensitive_per_minute: perMinute(rates.sensitive_per_minute),
      header_bytes_max: api.header_bytes_max,
      header_count_max: api.header_count_max,
      headers_timeout_ms: api.headers_timeout_ms,
      request_timeout_ms: api.request_timeout_ms,
      keep_alive_timeout_ms: api.keep_alive_timeout_ms,
    },
    predict: {
      body_bytes_max: api.body_bytes_max,
      json_depth_max: api.json_depth_max,
      timeout_ms: predict.timeout_ms,
      timeout_ms_max: predict.timeout_ms_max,
      top_k_max: topKMax,
      output_count_max: outputCountMax,
    },
    batch: {
      open: openBatchCount,
      open_max: batch.open_max,
      rows_max: batch.rows_max,
      body_bytes_max: batch.bytes_max,
      line_bytes_max: batch.line_bytes_max,
      row_id_chars_max: rowIdCharsMax,
      wait_ms: batch.wait_ms,
      wait_ms_max: batch.wait_ms_max,
      upload_idle_ms: batch.upload_idle_ms,
      upload_bytes_per_s_min: batch.upload_bytes_per_s_min,
      retention_ms: batch.retention_ms,
      result_page_rows_max: resultPage.max,
      result_pages_max: resultPagesAtOnce.perCallerMax,
      result_streams_max: batch.result_streams_per_caller_max,
      event_streams_max: batch.event_streams_per_caller_max,
    },
  };
}
