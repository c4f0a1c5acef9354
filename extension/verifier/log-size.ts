import type { VerifierLogResult } from '../../language-server/protocol';

type Log = Pick<VerifierLogResult, 'text' | 'links'>;

/** VS Code gives no document of more than 50 MB to an extension; UTF-8 may take more bytes than characters. */
export const MAX_CHARACTERS = 45_000_000;
/** Share of them that goes to the log's beginning; the reason for a verdict stands at its end. */
const HEAD_SHARE = 0.2;

/** A log that an editor can hold: whole lines of its beginning and its end, and a line that says what is left out. */
export function fitLog({ text, links }: Log, maximum = MAX_CHARACTERS): Log {
  if (text.length <= maximum) return { text, links };
  const headEnd = text.lastIndexOf('\n', Math.floor(maximum * HEAD_SHARE)) + 1;
  const tailStart = text.indexOf('\n', text.length - Math.floor(maximum * (1 - HEAD_SHARE))) + 1;
  const headLines = countLines(text, 0, headEnd);
  const leftOut = countLines(text, headEnd, tailStart);
  const note = `; ${leftOut.toLocaleString('en-US')} lines are left out here: the whole log has ${text.length.toLocaleString('en-US')} characters, more than the editor can hold\n`;
  return {
    text: text.slice(0, headEnd) + note + text.slice(tailStart),
    links: links.flatMap((link) => {
      if (link.line < headLines) return [link];
      return link.line < headLines + leftOut ? [] : [{ ...link, line: link.line - leftOut + 1 }];
    }),
  };
}

function countLines(text: string, from: number, to: number): number {
  let lines = 0;
  for (let at = text.indexOf('\n', from); at >= 0 && at < to; at = text.indexOf('\n', at + 1)) lines++;
  return lines;
}
