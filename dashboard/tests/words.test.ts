import { describe, expect, it } from "vitest";
import type { Lasted, Run, WorkerStatus } from "../src/api/schema";
import { attemptsOf } from "../src/charts/attempts";
import { duration, rate, relative, shortType } from "../src/format";
import { attention, remarks, unshown } from "../src/live/attention";
import { tally, window } from "../src/live/minutes";
import { instantOf } from "../src/live/since";
import type { Whole } from "../src/live/merge";
import { href, parse } from "../src/routes";

describe("an address", () => {
  it("comes back as it went", () => {
    const made = href("runs", null, { worker: "a b", status: ["dead", "pending"], key: "x/y?&#" });
    const { page, id, query } = parse(made);

    expect([page, id]).toEqual(["runs", null]);
    expect(query.get("worker")).toBe("a b");
    expect(query.getAll("status")).toEqual(["dead", "pending"]);
    expect(query.get("key")).toBe("x/y?&#");
  });

  it("names a worker of any name", () => {
    expect(parse(href("workers", "a.b_c-1"))).toMatchObject({ page: "workers", id: "a.b_c-1" });
  });

  it("leads to the overview when it says nothing, and nowhere when it is unknown", () => {
    expect(parse("").page).toBe("overview");
    expect(parse("#/nix").page).toBe("nowhere");
    expect(parse("#/workers/%E0%A4%A").id).toBe("%E0%A4%A");
  });

  it("leaves out what is empty", () => {
    expect(href("runs", null, { worker: "", status: [], key: null })).toBe("#/runs");
  });
});

describe("words", () => {
  it.each([
    [0, "0 s"],
    [0.0004, "< 1 ms"],
    [0.0432, "43 ms"],
    [4, "4 s"],
    [2.34, "2.3 s"],
    [59.4, "59 s"],
    [75, "1 min 15 s"],
    [3600, "1 h"],
    [90_000, "1 d 1 h"],
  ])("%d s are %s", (s, said) => {
    expect(duration(s)).toBe(said);
  });

  it("say how long ago and how soon", () => {
    expect(relative(10_000, 22_000)).toBe("12 s ago");
    expect(relative(250_000, 10_000)).toBe("in 4 min");
    expect(relative(10_400, 10_000)).toBe("now");
  });

  it.each([
    [5, 1, "5/s"],
    [20, 60, "20/min"],
    [1000, 3600, "1,000/h"],
    [3, 90, "3/1 min 30 s"],
  ])("say %d in %d s as a rate", (value, s, said) => {
    expect(rate(value, s)).toBe(said);
  });

  it("name an error by its class", () => {
    expect(shortType("urllib.error.HTTPError")).toBe("HTTPError");
  });

  it("turn a stretch of time into an instant", () => {
    expect(instantOf("1h", Date.UTC(2026, 10, 24, 12))).toBe("2026-11-24T11:00:00.000Z");
    expect(instantOf("2026-11-24T10:00:00Z", 0)).toBe("2026-11-24T10:00:00.000Z");
    expect(instantOf("soon", 0)).toBeNull();
  });
});

describe("minutes", () => {
  it("are all there, with what was counted and what the stream told", () => {
    const counted = [{ at: 60_000, succeeded: 2, failed: 0 }];
    const told = [{ status: "dead", finished_at: new Date(130_000).toISOString() }] as never;

    expect(window(counted, tally(new Map(), told, 150_000, 3), 150_000, 3)).toEqual([
      { at: 0, succeeded: 0, failed: 0 },
      { at: 60_000, succeeded: 2, failed: 0 },
      { at: 120_000, succeeded: 0, failed: 1 },
    ]);
  });
});

describe("what a page keeps of runs that ended", () => {
  it("is a count for each minute that is shown, however long it is open", () => {
    let told: ReturnType<typeof tally> = new Map();
    for (let second = 0; second < 36_000; second += 10) {
      const ended = { status: "succeeded", finished_at: new Date(second * 1000).toISOString() };
      told = tally(told, [ended] as never, second * 1000, 60);
    }

    expect(told.size).toBeLessThanOrEqual(61);
    expect(window([], told, 35_999_000, 60).reduce((sum, { succeeded }) => sum + succeeded, 0)).toBe(360);
  });
});

