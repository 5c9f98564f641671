import { describe, expect, it } from "vitest";
import { write } from "../src/json";
import { fieldsOf, read, seconds } from "../src/components/schema";

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
    const { payload, problems } = read(fields, { sensor: "cpu", kind: '"slow"' });

    expect(write(payload)).toBe('{"sensor":"cpu","minutes":1,"kind":"slow","dry":false}');
    expect(problems).toEqual({});
  });

  it("says beside each field what is wrong with it", () => {
    const { problems } = read(fields, { sensor: "", minutes: "61", level: "warm", kind: '"slow"', options: "{" });

    expect(problems["sensor"]).toBe("Required.");
    expect(problems["minutes"]).toBe("At most 60.");
    expect(problems["level"]).toBe("This must be a number.");
    expect(problems["options"]).toMatch(/^Not valid JSON/);
  });

  it("takes text as it is, also when it looks like something else", () => {
    expect(write(read(fields, { sensor: "007", kind: '"fast"' }).payload["sensor"])).toBe('"007"');
  });

  it.each([
    ["1.10", "1.10"],
    [" 0.12345678901234567890 ", "0.12345678901234567890"],
    ["1E5", "1E5"],
    ["+7.0", "7.0"],
    ["-007", "-7"],
    [".5", "0.5"],
  ])("sends the number %s as it was typed", (typed, sent) => {
    expect(write(read(fields, { sensor: "cpu", kind: '"fast"', level: typed }).payload["level"])).toBe(sent);
  });

  it("sends whole numbers and JSON with all their digits", () => {
    const free = fieldsOf({ type: "object", properties: { id: { type: "integer" }, options: {} } });
    const typed = { id: "12345678901234567890", options: ' {"b": 1.10, "a": 1} ' };

    expect(write(read(free, typed).payload)).toBe('{"id":12345678901234567890,"options":{"b": 1.10, "a": 1}}');
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
