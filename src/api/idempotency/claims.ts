/** What is known of a key by whoever asks for it. */
export type ClaimOutcome =
  /** It is the caller's to answer, for as long as its lease is renewed. */
  | {
      readonly kind: 'claimed';
      /** That of the first claim: a batch that was made before a crash has this id. */
      readonly batchId: string;
      /** Somebody had it before and did not come to an end. */
      readonly takenOver: boolean;
      /** As far as it is known by now. */
      readonly bodyDigest: string | undefined;
    }
  | { readonly kind: 'held'; readonly leaseLeftMs: number }
  | { readonly kind: 'differs'; readonly what: 'target' | 'body' }
  | {
      readonly kind: 'answered';
      readonly batchId: string;
      readonly bodyDigest: string;
      readonly answer: KeptAnswer;
    };

export interface KeptAnswer {
  readonly status: number;
  /** Flat name, value pairs. */
  readonly headers: readonly string[];
  /** Null when it was too large to be kept. */
  readonly body: string | null;
}

export interface ClaimRequest {
  /** Name of the key within the installation: principal and key in one. */
  readonly entry: string;
  /** Whose claim it is: random, new for each request. */
  readonly token: string;
  readonly target: string;
  /** Undefined while the body is still arriving: then it is compared at the end. */
  readonly bodyDigest: string | undefined;
  readonly batchId: string;
}

/**
 * Port: who works on which key, and what came out. All calls are atomic, count time by the store's own clock and throw
 * `service_unavailable` when it is out of reach.
 */
export interface Claims {
  /** Takes the key if nobody has it, or nobody any more. Repeating it with one token is harmless. */
  claim(request: ClaimRequest): Promise<ClaimOutcome>;
  /** False when the lease ran out and somebody else has the key: then nothing was stored. Wakes who waits. */
  complete(entry: string, token: string, bodyDigest: string, answer: KeptAnswer): Promise<boolean>;
  /** For whoever takes over. False when somebody else has the key: then nothing was stored. */
  note(entry: string, token: string, what: 'batch' | 'digest', value: string): Promise<boolean>;
  /**
   * Gives the key back: nothing is left of the claim, or, with `keep`, what was noted of those before it. Nothing when
   * somebody else has it. Wakes who waits.
   */
  release(entry: string, token: string, keep: boolean): Promise<void>;
  /** Of these claims, by entry; those that are somebody else's by now stay theirs. */
  renew(held: ReadonlyMap<string, string>): Promise<void>;
}
