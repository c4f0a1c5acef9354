import type { ErrorCode, ProtocolError } from '../protocol';

/** A request that failed: the protocol's error as something to throw. `message` is for the user. */
export class KernelError extends Error {
  readonly code: ErrorCode;
  readonly operation: string;
  readonly errno: string | undefined;
  readonly libbpfLog: string | undefined;
  /** What the user can do next. */
  readonly hint: string | undefined;
  readonly programs: ProtocolError['programs'];

  constructor(error: ProtocolError) {
    super(error.message);
    this.name = 'KernelError';
    this.code = error.code;
    this.operation = error.operation;
    this.errno = error.errno;
    this.libbpfLog = error.libbpfLog;
    this.hint = error.hint;
    this.programs = error.programs;
  }
}
