/** Lines for people: a tick per finished step, and on a terminal a line that says what is being waited for. */
export interface Output {
  /** A step is done. */
  tick(what: string, detail?: string): void;
  /** A step failed, or something needs attention. */
  cross(what: string): void;
  line(text?: string): void;
  /** What is being waited for; shown on a terminal only, until the next line. */
  waiting(what: string): void;
}

export interface OutputStream {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

const labelWidth = 9;

export function createOutput(stream: OutputStream, colours = stream.isTTY === true): Output {
  const paint = (code: number, text: string) => (colours ? `\u001b[${code}m${text}\u001b[0m` : text);
  const eraseLine = stream.isTTY === true ? '\r\u001b[2K' : '';
  const line = (text = '') => void stream.write(`${eraseLine}${text}\n`);
  return {
    line,
    tick: (what, detail = '') =>
      line(`  ${paint(green, '✓')} ${what.padEnd(labelWidth)} ${detail}`.trimEnd()),
    cross: (what) => line(`  ${paint(red, '✗')} ${what}`),
    waiting: (what) => {
      if (stream.isTTY === true) stream.write(`${eraseLine}  … ${what}`);
    },
  };
}

const green = 32;
const red = 31;
