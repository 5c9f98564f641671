import { describe, expect, test } from "vitest";
import { questions } from "../src/api/batches";

const HOSTILE = ["__proto__", "constructor", "", "a&worker=b", "%00", "\u202e", "x\0y", "😀".repeat(128), "x".repeat(129), "null", '"],["', "<b>"];
const REFUSED = ["", "x\0y", "x".repeat(129)]; // by the server: such a worker there is not

describe("questions about what may be done", () => {
  test("each pair is asked once, and none that nobody wanted", () => {
    const pairs = [
      { action: "drain", worker: null },
      { action: "trigger", worker: "a" },
      { action: "disable", worker: "a" },
      { action: "trigger", worker: "a" },
      { action: "trigger", worker: "b" },
      { action: "disable", worker: "b" },
      { action: "cancel", worker: "c" },
    ];

    expect(questions(pairs)).toEqual([
      { action: ["drain"], worker: [] },
      { action: ["disable", "trigger"], worker: ["a", "b"] },
      { action: ["cancel"], worker: ["c"] },
    ]);
  });

  test("names of any kind stay as they are; what can be no name is left out", () => {
    const asked = questions(HOSTILE.map((worker) => ({ action: "trigger", worker })));

    expect(asked.flatMap((each) => each.worker)).toEqual(HOSTILE.filter((each) => !REFUSED.includes(each)));
  });

  test("no question is longer than the server and a proxy take", () => {
    const names = Array.from({ length: 120 }, (_, at) => `worker ${at}`);
    const long = Array.from({ length: 9 }, (_, at) => `${at}${"😀".repeat(127)}`);
    const asked = questions([...names, ...long].map((worker) => ({ action: "trigger", worker })));

    expect(asked.flatMap((each) => each.worker)).toEqual([...names, ...long]);
    for (const { worker } of asked) {
      expect(worker.length).toBeLessThanOrEqual(50);
      expect(new URLSearchParams(worker.map((each) => ["worker", each])).toString().length).toBeLessThanOrEqual(4200);
    }
  });

  test("nobody who can be asked about is no question", () => {
    expect(questions(REFUSED.map((worker) => ({ action: "trigger", worker })))).toEqual([]);
  });
});
