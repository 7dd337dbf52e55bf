import { crc32 } from 'node:zlib';
import { MillraceError } from '../errors.ts';
import { decodeTensors, encodedBytes, encodeTensors } from '../tensors/binary-codec.ts';
import type { NamedTensors } from '../tensors/tensor.ts';

/*
 * The result of one request as bytes, format 1:
 *
 *   u8 format, 3 zeros, u32 LE CRC-32 of the key and the tensors
 *   tensors of one row (binary-codec.ts)
 *
 * The key is part of the checksum: an entry that lies under another's key must not be taken for its own.
 */
const entryFormat = 1;
/** A multiple of 8, as the alignment of the tensors wants it. */
const prefixBytes = 8;

/** Length of `encodeEntry(…, tensors)`. */
export function entryBytes(tensors: NamedTensors): number {
  return prefixBytes + encodedBytes(tensors);
}

export function encodeEntry(key: string, tensors: NamedTensors): Buffer {
  const entry = encodeTensors(tensors, prefixBytes);
  entry.writeUInt32LE(entryFormat, 0);
  entry.writeUInt32LE(crc32(entry.subarray(prefixBytes), crc32(key)), 4);
  return entry;
}

/** The tensors are views of `entry` where its memory allows. Throws `internal_error` for what `encodeEntry` did not make of this key. */
export function decodeEntry(key: string, entry: Buffer): NamedTensors {
  if (entry.length < prefixBytes) throw refused('is shorter than its prefix');
  const format = entry.readUInt32LE(0);
  if (format !== entryFormat) throw refused(`has format ${format}, not ${entryFormat}`);
  const packed = entry.subarray(prefixBytes);
  if (crc32(packed, crc32(key)) !== entry.readUInt32LE(4)) throw refused('has a wrong checksum');
  return decodeTensors(packed);
}

function refused(what: string): MillraceError {
  return new MillraceError('internal_error', `The cached entry ${what}`);
}
