/** What a feature may use of the server: the open documents, the kernel, and what was published. */
import { ErrorCodes, ResponseError, type ClientCapabilities } from 'vscode-languageserver';
import type { BpfObject } from '../toolchain/elf/object';
import { readBpfObject } from '../toolchain/elf/object';
import type { SourceFile } from '../toolchain/c/source';
import type { KernelLink } from './kernel-link';
import type { BpfDocument } from './model/document';
import type { Environment } from './model/environment';
import type { Published } from './published';

export interface Session {
  /** What the editor can do. */
  readonly client: ClientCapabilities;
  readonly environment: Environment;
  readonly kernel: KernelLink;
  readonly published: Published;
  /** An open document, BPF or not. */
  document(uri: string): BpfDocument | undefined;
}

/** An open BPF document with its parsed text; undefined for every other file, which gets no answer of ours. */
export function bpfDocument(
  session: Session,
  uri: string,
): { bpf: BpfDocument; source: SourceFile } | undefined {
  const bpf = session.document(uri);
  return bpf?.isBpf && bpf.source ? { bpf, source: bpf.source } : undefined;
}

/** The document a request of ours names. Throws what the editor is answered when it is not open. */
export function requireDocument(session: Session, params: { uri: string } | undefined): BpfDocument {
  const bpf = session.document(params?.uri ?? '');
  if (!bpf) throw failure(`The document "${params?.uri}" is not open.`);
  return bpf;
}

/** The compiler's flags of a document, which say where its headers are. */
export async function flagsOf({ environment }: Session, bpf: BpfDocument): Promise<readonly string[]> {
  return (await environment.flags(bpf.path, bpf.text)).args;
}

/** The object of the newest text that compiled. */
export function objectOf(bpf: BpfDocument): BpfObject | undefined {
  const read = bpf.newestObject && readBpfObject(bpf.newestObject);
  return read?.ok ? read.value : undefined;
}

/** An answer that says why there is none. */
export function failure(message: string): ResponseError<void> {
  return new ResponseError(ErrorCodes.InvalidParams, message);
}
