import { describe, expect, it } from "vitest";
import type { StatusChange, WorkerStatus } from "../src/api/schema";
import { merge, type Whole } from "../src/live/merge";

const worker = (name: string, running = 0) => ({ name, running }) as WorkerStatus;
const change = (more: Partial<StatusChange>): StatusChange => ({ at: "", full: false, health: "healthy", reasons: [], nodes: [], running: [], workers: [], forgotten: [], order: null, store: "", totals: {} as StatusChange["totals"], revision: 0, ...more });
const full = change({ full: true, workers: [worker("a"), worker("b")], order: ["a", "b"] });

describe("the status", () => {
  it("begins with a full one", () => {
    expect(merge(null, change({}))).toBeNull();
    expect(merge(null, full)?.order).toEqual(["a", "b"]);
  });

  it("keeps the objects of workers that have not changed", () => {
    const before = merge(null, full) as Whole;
    const after = merge(before, change({ workers: [worker("b", 1)] })) as Whole;

    expect(after.workers.get("a")).toBe(before.workers.get("a"));
    expect(after.workers.get("b")?.running).toBe(1);
    expect(after.order).toEqual(["a", "b"]);
  });

  it("forgets who was forgotten", () => {
    const after = merge(merge(null, full), change({ forgotten: ["a"] })) as Whole;

    expect([...after.workers.keys()]).toEqual(["b"]);
    expect(after.order).toEqual(["b"]);
  });

  it("begins anew with the next full one", () => {
    const after = merge(merge(null, full), change({ full: true, workers: [worker("c")], order: ["c"] })) as Whole;

    expect([...after.workers.keys()]).toEqual(["c"]);
  });
});
