// Parses a PowerShell script with the grammar that editors use, and ends with exit
// code 1 where it does not parse.
//
//   node --liftoff-only .ci/powershell.cjs PREFIX SCRIPT
//
// Optimizing the grammar takes a hundred times as long as using it: --liftoff-only.
// PREFIX is where @vscode/tree-sitter-wasm was installed.
const fs = require('fs');
const path = require('path');

const [, , prefix, script] = process.argv;
const home = path.join(prefix, 'node_modules', '@vscode', 'tree-sitter-wasm');
const { Parser, Language } = require(home);

async function main() {
  const wasm = (name) => path.join(home, 'wasm', name + '.wasm');
  await Parser.init({ locateFile: () => wasm('tree-sitter') });
  const parser = new Parser();
  parser.setLanguage(await Language.load(wasm('tree-sitter-powershell')));
  const root = parser.parse(fs.readFileSync(script, 'utf8')).rootNode;
  const wrong = [];
  const visit = (node) => {
    if (node.isError || node.isMissing) {
      wrong.push(`${script}:${node.startPosition.row + 1}: ${node.text.slice(0, 60).trim()}`);
    } else if (node.hasError) {
      node.children.forEach(visit);
    }
  };
  visit(root);
  wrong.forEach((line) => console.error(line));
  if (root.childCount === 0 || root.hasError) process.exit(1);
}

main().catch((err) => {
  console.error(err);
  process.exit(1);
});