describe("a bar of the chart of run times", () => {
  const anAttempt = (ended: number, duration_s: number, cause: string | null = null) => ({ ended_at: new Date(ended * 1000).toISOString(), duration_s, cause });
  const runs = [
    { id: 8, attempts: [anAttempt(50, 3)] },
    { id: 7, attempts: [anAttempt(20, 2, "error"), anAttempt(40, 3)] },
  ] as unknown as Run[];
  const bar = (duration_s: number, ok = true): Lasted => ({ duration_s, ok });

  it("names the run and the attempt that it stands for, newest last", () => {
    const known = attemptsOf([bar(2, false), bar(3), bar(3)], runs);

    expect(known.map((each) => each && [each.run, each.attempt.ended_at])).toEqual([
      [7, "1970-01-01T00:00:20.000Z"],
      [7, "1970-01-01T00:00:40.000Z"],
      [8, "1970-01-01T00:00:50.000Z"],
    ]);
  });

  it("names none that the runs do not go back to", () => {
    expect(attemptsOf([bar(9), bar(2), bar(3)], runs).map((each) => each?.run)).toEqual([undefined, undefined, 8]);
  });
});

describe("attention", () => {
  const well = { enabled: true, reasons: [], holds: [], dead_letters: 0, health: "healthy", last_error: null, breaker_until: null, next_due_at: null };
  const aWorker = (name: string, more: object) => ({ ...well, name, ...more }) as unknown as WorkerStatus;
  const totals = (workers: WorkerStatus[]) => ({ dead_letters: workers.reduce((sum, worker) => sum + worker.dead_letters, 0), health: {} });
  const aWhole = (...workers: WorkerStatus[]) =>
    ({ reasons: [], totals: totals(workers), running: [{ run: 7, worker: "stuck", zombie: true }], workers: new Map(workers.map((worker) => [worker.name, worker])) }) as unknown as Whole;
  const because = (fact: string) => ({ severity: "degraded", fact, text: fact, worker: "" });

  it("has nothing to say when all is well", () => {
    expect(attention(aWhole(aWorker("a", {})), 0)).toEqual([]);
  });

  it("puts the worst first, each with what helps", () => {
    const found = attention(
      aWhole(
        aWorker("off", { enabled: false, health: "disabled", reasons: [because("disabled")] }),
        aWorker("bank", { health: "degraded", reasons: [because("breaker")] }),
        aWorker("stuck", { health: "unhealthy", reasons: [because("stuck")] }),
      ),
      0,
    );

    expect(found.map(({ worker, helps }) => [worker, helps[0]])).toEqual([
      ["stuck", { kind: "cancel", worker: "stuck", run: 7 }],
      ["off", { kind: "enable", worker: "off" }],
      ["bank", { kind: "reset", worker: "bank" }],
    ]);
  });

  it("shows what has been due for a minute, and why it waits", () => {
    const holds = [{ gate: "blocks", text: "cleanup: run 3 is running", since: null, until: null }];
    const late = aWorker("late", { holds, next_due_at: new Date(0).toISOString() });

    expect(attention(aWhole(late), 59_000)).toEqual([]);
    expect(attention(aWhole(late), 61_000)[0]?.holds).toEqual(holds);
  });

  it("counts those that were not sent", () => {
    const sent = aWhole(aWorker("off", { health: "disabled", reasons: [because("disabled")] }), aWorker("b", {}));
    const whole = { ...sent, totals: { ...sent.totals, health: { disabled: 300, degraded: 2, healthy: 9 } } } as Whole;

    expect(unshown(whole)).toBe(301);
  });

  it("counts nothing that makes nothing worse, and says it apart", () => {
    const reasons = [{ severity: "healthy", fact: "durability", text: "a power cut may take the last commits", worker: "" }];
    const whole = { ...aWhole(aWorker("a", {})), reasons } as unknown as Whole;

    expect(attention(whole, 0)).toEqual([]);
    expect(remarks(whole)).toEqual(["a power cut may take the last commits"]);
  });

  it("puts a store that takes no work before everything else", () => {
    const reasons = [{ severity: "unhealthy", fact: "store", text: "the store takes no new work", worker: "" }];
    const whole = { ...aWhole(aWorker("store", { health: "unhealthy", reasons: [because("stuck")] })), reasons } as unknown as Whole;

    expect(attention(whole, 0).map(({ worker }) => worker)).toEqual([null, "store"]);
  });

  it("tells of dead letters of workers that are well again", () => {
    const [entry] = attention(aWhole(aWorker("a", { dead_letters: 2 }), aWorker("b", { dead_letters: 1 })), 0);

    expect(entry?.title).toBe("3 dead letters");
    expect(entry?.helps).toEqual([{ kind: "letters", worker: null, count: 3 }]);
  });
});
