import { describe, expect, it } from "vitest";
import { fieldsOf, read, seconds } from "../src/parts/schema";

const SCHEMA = {
  $ref: "#/$defs/Parameters",
  $defs: {
    Parameters: {
      type: "object",
      properties: {
        sensor: { type: "string" },
        minutes: { type: "integer", default: 1, minimum: 1, maximum: 60 },
        level: { anyOf: [{ type: "number" }, { type: "null" }], default: null },
        kind: { enum: ["fast", "slow"] },
        dry: { type: "boolean", default: false },
        options: { $ref: "#/$defs/Options" },
      },
      required: ["sensor", "kind"],
    },
    Options: { type: "object", properties: {} },
  },
};
const fields = fieldsOf(SCHEMA);

describe("a form", () => {
  it("has a field of its kind for each parameter", () => {
    expect(fields.map(({ name, kind }) => [name, kind])).toEqual([
      ["sensor", "text"],
      ["minutes", "integer"],
      ["level", "number"],
      ["kind", "choice"],
      ["dry", "boolean"],
      ["options", "json"],
    ]);
  });

  it("leaves out what was left empty, and begins with the defaults", () => {
    expect(read(fields, { sensor: "cpu", kind: '"slow"' })).toEqual({ payload: { sensor: "cpu", minutes: 1, kind: "slow", dry: false }, problems: {} });
  });

  it("says beside each field what is wrong with it", () => {
    const { problems } = read(fields, { sensor: "", minutes: "61", level: "warm", kind: '"slow"', options: "{" });

    expect(problems["sensor"]).toBe("This is needed.");
    expect(problems["minutes"]).toBe("At most 60.");
    expect(problems["level"]).toBe("This must be a number.");
    expect(problems["options"]).toMatch(/^This is no JSON/);
  });

  it("takes text as it is, also when it looks like something else", () => {
    expect(read(fields, { sensor: "007", kind: '"fast"' }).payload["sensor"]).toBe("007");
  });

  it("is empty for a worker that takes nothing", () => {
    expect(fieldsOf({ type: "object" })).toEqual([]);
  });
});

describe("a duration", () => {
  it.each([
    ["90", 90],
    ["1h30m", 5400],
    ["500ms", 0.5],
    ["2 d", 172_800],
  ])("%s", (text, expected) => {
    expect(seconds(text)).toBe(expected);
  });

  it.each(["", "soon", "5 weeks", "-3"])("%s is none", (text) => {
    expect(seconds(text)).toBeNull();
  });
});
