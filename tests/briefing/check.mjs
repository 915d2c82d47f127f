// Opens each page in Chromium and checks what only a browser can tell. Prints one line a check.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';

const { values } = parseArgs({
  options: { chromium: { type: 'string' }, profile: { type: 'string' }, pages: { type: 'string' } },
});

let passed = 0;
let failed = 0;
function check(name, good, told = '') {
  if (good) {
    passed += 1;
    console.log(`  ok      ${name}`);
  } else {
    failed += 1;
    console.log(`  FAILED  ${name}: ${told}`);
  }
}

const sizes = [
  { name: 'desktop', width: 1280, height: 900, colorScheme: 'light' },
  { name: 'dark', width: 1280, height: 900, colorScheme: 'dark' },
  { name: 'tablet', width: 820, height: 1180, colorScheme: 'light' },
  { name: 'phone', width: 390, height: 844, colorScheme: 'light' },
  // 182 mm: an A4 page without its margins.
  { name: 'paper', width: 688, height: 1000, colorScheme: 'light', media: 'print' },
];

// The colours of FIRST TLP 2.0.
const letters = { RED: 'rgb(255, 43, 43)', 'AMBER+STRICT': 'rgb(255, 192, 0)', GREEN: 'rgb(51, 255, 0)' };
// What a reader must see, must not find, the label, and at least so many charts.
const expected = {
  sample: {
    label: 'AMBER+STRICT', charts: 14, absent: [],
    wanted: ['652', '653', '284', '13,466', 'These totals compete', 'Still held, as far as is known, by: '
      + 'cedar-network, dogwood-forum', 'overdue', '<script>alert(1)</script>', 'hxxps[://]evil[.]example', '1,597',
      'Confirmed', 'Disputed', 'Acknowledged', '522 by 2', '1,037 indicator, 7 sighting',
      'By operation, proven by the log', 'Its own label', 'Nobody gives a different total of these.'],
  },
  empty: {
    label: 'GREEN', charts: 0, absent: [],
    wanted: ['No disputes since the last meeting.', 'No open inquiries.', 'The ledger is empty.'],
  },
  // From a real hub, for a company and for the observer.
  'demo/alder-video': {
    label: 'RED', charts: 8, absent: ['example_weather'],
    wanted: ['August 2018: network of a state broadcaster', '58', '652', '653', '284', 'These totals compete',
      '2 actors are named', 'Confidence 85 of 100', 'ballot-line[.]example',
      'In posts of two pages, since May.', 'indicator, to be deleted', 'Nobody holds it any more: 2 holders have let go.',
      'A hobbyist who talks about the weather.', 'account [@]example_persona on x', 'A published list',
      'Confirmed', 'Disputed', 'Acknowledged', 'By operation', 'Its own label', 'Nobody gives a different total of these.'],
  },
  'demo/harbour-liaison': {
    label: 'GREEN', charts: 4,
    absent: ['TLP:RED', 'TLP:AMBER', 'neighbour', 'ballot', 'example_', 'hobbyist', 'A published list'],
    wanted: ['August 2018: network of a state broadcaster', '58', '284', '2 actors are named', 'No open inquiries.'],
  },
};

const context = await chromium.launchPersistentContext(values.profile, {
  executablePath: values.chromium,
  headless: true,
  // The page's own policy is what is tested: the browser must not do more for it.
  bypassCSP: false,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update',
    '--disable-sync', '--disable-quic', '--no-first-run', '--no-default-browser-check',
  ],
});

const asked = [];
const told = [];
context.on('request', (request) => asked.push(request.url()));

