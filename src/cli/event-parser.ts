/** One server-sent event. */
export interface ServerEvent {
  /** `message` where the stream names none. */
  readonly type: string;
  readonly data: string;
  /** The last one that the stream gave, of this event or an earlier one; empty where there was none. */
  readonly lastEventId: string;
}

/**
 * Reads an event stream from text that is cut anywhere, also between CR and LF; as the HTML standard defines it,
 * `retry` apart, because the caller has its own backoff. An event that the stream ends within is none.
 */
export class EventParser {
  #rest = '';
  #afterCr = false;
  #started = false;
  #type = '';
  #data: string[] = [];
  #lastEventId = '';

  /** The events that are complete with this piece. */
  push(text: string): readonly ServerEvent[] {
    const events: ServerEvent[] = [];
    for (const line of this.#completeLines(text)) {
      if (line !== '') this.#field(line);
      else {
        const event = this.#dispatch();
        if (event !== undefined) events.push(event);
      }
    }
    return events;
  }

  #completeLines(piece: string): readonly string[] {
    let text = piece;
    if (text === '') return [];
    if (!this.#started) text = text.replace(/^\uFEFF/, '');
    this.#started = true;
    // The CR before has ended its line already.
    if (this.#afterCr && text.startsWith('\n')) text = text.slice(1);
    this.#afterCr = piece.endsWith('\r');
    const lines = (this.#rest + text).split(/\r\n|\r|\n/);
    this.#rest = lines.pop() ?? '';
    return lines;
  }

  #field(line: string): void {
    const colon = line.indexOf(':');
    if (colon === 0) return;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'event') this.#type = value;
    else if (name === 'data') this.#data.push(value);
    else if (name === 'id' && !value.includes('\0')) this.#lastEventId = value;
  }

  #dispatch(): ServerEvent | undefined {
    const data = this.#data.length === 0 ? undefined : this.#data.join('\n');
    const type = this.#type === '' ? 'message' : this.#type;
    this.#type = '';
    this.#data = [];
    return data === undefined ? undefined : { type, data, lastEventId: this.#lastEventId };
  }
}
