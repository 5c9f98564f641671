// Graphile Worker: functions of one pool with a local queue; PostgreSQL by pg.  The same five roles as program.py has, in
// Node: `node graphile.mjs ROLE STORE [NUMBER] [TOTAL]`, a line of JSON for each message and each request.

import { writeSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const fromPeer = createRequire(`${process.env.PEER_MODULES}/package.json`);
const { Logger, makeWorkerUtils, run } = await import(pathToFileURL(fromPeer.resolve("graphile-worker")).href);

const [role, store, slots, total] = process.argv.slice(2);
const QUEUE_SIZE = 500;
const SLEEP_MS = { nap: 50, sleep: 2000 };
const nowNs = () => Number(process.hrtime.bigint());
const say = (what, facts = {}) => writeSync(1, `${JSON.stringify({ what, ...facts })}\n`);
const silent = new Logger(() => () => {});

let expected = Number(total ?? 0);
let counted = 0;

const bodies = {
  noop: () => {
    counted += 1;
    if (counted === 1) say("first", { at_ns: nowNs() });
    if (counted === expected) say("last", { at_ns: nowNs() });
  },
  stamp: ({ number }) => say("stamp", { number, at_ns: nowNs() }),
};
for (const [name, ms] of Object.entries(SLEEP_MS)) {
  bodies[name] = async ({ number }) => {
    say("began", { number, at_ns: nowNs() });
    await new Promise((resolve) => setTimeout(resolve, ms));
    say("ended", { number, at_ns: nowNs() });
  };
}

async function listen(answer) {
  for await (const line of createInterface({ input: process.stdin })) await answer(JSON.parse(line));
}

async function work() {
  const batching = Number(slots) > 20;
  const runner = await run({
    logger: silent,
    taskList: bodies,
    preset: {
      worker: {
        connectionString: store,
        concurrentJobs: Number(slots),
        maxPoolSize: 20,
        ...(batching ? { localQueue: { size: QUEUE_SIZE }, completeJobBatchDelay: 0, failJobBatchDelay: 0 } : {}),
      },
    },
  });
  listen((request) => {
    expected = request.total;
    counted = 0;
    say("expecting");
  }).then(() => process.kill(process.pid, "SIGKILL"));
  say("ready");
  await runner.promise;
  process.exit(0);
}

async function produce() {
  const utils = await makeWorkerUtils({ connectionString: store, logger: silent });
  say("ready");
  await listen(async ({ job, first, count }) => {
    const from = nowNs();
    for (let at = first; at < first + count; at += 1000) {
      const numbers = Array.from({ length: Math.min(1000, first + count - at) }, (_, i) => at + i);
      await utils.addJobs(numbers.map((number) => ({ identifier: job, payload: { number } })));
    }
    say("stored", { from_ns: from, to_ns: nowNs() });
  });
  await utils.release();
}

const roles = {
  settings: () =>
    say("settings", {
      settings: {
        durability: "synchronous_commit=on, pg",
        storing: "addJobs, 1,000 in one statement",
        fetching: `localQueue.size=${QUEUE_SIZE}, completeJobBatchDelay=0, LISTEN/NOTIFY; a finished job is deleted`,
        slots: "100, promises; without batches for kill -9 and SIGTERM",
        orphans: "put back after 4 hours",
      },
    }),
  prepare: async () => {
    const utils = await makeWorkerUtils({ connectionString: store, logger: silent });
    await utils.migrate();
    await utils.release();
    say("ready");
  },
  produce,
  work,
  schedule: () => say("absent", { why: "crontab, a minute at the finest" }),
};
await roles[role]();
