import { describe, expect, it } from "vitest";
import type { Run } from "../src/api/schema";
import { settle } from "../src/live/stableRows";
import { extended, fits, NONE, patched, renewed, wanted, type RunQuery } from "../src/live/runs";

const ALL: RunQuery = { worker: "", status: [], key: "", error: "", since: null };

function aRun(id: number, more: Partial<Run> = {}): Run {
  return { id, worker: "report", status: "pending", key: null, error: null, finished_at: null, attempts: [], ...more } as Run;
}

describe("rows", () => {
  it("follow at once while nobody touches them", () => {
    expect(settle([2, 1], [3, 2, 1], false)).toEqual({ shown: [3, 2, 1], waiting: 0 });
  });

  it("stay where they are while somebody touches them, and say how many are new", () => {
    expect(settle([2, 1], [4, 3, 2, 1], true)).toEqual({ shown: [2, 1], waiting: 2 });
  });

  it("keep their order under the hand, however often it changes", () => {
    let shown: readonly number[] = [5, 4, 3, 2, 1];
    for (let change = 0; change < 1000; change++) {
      const shuffled = [...shown].sort((one, other) => ((one * 7 + change) % 5) - ((other * 7 + change) % 5));
      shown = settle(shown, change % 3 === 0 ? shuffled.slice(1) : [100 + change, ...shuffled], true).shown;
    }

    expect(shown).toEqual([5, 4, 3, 2, 1]);
  });

  it("stay although they no longer belong here", () => {
    expect(settle([2, 1], [1], true).shown).toEqual([2, 1]);
  });

  it("grow at their end while touched: that moves nothing", () => {
    expect(settle([4, 3], [5, 4, 3, 2, 1], true)).toEqual({ shown: [4, 3, 2, 1], waiting: 1 });
  });

  it("keep their identity when nothing is new, so nothing is drawn", () => {
    const shown = [2, 1];

    expect(settle(shown, [2, 1], false).shown).toBe(shown);
  });
});

describe("a list of runs", () => {
  const list = extended(NONE, [aRun(9), aRun(7)], 7);

  it("takes what the stream tells of runs that fit", () => {
    const after = patched(list, [aRun(10), aRun(9, { status: "running" })], ALL);

    expect(wanted(after, ALL)).toEqual([10, 9, 7]);
    expect(after.runs.get(9)?.status).toBe("running");
  });

  it("leaves out what lies behind its last page", () => {
    expect(patched(list, [aRun(3)], ALL)).toBe(list);
  });

  it("leaves out what does not fit", () => {
    expect(patched(list, [aRun(11, { worker: "other" })], { ...ALL, worker: "report" })).toBe(list);
  });

  it("lets a run go that no longer fits", () => {
    const pending = { ...ALL, status: ["pending"] };

    expect(wanted(patched(list, [aRun(9, { status: "succeeded" })], pending), pending)).toEqual([7]);
  });

  it("is read anew down to where it was read before, however much is new", async () => {
    const all = Array.from({ length: 300 }, (_, at) => aRun(300 - at));
    const ask = async (cursor: number | null, limit: number) => {
      const runs = all.filter((run) => cursor === null || run.id < cursor).slice(0, limit);
      return { runs, next: runs.length === limit ? (runs.at(-1)?.id ?? null) : null };
    };
    const after = await renewed(list, ask);

    expect(wanted(after, ALL)).toEqual(Array.from({ length: 294 }, (_, at) => 300 - at));
    expect(after.next).toBe(7);
  });
});

describe("since", () => {
  it("lets unfinished runs through, and those that ended later", () => {
    const asked = { ...ALL, since: "2026-11-24T12:00:00Z" };

    expect(fits(aRun(1), asked)).toBe(true);
    expect(fits(aRun(1, { finished_at: "2026-11-24T12:00:01Z" }), asked)).toBe(true);
    expect(fits(aRun(1, { finished_at: "2026-11-24T11:59:59Z" }), asked)).toBe(false);
  });
});
