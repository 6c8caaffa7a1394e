// npm run build: the page's sources and the libraries of package-lock.json, into dist/, which is committed, so that
// `python -m chapters serve` needs no Node. The same sources give the same page; `make web-test` compares.
import { build } from 'esbuild';
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const out = process.argv[2] ?? 'dist';
rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const { metafile } = await build({
  entryPoints: ['src/page.jsx'],
  outdir: out,
  bundle: true,
  minify: true,
  metafile: true,
  format: 'esm',
  target: 'es2022',
  charset: 'utf8',
  legalComments: 'none', // the licences stand in licences.txt
  jsx: 'automatic',
  jsxImportSource: 'preact',
  loader: { '.png': 'dataurl', '.svg': 'dataurl' },
  alias: { fs: './src/no-files.js' }, // @sabaki/sgf reads files when it runs in Node,
  external: ['iconv-lite', 'jschardet'], // and guesses encodings with these
});
cpSync('src/index.html', `${out}/index.html`);
const wasm = readFileSync('node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm');
writeFileSync(`${out}/ort.wasm.gz`, gzipSync(wasm, { level: 9 }));

const packages = new Set(Object.keys(metafile.inputs).map((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1]).filter(Boolean));
const licences = [...packages].sort().map((name) => {
  const folder = `node_modules/${name}`, { version, license, repository } = JSON.parse(readFileSync(`${folder}/package.json`));
  const file = readdirSync(folder).find((one) => /^licen[sc]e/i.test(one));
  return `${name} ${version}: ${license}\n\n${file ? readFileSync(`${folder}/${file}`, 'utf8') : `The texts of its licences: ${repository.url.replace('git+', '')}`}`;
});
writeFileSync(`${out}/licences.txt`, licences.map((text) => text.trim()).join(`\n\n${'-'.repeat(60)}\n\n`) + '\n');
