/** Effective settings: see config/schema.json for units and what each extreme costs. Frozen once loaded. */
export interface Settings {
  readonly environment: 'development' | 'production' | 'test';
  readonly home: string;
  readonly host: string;
  readonly port: number;
  readonly default_model: string;
  readonly shutdown_grace_ms: number;
  readonly drain_delay_ms: number;
  readonly redis: {
    readonly url: string;
    readonly prefix: string;
    readonly connect_timeout_ms: number;
    readonly command_timeout_ms: number;
    readonly retry_delay_ms_max: number;
  };
  readonly api: {
    readonly admin_host: string;
    readonly admin_port: number;
    readonly body_bytes_max: number;
    readonly json_depth_max: number;
    readonly in_flight_max: number;
    readonly saturated_in_flight_min: number;
    readonly header_bytes_max: number;
    readonly header_count_max: number;
    readonly headers_timeout_ms: number;
    readonly request_timeout_ms: number;
    readonly keep_alive_timeout_ms: number;
    readonly trusted_proxies: string;
  };
  readonly predict: { readonly timeout_ms: number; readonly timeout_ms_max: number };
  readonly coalescer: {
    readonly jobs_in_flight_max: number;
    readonly batch_rows_max: number;
    readonly batch_bytes_max: number;
    readonly pending_rows_max: number;
    readonly queue_delay_ms_max: number;
  };
  readonly cache: {
    readonly ttl_ms: number;
    readonly lookup_timeout_ms: number;
    readonly entry_bytes_max: number;
    readonly bytes_max: number;
  };
  readonly idempotency: {
    readonly retention_ms: number;
    readonly lease_ms: number;
    readonly answer_bytes_max: number;
  };
  readonly webhooks: {
    readonly timeout_ms: number;
    readonly retry_delays_s: string;
    readonly rotation_overlap_ms: number;
    readonly allowed_networks: string;
    readonly allowed_ports: string;
    readonly in_flight_max: number;
    readonly per_host_max: number;
  };
  readonly queue: {
    readonly payload_inline_bytes_max: number;
    readonly payload_ttl_ms: number;
    readonly lock_ms: number;
    readonly stalled_interval_ms: number;
    readonly events_kept_max: number;
    readonly failed_kept_max: number;
    readonly memory_percent_max: number;
  };
  readonly results: { readonly kept_max: number; readonly ttl_ms: number; readonly inline_bytes_max: number };
  readonly worker: {
    readonly pool: string;
    readonly hosts: number;
    readonly run_threads: number;
    readonly online_concurrency: number;
    readonly bulk_concurrency: number;
    readonly bulk_share_percent_min: number;
    readonly loaded_bytes_max: number;
    readonly load_timeout_ms: number;
    readonly run_timeout_ms: number;
    readonly hung_grace_ms: number;
    readonly host_restart_delay_ms_max: number;
    readonly heartbeat_ms: number;
    readonly presence_ttl_ms: number;
    readonly admin_host: string;
    readonly admin_port: number;
  };
  readonly batch: {
    readonly wait_ms: number;
    readonly wait_ms_max: number;
    readonly retention_ms: number;
    readonly rows_max: number;
    readonly bytes_max: number;
    readonly line_bytes_max: number;
    readonly json_held_bytes_max: number;
    readonly open_max: number;
    readonly chunk_rows_max: number;
    readonly chunk_bytes_max: number;
    readonly upload_idle_ms: number;
    readonly upload_bytes_per_s_min: number;
    readonly upload_lease_ms: number;
    readonly redis_bytes_max: number;
    readonly window_chunks: number;
    readonly sweep_ms: number;
    readonly dead_letters_max: number;
    readonly result_streams_max: number;
    readonly result_streams_per_caller_max: number;
    readonly event_streams_max: number;
    readonly event_streams_per_caller_max: number;
    readonly run_ms_target: number;
    readonly run_rows_max: number;
    readonly attempts: number;
    readonly backoff_ms: number;
    readonly backoff_ms_max: number;
  };
  readonly registry: {
    readonly poll_ms: number;
    readonly artifact_bytes_max: number;
    readonly gate_timeout_ms: number;
    readonly gate_memory_bytes_max: number;
  };
  readonly rate_limits: {
    readonly anonymous_per_minute: number;
    readonly default_per_minute: number;
    readonly sensitive_per_minute: number;
    readonly api_processes: number;
  };
  readonly keys: { readonly cache_ms: number };
  readonly log: { readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent' };
}

/** Dotted path of a leaf of Settings, as in `redis.url`. */
export type SettingKey = LeafKeys<Settings>;

type LeafKeys<T> = {
  [Key in keyof T & string]: T[Key] extends object ? `${Key}.${LeafKeys<T[Key]>}` : Key;
}[keyof T & string];
