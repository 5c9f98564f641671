import { describe, expect, it } from "vitest";
import { pieces } from "../src/live/links";

const text = (said: string) => ({ kind: "text", text: said });

describe("a sentence", () => {
  it("has its runs and its subject as links", () => {
    expect(pieces("blocked by import-products (run #1904)", "import-products", "worker")).toEqual([
      text("blocked by "),
      { kind: "worker", text: "import-products" },
      text(" (run "),
      { kind: "run", id: 1904 },
      text(")"),
    ]);
  });

  it("has every run of a list as a link", () => {
    expect(pieces("limit reached (runs #4, #5)")).toEqual([text("limit reached (runs "), { kind: "run", id: 4 }, text(", "), { kind: "run", id: 5 }, text(")")]);
  });

  it("has no link for a number that is not said to be a run", () => {
    expect(pieces("ValueError: ticket #12")).toEqual([text("ValueError: ticket #12")]);
  });

  it("has no link for a part of a longer name", () => {
    expect(pieces("blocked by fetch-all", "all", "worker")).toEqual([text("blocked by fetch-all")]);
    expect(pieces("waiting for a (run 1), after b", "a", "worker")).toEqual([text("waiting for "), { kind: "worker", text: "a" }, text(" (run 1), after b")]);
  });

  it("has no link for a subject without a page", () => {
    expect(pieces("breaker bank is open", "bank", "breaker")).toEqual([text("breaker bank is open")]);
  });
});
