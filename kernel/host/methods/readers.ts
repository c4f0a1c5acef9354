/** Requests about streams: ring buffers, perf event arrays, the trace pipe. */
import { mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { AddonReader, RecordBatch } from '../../addon/addon';
import { failure } from '../errors';
import { findTracefs, tracefsMissing } from '../tracefs';
import type { Handlers, Session } from '../session';

type ReaderHandlers = Pick<Handlers, 'readerOpen' | 'readerClose' | 'tracePipeOpen' | 'tracePipeClose'>;

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
    const reader: AddonReader = addon.readerOpen(kind, map.fd, (batch) => {
      const { lost } = batch;
      // The next batch is taken when the connection has room, so a slow client costs no memory here.
      void session
        .emit('records', { reader: id, records: split(batch), lost })
        .finally(() => addon.readerAcknowledge(reader));
    });
    session.readers.set(id, { reader, map: handle, close: () => addon.readerClose(null, reader) });
    return { reader: id };
  },

  async readerClose(session, { reader: handle }) {
    const reader = session.readers.get(handle);
    if (!reader) throw failure('badRequest', 'readerClose', `this session has no reader ${handle}`);
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

  async tracePipeClose(session) {
    const pipe = session.tracePipe;
    session.tracePipe = undefined;
    await pipe?.close();
    return {};
  },
};

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
async function openTracePipe(session: Session): Promise<{ close(): Promise<void> }> {
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
  let reader: AddonReader;
  try {
    writeFileSync(path.join(directory, 'events/bpf_trace/bpf_trace_printk/enable'), '1');
    const lines = lineSplitter((complete) => session.emit('tracePipe', { lines: complete }));
    reader = addon.readerOpen('pipe', path.join(directory, 'trace_pipe'), (batch) => {
      void lines(batch.data).finally(() => addon.readerAcknowledge(reader));
    });
  } catch (error) {
    remove();
    throw error;
  }
  return {
    async close() {
      await addon.readerClose(null, reader);
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
