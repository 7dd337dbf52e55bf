/** Port: tells the processes of a system that the registry changed. Best effort: a slow poll heals what is missed. */
export interface RegistryChanges {
  /** Throws `service_unavailable` when nobody could be told. */
  announce(): Promise<void>;
  /**
   * Calls `onChange` at every announcement, and whenever announcements may have been missed. One subscription
   * at a time. Resolves when it stands, or at once when it cannot stand yet; it is then retried.
   */
  subscribe(onChange: () => void): Promise<void>;
  /** Ends the subscription. The clients are the caller's. */
  close(): Promise<void>;
}
