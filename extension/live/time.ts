/** Of what arrives all the time: when it was, and showing it now and then. */
import type * as vscode from 'vscode';

/** `14:03:07.123`, in this machine's time zone. */
export function clockTime(milliseconds: number): string {
  const time = new Date(milliseconds);
  const part = (value: number, digits = 2): string => String(value).padStart(digits, '0');
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()].map((value) => part(value)).join(':');
  return `${clock}.${part(time.getMilliseconds(), 3)}`;
}

/** Work that `soon` asks for, at most once in so many milliseconds, and for the last time after the last request. */
export function throttled(work: () => void, milliseconds: number): vscode.Disposable & { soon(): void } {
  let timer: NodeJS.Timeout | undefined;
  return {
    soon() {
      timer ??= setTimeout(() => {
        timer = undefined;
        work();
      }, milliseconds);
    },
    dispose: () => clearTimeout(timer),
  };
}
