// One cell with ioredis: `node ioredis.mjs CELL TARGET FOLDER`; FOLDER has its node_modules.
// Prints what tests/benchmarks/cell.py prints, but for the figures that only Python's cells have.

import { createRequire } from "node:module";
import { performance } from "node:perf_hooks";

const [cell, target] = process.argv.slice(2, 4).map((text) => JSON.parse(text));
const Redis = createRequire(`${process.argv[4]}/`)("ioredis").Redis;

const [host, port] = target.master;
const redis = new Redis({ host, port, enableAutoPipelining: cell.client.includes("auto") });
const size = cell.value_bytes;
const value = Buffer.alloc(size, "x");
const count = Math.max(16, Math.min(10_000, Math.floor(20_000_000 / size)));
const keys = Array.from({ length: count }, (_, n) => `key:${size}:${(n * 7919) % count}`);

let at = 0;
const key = () => keys[(at = (at + 1) % count)];
const some = (n) => Array.from({ length: n }, key);
const get = () => redis.getBuffer(key());

let turn = 0;
const calls = {
  "get-1": get,
  "get-100": get,
  "get-1000": get,
  "mix-100": () => (turn++ % 5 === 2 ? redis.set(key(), value) : get()),
  "mget-100": () => redis.mgetBuffer(...some(100)),
  "pipeline-1000": () => {
    const pipeline = redis.pipeline();
    for (const each of some(1000)) pipeline.set(each, value);
    return pipeline.exec();
  },
};
const call = calls[cell.work];
const commands = cell.work === "pipeline-1000" ? 1000 : 1;

async function work(until, took) {
  let now = performance.now();
  for (;;) {
    await call();
    const then = performance.now();
    took.push(then - now);
    if (then >= until) return;
    now = then;
  }
}

async function run(seconds) {
  const took = [];
  const until = performance.now() + 1000 * seconds;
  await Promise.all(Array.from({ length: cell.tasks }, () => work(until, took)));
  return took;
}

const first = await redis.getBuffer(keys[0]);
if (first?.length !== size) throw new Error("GET answers something else");
await run(cell.warm_up);
const cpu = process.cpuUsage();
const began = performance.now();
const took = (await run(cell.seconds)).sort((a, b) => a - b);
const seconds = (performance.now() - began) / 1000;
const { user, system } = process.cpuUsage(cpu);
const percentile = (p) => 1000 * took[Math.min(took.length - 1, Math.floor((took.length * p) / 100))];

console.log(
  JSON.stringify({
    cell,
    commands: took.length * commands,
    seconds,
    cpu: (user + system) / 1e6,
    p50: percentile(50),
    p99: percentile(99),
    p999: percentile(99.9),
    rss: Math.floor(process.memoryUsage.rss() / 1024),
    peak_rss: process.resourceUsage().maxRSS,
  }),
);
redis.disconnect();
