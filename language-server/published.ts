/** Diagnostics by file. Several documents may have findings in one header; an editor takes one list for each file. */
import type { Diagnostic } from 'vscode-languageserver';

/** A finding and the document whose compilation or verification it comes from. */
export interface PublishedDiagnostic {
  document: string;
  diagnostic: Diagnostic;
}

export class Published {
  /** File → document → the document's findings in that file. */
  private readonly files = new Map<string, Map<string, Diagnostic[]>>();

  /** `send` gets the version of a document's text with its own findings, so that an editor can drop outdated ones. */
  constructor(
    private readonly send: (uri: string, diagnostics: Diagnostic[], version: number | undefined) => void,
  ) {}

  /** All findings of a document, by file; files that had some before and have none now are cleared. */
  set(document: string, version: number, byFile: ReadonlyMap<string, Diagnostic[]>): void {
    for (const [file, documents] of this.files) {
      if (documents.has(document) && !byFile.has(file)) this.update(file, document, undefined);
    }
    for (const [file, diagnostics] of byFile)
      this.update(file, document, diagnostics, file === document ? version : undefined);
  }

  /** What a file's list holds now. */
  in(file: string): PublishedDiagnostic[] {
    return [...(this.files.get(file) ?? [])].flatMap(([document, diagnostics]) =>
      diagnostics.map((diagnostic) => ({ document, diagnostic })),
    );
  }

  remove(document: string): void {
    for (const [file, documents] of this.files)
      if (documents.has(document)) this.update(file, document, undefined);
  }

  private update(
    file: string,
    document: string,
    diagnostics: Diagnostic[] | undefined,
    version?: number,
  ): void {
    const documents = this.files.get(file) ?? new Map<string, Diagnostic[]>();
    if (diagnostics) documents.set(document, diagnostics);
    else documents.delete(document);
    if (documents.size > 0) this.files.set(file, documents);
    else this.files.delete(file);
    this.send(file, [...documents.values()].flat(), version);
  }
}
