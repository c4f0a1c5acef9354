/** Requests about streams: ring buffers, perf event arrays, the trace pipe. */
import { mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { RecordBatch } from '../../addon/addon';
import { failure } from '../errors';
import { StreamReader } from '../stream-reader';
import { findTracefs, tracefsMissing } from '../tracefs';
import type { Handlers, HeldReader, Session, TracePipe } from '../session';

type ReaderHandlers = Pick<
  Handlers,
  'readerOpen' | 'readerFlush' | 'readerClose' | 'tracePipeOpen' | 'tracePipeFlush' | 'tracePipeClose'
>;

export const readerHandlers: ReaderHandlers = {
  async readerOpen(session, { map: handle, kind }) {
    const map = session.map(handle);
    if (kind === 'userRingbuf') {
      throw failure(
        'unsupported',
        'readerOpen',
        `${map.name}: a user ring buffer is written by user space and drained by the program; there is nothing to read`,
      );
    }
    const wanted = kind === 'ringbuf' ? 'ringbuf' : 'perf_event_array';
    if (map.type !== wanted) {
      throw failure('badRequest', 'readerOpen', `map ${map.name} is a ${map.type}, not a ${wanted}`);
    }
    const { addon } = session.host;
    const id = session.newHandle();
    const reader = new StreamReader(
      addon,
      (callback) => addon.readerOpen(kind, map.fd, callback),
      (batch) => session.emit('records', { reader: id, records: split(batch), lost: batch.lost }),
    );
    session.readers.set(id, { reader, map: handle });
    return { reader: id };
  },

  async readerFlush(session, { reader: handle }) {
    await heldReader(session, 'readerFlush', handle).reader.flush();
    return {};
  },

  async readerClose(session, { reader: handle }) {
    const { reader } = heldReader(session, 'readerClose', handle);
    session.readers.delete(handle);
    await reader.close();
    return {};
  },

  async tracePipeOpen(session) {
    if (session.tracePipe)
      throw failure('badRequest', 'tracePipeOpen', 'this session reads the trace pipe already');
    session.tracePipe = await openTracePipe(session);
    return {};
  },

  async tracePipeFlush(session) {
    await session.tracePipe?.flush();
    return {};
  },

  async tracePipeClose(session) {
    const pipe = session.tracePipe;
    session.tracePipe = undefined;
    await pipe?.close();
    return {};
  },
};

function heldReader(session: Session, operation: string, handle: number): HeldReader {
  const held = session.readers.get(handle);
  if (!held) throw failure('badRequest', operation, `this session has no reader ${handle}`);
  return held;
}

/** A batch's records as views of its one buffer. */
function split({ data, lengths, cpus }: RecordBatch): { cpu: number; data: Uint8Array }[] {
  const records: { cpu: number; data: Uint8Array }[] = [];
  let at = 0;
  for (const [index, length] of lengths.entries()) {
    records.push({ cpu: cpus[index] ?? -1, data: data.subarray(at, at + length) });
    at += length;
  }
  return records;
}

let instances = 0;

/**
 * bpf_printk is a tracepoint, bpf_trace:bpf_trace_printk (since 5.9), so a tracefs instance of our own receives it
 * and the pipe that everybody shares, /sys/kernel/tracing/trace_pipe, is left to others. The instance is a directory
 * and would outlive the host: the guardian knows of it.
 */
async function openTracePipe(session: Session): Promise<TracePipe> {
  const tracefs = findTracefs();
  if (!tracefs) throw failure('unsupported', 'tracePipeOpen', tracefsMissing());
  const { addon, guardian } = session.host;
  const directory = path.join(tracefs, 'instances', `bpf-studio-${process.pid}-${++instances}`);
  const undone = await guardian.promise({ kind: 'traceInstance', directory });
  const remove = () => {
    rmdirSync(directory);
    undone();
  };
  mkdirSync(directory);
  let reader: StreamReader;
  try {
    writeFileSync(path.join(directory, 'events/bpf_trace/bpf_trace_printk/enable'), '1');
    const lines = lineSplitter((complete) => session.emit('tracePipe', { lines: complete }));
    reader = new StreamReader(
      addon,
      (callback) => addon.readerOpen('pipe', path.join(directory, 'trace_pipe'), callback),
      (batch) => lines(batch.data),
    );
  } catch (error) {
    remove();
    throw error;
  }
  return {
    flush: () => reader.flush(),
    async close() {
      await reader.close();
      remove();
    },
  };
}

/** Collects bytes into lines; a line that is not complete waits for the rest. */
function lineSplitter(emit: (lines: string[]) => Promise<void>): (data: Uint8Array) => Promise<void> {
  const decoder = new TextDecoder();
  let partial = '';
  return async (data) => {
    const lines = (partial + decoder.decode(data, { stream: true })).split('\n');
    partial = lines.pop() ?? '';
    if (lines.length > 0) await emit(lines);
  };
}
