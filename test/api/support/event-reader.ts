export interface ServerEvent {
  readonly id: string;
  readonly event: string;
  readonly data: string;
}

/** Server-sent events of a response, read as a browser does. */
export class EventReader {
  readonly past: ServerEvent[] = [];
  retryMs: number | null = null;
  readonly #reader: ReadableStreamDefaultReader<string>;
  #text = '';

  constructor(response: Response) {
    if (response.body === null) throw new Error('the response has no body');
    const text = response.body.pipeThrough(new TextDecoderStream() as never) as ReadableStream<string>;
    this.#reader = text.getReader();
  }

  /** Undefined once the stream has ended. Rejects when it was cut. */
  async next(): Promise<ServerEvent | undefined> {
    for (;;) {
      const end = this.#text.indexOf('\n\n');
      if (end >= 0) {
        const event = this.#parse(this.#text.slice(0, end));
        this.#text = this.#text.slice(end + 2);
        if (event !== undefined) return event;
        continue;
      }
      // oxlint-disable-next-line no-await-in-loop
      const { value, done } = await this.#reader.read();
      if (done) return undefined;
      this.#text += value;
    }
  }

  async toEnd(): Promise<readonly ServerEvent[]> {
    // oxlint-disable-next-line no-await-in-loop
    while ((await this.next()) !== undefined);
    return this.past;
  }

  async leave(): Promise<void> {
    await this.#reader.cancel();
  }

  #parse(block: string): ServerEvent | undefined {
    const fields = new Map(block.split('\n').map((line) => line.split(/: (.*)/s) as [string, string]));
    const retry = fields.get('retry');
    if (retry !== undefined) this.retryMs = Number(retry);
    const data = fields.get('data');
    if (data === undefined) return undefined;
    const event = { id: fields.get('id') ?? '', event: fields.get('event') ?? 'message', data };
    this.past.push(event);
    return event;
  }
}
