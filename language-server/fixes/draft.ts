/** A text under change that still knows which parts of it are the original's. */
import type { TextEdit } from './fix';

type Piece = { from: number; to: number } | { added: string };

export class Draft {
  private constructor(
    private readonly original: string,
    private readonly pieces: readonly Piece[],
  ) {}

  static of(original: string): Draft {
    return new Draft(original, [{ from: 0, to: original.length }]);
  }

  get text(): string {
    return this.pieces.map((piece) => this.textOf(piece)).join('');
  }

  /** The draft after edits of its present text, which must not overlap; of several at one place the first comes first. */
  apply(edits: readonly TextEdit[]): Draft {
    let pieces = [...this.pieces];
    const ordered = edits.map((edit, order) => ({ ...edit, order }));
    ordered.sort((a, b) => b.start - a.start || b.end - a.end || b.order - a.order);
    for (const { start, end, text } of ordered) {
      const before = this.slice(pieces, 0, start);
      const after = this.slice(pieces, end, Infinity);
      pieces = [...before, ...(text ? [{ added: text }] : []), ...after];
    }
    return new Draft(this.original, pieces);
  }

  /** What turns the original into the draft, in order, with offsets of the original. */
  get edits(): TextEdit[] {
    const edits: TextEdit[] = [];
    let at = 0;
    let added = '';
    const flush = (to: number): void => {
      if (to > at || added) edits.push({ start: at, end: to, text: added });
      added = '';
    };
    for (const piece of this.pieces) {
      if ('added' in piece) added += piece.added;
      else {
        flush(piece.from);
        at = piece.to;
      }
    }
    flush(this.original.length);
    return edits;
  }

  private slice(pieces: readonly Piece[], from: number, to: number): Piece[] {
    const found: Piece[] = [];
    let at = 0;
    for (const piece of pieces) {
      const length = 'added' in piece ? piece.added.length : piece.to - piece.from;
      const first = Math.max(from - at, 0);
      const last = Math.min(to - at, length);
      at += length;
      if (first >= last) continue;
      if ('added' in piece) found.push({ added: piece.added.slice(first, last) });
      else found.push({ from: piece.from + first, to: piece.from + last });
    }
    return found;
  }

  private textOf(piece: Piece): string {
    return 'added' in piece ? piece.added : this.original.slice(piece.from, piece.to);
  }
}
