/** The language server's process: LSP on standard input and output. */
import path from 'node:path';
import { createConnection, StreamMessageReader, StreamMessageWriter } from 'vscode-languageserver/node';
import { serve } from './server';

if (process.argv.includes('--help')) {
  process.stdout.write(
    'language-server.js --stdio: speaks the Language Server Protocol on standard input and output.\n',
  );
  process.exit(0);
}

const connection = createConnection(
  new StreamMessageReader(process.stdin),
  new StreamMessageWriter(process.stdout),
);
// What a library prints must not get between the messages.
console.log = (...words: unknown[]) => connection.console.log(words.join(' '));
process.on('uncaughtException', (error) =>
  connection.console.error(`internal error: ${error.stack ?? error}`),
);
process.on('unhandledRejection', (error) => connection.console.error(`internal error: ${String(error)}`));

const server = serve(connection, path.dirname(__filename));
// The editor is gone when it closes the pipe, however it ended; vscode-languageserver also watches its process id.
process.stdin.on('end', () => void server.dispose().finally(() => process.exit(0)));
