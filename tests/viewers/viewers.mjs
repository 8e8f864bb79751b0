// SPDX-License-Identifier: MIT
// viewers.mjs: every export of a trace or a profile, read by a viewer that people use: speedscope
// in Chromium (timeline, folded stacks, pprof), pprof-format (pprof), Chromium itself (the flame
// graph), and go's pprof where Go is installed. And the same viewers must complain of files that
// are wrong, else their silence would mean nothing.
//
//     node viewers.mjs --modules DIR --ash-trace PROGRAM --make-trace PROGRAM [--keep DIR] FILE...
//
// DIR/node_modules has what package.json names. Without files it reads the scenes of make-trace.
// Prints TAP. Status 0 also when something is not installed: then it skips, and says what.

import { execFileSync, spawnSync } from 'node:child_process';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, extname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { gunzipSync } from 'node:zlib';

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const SCENES = ['full', 'strange', 'wrapped', 'dropped', 'profile'];
const IMPORT_TIMEOUT_MS = 60000, REFUSAL_TIMEOUT_MS = 5000;

// TAP

let count = 0, failed = 0;

async function check(name, body) {
    count++;
    try {
        await body();
        console.log(`ok ${count} - ${name}`);
    } catch (error) {
        failed++;
        console.log(`not ok ${count} - ${name}`);
        for (const line of String(error.stack ?? error).split('\n').slice(0, 12))
            console.log(`# ${line.slice(0, 300)}`);
    }
}

function skip(name, reason) {
    count++;
    console.log(`ok ${count} - ${name} # SKIP ${reason}`);
}

function equal(found, expected, what) {
    if (found !== expected)
        throw new Error(`${what}: ${found}, expected ${expected}`);
}

function truth(value, what) {
    if (!value)
        throw new Error(what);
}

// What is to be had

const { values: options, positionals: files } = parseArgs({
    allowPositionals: true,
    options: {
        modules: { type: 'string' }, 'ash-trace': { type: 'string' },
        'make-trace': { type: 'string' }, keep: { type: 'string' },
    },
});

function end() {
    console.log(`1..${count}`);
    process.exit(failed === 0 ? 0 : 1);
}

const modules = resolve(options.modules ?? '.', 'node_modules');
const chromium = CHROMIUM.find(existsSync);
if (!existsSync(join(modules, 'speedscope')) || chromium === undefined) {
    skip('viewers', chromium === undefined ? 'chromium is not installed: ./ashlar deps ci'
        : 'the viewers are not installed: ./ashlar deps ci');
    end();
}
const load = createRequire(join(modules, 'x.js'));
const { chromium: browserType } = load('playwright-core');
const { Profile } = load('pprof-format');

// A server on loopback for speedscope and the files

const served = new Map(); // a name under /files/ -> its path
const types = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css',
    '.svg': 'image/svg+xml', '.json': 'application/json', '.wasm': 'application/wasm' };
const server = createServer((request, response) => {
    if (request.url === '/favicon.ico') { // what browsers ask of each server
        response.writeHead(204).end();
        return;
    }
    const name = decodeURIComponent(new URL(request.url, 'http://localhost').pathname);
    const path = name.startsWith('/files/') ? served.get(name.slice('/files/'.length))
        : join(modules, 'speedscope/dist/release', basename(name));
    if (path === undefined || !existsSync(path)) {
        response.writeHead(404).end();
        return;
    }
    response.writeHead(200, { 'content-type': types[extname(path)] ?? 'application/octet-stream' });
    response.end(readFileSync(path));
});
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
const origin = `http://127.0.0.1:${server.address().port}`;
const browser = await browserType.launch({ executablePath: chromium,
    args: ['--no-sandbox', '--use-gl=swiftshader', '--enable-unsafe-swiftshader'] });

function serve(path) {
    served.set(basename(path), path);
    return `${origin}/files/${encodeURIComponent(basename(path))}`;
}

// speedscope: what it says of a file

