// What a program in another language does with the recipes' entries, locks and limiters, by
// docs/stored-formats.md: `node ioredis.mjs FOLDER SCRIPTS GROUP`. FOLDER has ioredis in its node_modules,
// SCRIPTS the Lua files, GROUP is JSON. Reads one JSON request per line, and answers each with one.

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { inflateSync } from "node:zlib";

const [folder, scripts, group] = process.argv.slice(2);
const Redis = createRequire(`${folder}/`)("ioredis").Redis;
const { sentinels, name } = JSON.parse(group);
const redis = new Redis({ sentinels, name });

function script(file) {
  const lua = readFileSync(`${scripts}/${file}.lua`, "utf8");
  redis.defineCommand(file, { lua }); // EVALSHA, and EVAL after NOSCRIPT
  return (keys, args) => redis[file](keys.length, ...keys, ...args);
}

const lease = script("cache_lease");
const fill = script("cache_fill");
const acquire = script("lock_acquire");
const release = script("lock_release");
const gcra = script("gcra");

const token = () => randomBytes(16).toString("hex");

function readEntry(stored) {
  if (stored === null) return null;
  const text = stored.startsWith("z1:") ? inflateSync(Buffer.from(stored.slice(3), "base64")).toString() : stored;
  const entry = JSON.parse(text);
  return entry.v === 1 && Date.now() / 1000 < entry.at + entry.ttl ? entry : null;
}

async function epochOf(master) {
  const sentinel = new Redis(sentinels[0]);
  const said = await sentinel.call("SENTINEL", "MASTER", master);
  sentinel.disconnect();
  return said[said.indexOf("config-epoch") + 1];
}

async function locked(lock, ours, work) {
  const keys = [`lock:${lock}`, "lock-fence", `lock-released:${ours}`];
  let fence = 0;
  let doubted = "";
  while (fence <= 0) {
    const [first, second] = await acquire(keys, [ours, 10_000, await epochOf(name), doubted]);
    fence = first;
    doubted = fence === -1 ? second : "";
    if (fence === 0) await sleep(1);
  }
  const done = await work(fence);
  const released = await release([keys[0], keys[2]], [ours, 10_000, `lock:${lock}:free`]);
  return { done, fence, released };
}

const answers = {
  read: async ({ key }) => readEntry(await redis.get(key)),
  store: async ({ key, data, ttl }) => {
    const ours = token();
    const [said] = await lease([key, `${key}:lease`], [ours, 5000, "", 0]);
    if (said !== "leased") return said;
    const entry = JSON.stringify({ v: 1, at: Date.now() / 1000, ttl, took: 0.01, data });
    return await fill([key, `${key}:lease`], [ours, entry, ttl * 1000, 0, 0]);
  },
  lock: ({ lock }) => locked(lock, token(), async () => await redis.get(`lock:${lock}`)),
  // What only the lock makes right: read, wait, write.
  count: async ({ lock, key, times }) => {
    const fences = [];
    for (let n = 0; n < times; n++) {
      const { fence } = await locked(lock, token(), async () => {
        const before = Number(await redis.get(key));
        await sleep(1);
        await redis.set(key, before + 1);
      });
      fences.push(fence);
    }
    return fences;
  },
  take: async ({ id, most, window, times }) => {
    const keys = [`rate_limit:gcra:${most}/${window}:${id}`];
    const calls = Array.from({ length: times }, () => gcra(keys, ["take", 1, most, window]));
    return (await Promise.all(calls)).filter(([allowed]) => allowed === 1).length;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  const answer = await answers[request.do](request);
  console.log(JSON.stringify(answer));
}
redis.disconnect();
