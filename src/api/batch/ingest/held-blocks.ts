import type { ElementBlock } from './json-scanner.ts';
import { PendingBytes } from './pending-bytes.ts';

/** Shorter blocks are copied together: each holds an object and a buffer, in which little of it may be the block's. */
const wholeBytesMin = 16_384;
const gatheredBytesMax = 65_536;
/** Of one number in an array. */
const rangeBytes = 8;

/** Blocks that wait, in little more memory than their elements take, however small the pieces were that they came in. */
export class HeldBlocks {
  #blocks: ElementBlock[] = [];
  #bytes = 0;
  readonly #gathered = new PendingBytes();
  #ranges: number[] = [];

  /** What all of them take. */
  get bytes(): number {
    return this.#bytes;
  }

  add(block: ElementBlock): void {
    const [from] = block.ranges;
    if (from === undefined) return;
    const part = block.bytes.subarray(from, block.ranges.at(-1));
    if (part.byteLength >= wholeBytesMin) {
      this.#flush();
      this.#hold(block);
      return;
    }
    const shift = this.#gathered.length - from;
    this.#gathered.append(part);
    for (const at of block.ranges) this.#ranges.push(at + shift);
    this.#bytes += part.byteLength + rangeBytes * block.ranges.length;
    if (this.#gathered.length >= gatheredBytesMax) this.#flush();
  }

  /** One after the other, each let go as it is given. */
  *take(): Generator<ElementBlock> {
    this.#flush();
    for (const block of this.#blocks.splice(0)) {
      this.#bytes -= sizeOf(block);
      yield block;
    }
  }

  #flush(): void {
    if (this.#ranges.length === 0) return;
    const block = { bytes: this.#gathered.take(), ranges: this.#ranges };
    this.#ranges = [];
    this.#bytes -= sizeOf(block);
    this.#hold(block);
  }

  #hold(block: ElementBlock): void {
    this.#blocks.push(block);
    this.#bytes += sizeOf(block);
  }
}

function sizeOf({ bytes, ranges }: ElementBlock): number {
  return bytes.byteLength + rangeBytes * ranges.length;
}