async function speedscope(path, timeout = IMPORT_TIMEOUT_MS) {
    const page = await browser.newPage({ viewport: { width: 1200, height: 700 } });
    const said = [];
    let wrong = null;
    page.on('console', (message) => said.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => { wrong ??= error; });
    const url = serve(path);
    await page.goto(`${origin}/index.html#profileURL=${encodeURIComponent(url)}`);
    try {
        await page.waitForFunction((name) => document.title.includes(name), basename(path),
            { timeout });
    } catch {
        wrong ??= new Error('it shows no profile');
    }
    if (options.keep !== undefined)
        await page.screenshot({ path: join(options.keep, `speedscope-${basename(path)}.png`) });
    await page.close();
    return { said, wrong,
        importing: said.find((line) => line.includes('Importing as')) ?? '',
        // How Chromium draws without a graphics card is not the file's fault.
        complaints: said.filter((line) => /^(warning|error):/.test(line) &&
            !line.includes('GL Driver Message')) };
}

async function opens(path, kind) {
    const seen = await speedscope(path);
    if (seen.wrong !== null)
        throw new Error(`${seen.wrong}\n${seen.said.join('\n')}`);
    truth(seen.importing.includes(kind), `it says "${seen.importing}", not of ${kind}`);
    equal(seen.complaints.length, 0, `complaints (${seen.complaints[0]})`);
}

// pprof

function pprof(path) {
    return Profile.decode(gunzipSync(readFileSync(path)));
}

function pprofTotals(profile) {
    const totals = profile.sampleType.map(() => 0n);
    for (const sample of profile.sample)
        sample.value.forEach((value, i) => { totals[i] += BigInt(value); });
    return totals;
}

function foldedTotal(path) {
    return readFileSync(path, 'utf8').split('\n').filter((line) => line !== '')
        .reduce((sum, line) => sum + BigInt(line.slice(line.lastIndexOf(' ') + 1)), 0n);
}

// The flame graph, by mouse and keys

// Each frame that is drawn: its name and its width.
function boxesOf(page) {
    return page.evaluate(() => [...document.querySelectorAll('.frame')]
        .filter((frame) => getComputedStyle(frame).display !== 'none')
        .map((frame) => frame.getAttribute('aria-label') + ' ' +
            Math.round(frame.getBoundingClientRect().width)));
}

async function shot(page, path, what) {
    if (options.keep !== undefined)
        await page.screenshot({ path: join(options.keep, `${basename(path)}-${what}.png`) });
}

async function zoomByMouse(page, first) {
    const last = page.locator('.frame').filter({ visible: true }).last();
    await last.hover({ force: true });
    truth(await page.locator('#tip').isVisible(), 'no tip under the mouse');
    await last.click({ force: true });
    truth(JSON.stringify(await boxesOf(page)) !== first, 'a click zooms nothing');
    await page.locator('#reset').click();
    equal(JSON.stringify(await boxesOf(page)), first, 'frames after "Reset zoom"');
}

async function zoomByKeys(page, first) {
    await page.locator('#find input').focus();
    await page.keyboard.press('Tab');
    for (const key of ['ArrowUp', 'ArrowUp', 'Enter'])
        await page.keyboard.press(key);
    truth(JSON.stringify(await boxesOf(page)) !== first, 'the keys zoom nothing');
    await page.keyboard.press('Escape');
    equal(JSON.stringify(await boxesOf(page)), first, 'frames after Escape');
}

async function search(page, path) {
    await page.keyboard.press('Control+f');
    await page.keyboard.type('^all$');
    equal(await page.locator('#found').textContent(), '100.00 % in 1 match', 'found');
    equal(await page.locator('.hit').count(), 1, 'frames that are marked');
    await page.keyboard.press('Control+f');
    await page.keyboard.type('(['); // no expression: taken as it is
    equal(await page.locator('#found').textContent(), 'no match', 'found');
    await page.keyboard.press('Control+f');
    await page.keyboard.type('a');
    await shot(page, path, 'searched');
    await page.keyboard.press('Escape');
    equal(await page.locator('.hit').count(), 0, 'frames that are marked after Escape');
}

async function flame(path, colorScheme, width) {
    const page = await browser.newPage({ viewport: { width, height: 700 }, colorScheme });
    const said = [], asked = [];
    page.on('console', (message) => said.push(message.text()));
    page.on('pageerror', (error) => said.push(String(error)));
    page.on('request', (request) => asked.push(request.url()));
    await page.goto(serve(path));
    await shot(page, path, `${colorScheme}-${width}`);
    const first = await boxesOf(page);
    truth(first.length > 3, `only ${first.length} frames are drawn`);
    const over = await page.evaluate(() => document.documentElement.getBoundingClientRect().width);
    equal(over, width, 'the width of the graph');
    await zoomByMouse(page, JSON.stringify(first));
    await zoomByKeys(page, JSON.stringify(first));
    await search(page, path);
    await page.close();
    equal(said.length, 0, `messages on the console (${said[0]})`);
    equal(asked.length, 1, `requests (${asked[1]})`);
}

