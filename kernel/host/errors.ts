/** Errors of the host: every one becomes a {@link ProtocolError} with what failed, why, and what to do next. */
import os from 'node:os';
import { isAddonError } from '../addon/addon';
import type { ErrorCode, ProtocolError } from '../protocol';
import { hintFor } from './hints';

export class HostError extends Error {
  constructor(readonly error: ProtocolError) {
    super(error.message);
  }
}

/** A {@link HostError} to throw. */
export function failure(
  code: ErrorCode,
  operation: string,
  message: string,
  more: Partial<ProtocolError> = {},
): HostError {
  return new HostError({ code, operation, message, ...more });
}

/** Whatever was thrown, as the protocol's error. An addon's error keeps errno and libbpf's words. */
export function toProtocolError(thrown: unknown, method: string): ProtocolError {
  if (thrown instanceof HostError) return thrown.error;
  if (isAddonError(thrown)) {
    if (thrown.code === 'ECANCELED') {
      return { code: 'cancelled', operation: method, message: `${method} was cancelled`, errno: thrown.code };
    }
    if (thrown.code === KERNEL_FAULT) return kernelFault(thrown.operation, method);
    const hint = hintFor(thrown.operation, thrown.code, thrown.libbpfLog ?? '');
    return {
      code: codeOf(thrown.code),
      operation: thrown.operation,
      errno: thrown.code,
      message: `${thrown.operation}: ${thrown.message} (${thrown.code})`,
      ...(thrown.libbpfLog ? { libbpfLog: thrown.libbpfLog } : {}),
      ...(hint ? { hint } : {}),
    };
  }
  const message = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  return {
    code: 'internal',
    operation: method,
    message: `The kernel host failed unexpectedly in ${method}: ${message}`,
    hint: 'This is a defect of BPF Studio. Please report it with the text above.',
  };
}

/** The kernel ended the thread that asked it: its own code faulted, so there will never be an answer. */
export const KERNEL_FAULT = 'EOWNERDEAD';

/** `during`: what the kernel was asked to do, as a noun or a name. */
export function kernelFault(operation: string, during: string): ProtocolError {
  const hint = hintFor(operation, KERNEL_FAULT, '');
  return {
    code: 'kernel',
    operation,
    errno: KERNEL_FAULT,
    message: `Linux ${os.release()} gave no answer: during ${during} it ended the thread that had asked, as a kernel does when its own code faults (an oops)`,
    ...(hint ? { hint } : {}),
  };
}

function codeOf(errno: string): ErrorCode {
  switch (errno) {
    case 'EPERM':
    case 'EACCES':
      return 'permission';
    case 'ENOTSUPP':
    case 'EOPNOTSUPP':
    case 'ENOSYS':
      return 'unsupported';
    default:
      return 'kernel';
  }
}