for (const name of Object.keys(expected)) {
  const file = join(values.pages, `${name}.html`);
  const url = pathToFileURL(file).href;
  for (const size of sizes) {
    const page = await context.newPage();
    page.on('console', (message) => told.push(`${name} ${size.name}: ${message.text()}`));
    page.on('pageerror', (error) => told.push(`${name} ${size.name}: ${error}`));
    page.on('dialog', (dialog) => { told.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
    await page.emulateMedia({ colorScheme: size.colorScheme, media: size.media ?? 'screen' });
    await page.setViewportSize({ width: size.width, height: size.height });
    await page.goto(url, { waitUntil: 'load' });
    await layout(page, `${name}, ${size.name}`);
    if (size.name === 'desktop') await content(page, name);
    await page.screenshot({ path: join(values.pages, `${name}-${size.name}.png`), fullPage: true });
    await page.close();
  }
  await printed(url, name);
}
await refused();
await context.close();

const outside = asked.filter((url) => !isOurs(url));
check('only the pages themselves were asked for', asked.length >= 8 && outside.length === 0, outside.join(' '));
check('the browser had nothing to say', told.length === 0, told.join('; '));
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

function isOurs(url) {
  return url === 'data:,' || url.startsWith(`${pathToFileURL(values.pages).href}/`);
}

// Nothing is wider than the page, and every chart and table can be seen.
async function layout(page, name) {
  const found = await page.evaluate(() => {
    const wide = document.documentElement.clientWidth;
    const scrolls = (element) => {
      for (let at = element; at; at = at.parentElement) {
        if (getComputedStyle(at).overflowX === 'auto') return true;
      }
      return false;
    };
    const box = (element) => element.getBoundingClientRect();
    const outside = [...document.body.querySelectorAll('*')]
      .filter((element) => !element.closest('svg') && !scrolls(element) && box(element).right > wide + 1)
      .map((element) => `${element.tagName}.${element.className} to ${box(element).right} of ${wide}`);
    const charts = [...document.querySelectorAll('svg')].map((svg) => {
      const { width, height, left, right } = box(svg);
      const cut = [...svg.querySelectorAll('text, rect')].filter((inner) => {
        const its = box(inner);
        return its.left < left - 1 || its.right > right + 1;
      }).map((inner) => inner.textContent.trim() || inner.outerHTML);
      const named = svg.getAttribute('aria-labelledby').split(' ')
        .every((id) => document.getElementById(id)?.textContent.trim().length > 0);
      return { width, height, cut, named };
    });
    return { wide, scrollWidth: document.documentElement.scrollWidth, outside, charts };
  });
  check(`${name}: nothing is wider than the page`,
    found.scrollWidth <= found.wide && found.outside.length === 0,
    `${found.scrollWidth} > ${found.wide}: ${found.outside.slice(0, 5).join('; ')}`);
  const small = found.charts.filter(({ width, height }) => width < 100 || height < 16);
  check(`${name}: ${found.charts.length} charts can be seen`, small.length === 0, JSON.stringify(small));
  const cut = found.charts.flatMap((chart) => chart.cut);
  check(`${name}: no chart is cut off`, cut.length === 0, cut.join('; '));
  check(`${name}: each chart says what it is`, found.charts.every((chart) => chart.named));
}

async function content(page, name) {
  const text = (await page.innerText('body')).replace(/\s+/g, ' ');
  const { label, wanted, absent, charts } = expected[name];
  for (const each of [`TLP:${label}`, ...wanted]) {
    check(`${name}: a reader sees ${each}`, text.includes(each), text.slice(0, 2000));
  }
  const source = await page.content();
  for (const each of absent) check(`${name}: nowhere is ${each}`, !source.includes(each));
  const counts = await page.evaluate(() => ({
    charts: document.querySelectorAll('svg').length,
    scripts: document.scripts.length,
    images: document.images.length,
    links: [...document.links].map((link) => link.getAttribute('href')),
    headings: [...document.querySelectorAll('h1, h2')].length,
    level: [...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].map((heading) => Number(heading.tagName[1])),
    tables: [...document.querySelectorAll('table')].filter((table) => !table.caption?.textContent).length,
  }));
  const colors = await page.evaluate(() => [...document.querySelectorAll('.band .tlp')].map((label) => {
    const { color, backgroundColor, fontSize } = getComputedStyle(label);
    return `${color} on ${backgroundColor}, ${fontSize}`;
  }));
  // On black, 12 points or more.
  check(`${name}: the label has its colours above and below`, colors.length === 2
    && colors.every((color) => color === `${letters[label]} on rgb(0, 0, 0), 16px`), colors.join('; '));
  check(`${name}: there is a chart for what can be drawn`, charts === 0 ? counts.charts === 0 : counts.charts >= charts,
    `${counts.charts}`);
  check(`${name}: no script, no image`, counts.scripts === 0 && counts.images === 0);
  check(`${name}: links lead within the page only`, counts.links.length === 3
    && counts.links.every((href) => href.startsWith('#')), counts.links.join(' '));
  check(`${name}: one title and three parts`, counts.headings === 4, `${counts.headings}`);
  const jumps = counts.level.filter((level, index) => index > 0 && level > counts.level[index - 1] + 1);
  check(`${name}: no level of heading is left out`, jumps.length === 0, counts.level.join(' '));
  check(`${name}: each table says what it is`, counts.tables === 0);
}

// As it comes out of the printer: the label at the top and bottom of each page, nothing lost.
async function printed(url, name) {
  const page = await context.newPage();
  await page.goto(url, { waitUntil: 'load' });
  const path = join(values.pages, `${name}.pdf`);
  await page.pdf({ path, format: 'A4', preferCSSPageSize: true, printBackground: false });
  await page.close();
  check(`${name}: it can be printed`, existsSync(path) && statSync(path).size > 10_000);
  const label = `TLP:${expected[name].label}`;
  const pages = execFileSync('pdftotext', ['-layout', path, '-'], { encoding: 'utf8' }).split('\f').slice(0, -1);
  const bare = pages.map((text, index) => ({ index, lines: text.split('\n').filter((line) => line.trim()) }))
    .filter(({ lines }) => !lines[0]?.trim().endsWith(label) || !lines.slice(-2).some((line) => line.trim().endsWith(label)));
  check(`${name}: ${pages.length} pages, each with its label above and below`, pages.length > 0 && bare.length === 0,
    bare.map(({ index, lines }) => `${index + 1}: ${lines[0]} ... ${lines.at(-1)}`).join('; '));
  check(`${name}: pages are numbered`, pages.every((text, index) => text.includes(`${index + 1} of ${pages.length}`)));
}

// That a request would be seen if there were one: a server on this machine counts what arrives. Hostile markup in the
// page, as if it had not been escaped, gets nothing out; the same markup in a page without the policy does.
async function refused() {
  const arrived = [];
  const server = createServer((request, response) => { arrived.push(request.url); response.end(); });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = `http://127.0.0.1:${server.address().port}`;
  const hostile = (name) => `<img src="${address}/${name}-image"><link rel="stylesheet" href="${address}/${name}-style">`
    + `<iframe src="${address}/${name}-frame"></iframe><div style="background:url(${address}/${name}-back)">x</div>`
    + `<script>fetch("${address}/${name}-fetch")</script><svg><image href="${address}/${name}-svg"></image></svg>`;
  const source = readFileSync(join(values.pages, 'sample.html'), 'utf8');
  const [seen, said] = [asked.length, told.length];
  for (const [name, markup] of [
    ['page', source.replace('<main>', `<main>${hostile('page')}`)],
    ['control', `<!DOCTYPE html><main>${hostile('control')}</main>`],
  ]) {
    const file = join(values.profile, `${name}.html`);
    writeFileSync(file, markup);
    const page = await context.newPage();
    await page.goto(pathToFileURL(file).href, { waitUntil: 'load' });
    await page.close();
  }
  await new Promise((resolve) => server.close(resolve));
  // What this test asked for is no request of the pages.
  asked.length = seen;
  told.length = said;
  const control = arrived.filter((url) => url.startsWith('/control-'));
  check('a request that leaves a page would be seen', control.length >= 5, arrived.join(' '));
  const left = arrived.filter((url) => url.startsWith('/page-'));
  check('the policy lets nothing out, whatever is in the page', left.length === 0, left.join(' '));
}
