import { describe, expect, it } from "vitest";
import { parse, write, Written } from "../src/json";

const SENT = '{"id":12345678901234567890,"price":1.10,"rate":0.12345678901234567890,"far":1e400,"n":[0,-0,7,1.5]}';

describe("a payload as it was written", () => {
  it("keeps every digit", () => {
    expect(write(parse(`{"payload":${SENT}}`, ["payload"]))).toBe(`{"payload":${SENT}}`);
  });

  it("is text only where a number would change", () => {
    const { payload } = parse(`{"payload":${SENT}}`, ["payload"]) as { payload: Record<string, unknown> };
    expect(payload["id"]).toEqual(new Written("12345678901234567890"));
    expect((payload["n"] as unknown[])[2]).toBe(7);
    expect((payload["n"] as unknown[])[3]).toBe(1.5);
  });

  it("is read so only below the names that are asked for", () => {
    expect(parse('{"at":1.0,"payload":{"at":1.0}}', ["payload"])).toEqual({ at: 1, payload: { at: new Written("1.0") } });
  });

  it("may have any text and name", () => {
    const text = JSON.stringify({ __proto__x: 1, "a\\": 'quoted "b" \\', "\u2028": "\\\\\"", list: [[], {}, null, true, ""] });
    expect(parse(` ${text}\n`, [])).toEqual(JSON.parse(text));
    expect(Object.keys(parse('{"__proto__":{"a":1}}', []) as object)).toEqual(["__proto__"]);
  });

  it("is refused where it is none", () => {
    for (const text of ["", "{", '{"a"}', "[1,]", "[1 2]", '"a', "nope", "{} {}"]) expect(() => parse(text, [])).toThrow(SyntaxError);
  });

  it("is written on lines as JavaScript does it", () => {
    const value = { a: [1, { b: [] }], c: {}, d: undefined };
    expect(write(value, "  ")).toBe(JSON.stringify(value, null, 2));
    expect(write(value)).toBe(JSON.stringify(value));
  });
});
