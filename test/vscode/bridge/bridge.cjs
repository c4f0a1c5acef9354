/* eslint-disable @typescript-eslint/no-require-imports, no-undef -- VS Code loads extensions as CommonJS. */
// Evaluates functions of the tests inside the extension host, so that they can assert on diagnostics, sessions and
// settings through the API. Listens on a Unix socket in the test's own scratch directory.
const http = require('node:http');
const vscode = require('vscode');

exports.activate = (context) => {
  const socket = process.env.BPF_STUDIO_TEST_BRIDGE;
  if (!socket) return;
  const server = http.createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += chunk));
    request.on('end', async () => {
      const { source, argument } = JSON.parse(body);
      let answer;
      try {
        const result = await new Function('vscode', 'argument', `return (${source})(vscode, argument)`)(
          vscode,
          argument,
        );
        answer = { result: result === undefined ? null : result };
      } catch (error) {
        answer = { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
      }
      response.end(JSON.stringify(answer));
    });
  });
  server.listen(socket);
  context.subscriptions.push({ dispose: () => server.close() });
};