// All exports of a container

const place = options.keep ?? mkdtempSync(join(tmpdir(), 'ashlar-viewers-'));
mkdirSync(place, { recursive: true });

const ENDS = { chrome: '.json', pprof: '.pb.gz', folded: '.folded.txt', flame: '.svg' };

// What the container has: a dump may be without events, or without samples, but not both.
function exportAll(file) {
    const made = {};
    for (const [format, end] of Object.entries(ENDS)) {
        const path = join(place, basename(file, '.ash') + end);
        const { status, stderr } = spawnSync(options['ash-trace'], [file, `--${format}`, path],
            { encoding: 'utf8' });
        if (status === 0)
            made[format] = path;
        else if (!/has no (events|samples)/.test(stderr))
            throw new Error(`ash-trace ${file} --${format}: ${stderr}`);
    }
    truth(Object.keys(made).length !== 0, `${file} has nothing`);
    return made;
}

async function goodTimeline(name, made) {
    await check(`speedscope.opens_the_timeline_of_${name}`,
        () => opens(made.chrome, 'Trace Event Format'));
}

async function goodProfile(name, made) {
    await check(`speedscope.opens_the_pprof_of_${name}`, () => opens(made.pprof, 'pprof'));
    await check(`speedscope.opens_the_folded_stacks_of_${name}`,
        () => opens(made.folded, 'collapsed stack'));
    await check(`pprof_format.reads_as_many_samples_as_are_folded_of_${name}`, () => {
        const totals = pprofTotals(pprof(made.pprof));
        equal(totals[0], foldedTotal(made.folded), 'samples');
    });
    await check(`chromium.zooms_and_searches_the_flame_graph_of_${name}`,
        () => flame(made.flame, 'light', 1200));
    await check(`chromium.does_so_in_a_dark_and_narrow_window_with_that_of_${name}`,
        () => flame(made.flame, 'dark', 380));
    if (spawnSync('go', ['version']).status === 0)
        await check(`go_pprof.reads_the_profile_of_${name}`, () => {
            const top = execFileSync('go', ['tool', 'pprof', '-top', made.pprof],
                { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
            truth(/flat%/.test(top), top);
        });
    else
        skip(`go_pprof.reads_the_profile_of_${name}`, 'Go is not installed (golang-go)');
}

// What is wrong must be seen to be wrong.
async function badFiles(made) {
    const bad = (name, bytes) => {
        const path = join(place, name);
        writeFileSync(path, bytes);
        return path;
    };
    const complains = (what, name, bytes) => check(`speedscope.complains_of_${what}`, async () => {
        const seen = await speedscope(bad(name, bytes()), REFUSAL_TIMEOUT_MS);
        truth(seen.complaints.length > 0 || seen.wrong !== null, 'it says nothing');
    });
    await complains('ends_without_a_name', 'nameless.json', () => {
        const trace = JSON.parse(readFileSync(made.chrome, 'utf8'));
        for (const event of trace.traceEvents)
            if (event.ph === 'E')
                delete event.name;
        return JSON.stringify(trace);
    });
    await complains('half_a_timeline', 'half.json', () => {
        const text = readFileSync(made.chrome);
        return text.subarray(0, text.length / 2);
    });
    await complains('a_number_that_is_cut_off', 'cut.pb', () =>
        Buffer.concat([gunzipSync(readFileSync(made.pprof)), Buffer.from([0x48, 0xff])]));
}

try {
    const inputs = files.length !== 0 ? files : SCENES.map((scene) => {
        const file = join(place, `${scene}.ash`);
        execFileSync(options['make-trace'], [scene, file]);
        return file;
    });
    for (const [i, file] of inputs.entries()) {
        const made = exportAll(file);
        const name = basename(file, '.ash');
        if (made.chrome !== undefined)
            await goodTimeline(name, made);
        if (made.pprof !== undefined)
            await goodProfile(name, made);
        if (i === 0 && made.chrome !== undefined && made.pprof !== undefined)
            await badFiles(made);
    }
} catch (error) {
    await check('viewers.get_their_files', () => { throw error; });
} finally {
    await browser.close();
    server.close();
    if (options.keep === undefined)
        rmSync(place, { recursive: true, force: true });
}
end();
