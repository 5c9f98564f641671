/* JSON as somebody wrote it: a number that a browser would change stays the text that it was.  Pure.

   - 12345678901234567890 and 1.10 are other numbers, or other texts, once JavaScript has read them; a payload is shown
     and sent with the digits that it has.
   - Only what stands below the names that are asked for is read so: elsewhere a number is a number. */

/** JSON that goes through as it is. */
export class Written {
  constructor(readonly text: string) {}
}

/** *text* as JSON; below members of these *names* a number whose digits would change is `Written`. */
export function parse(text: string, names: readonly string[]): unknown {
  return new Parser(text, names).whole();
}

/** *value* as JSON, what is `Written` in it as it is; with *indent* on lines of their own. */
export function write(value: unknown, indent = "", before = ""): string {
  if (value instanceof Written) return value.text;
  if (value === null || typeof value !== "object") return JSON.stringify(value) ?? "null";
  const inner = before + indent;
  const isList = Array.isArray(value);
  const parts = isList
    ? value.map((each) => write(each, indent, inner))
    : Object.entries(value)
        .filter(([, each]) => each !== undefined)
        .map(([name, each]) => `${JSON.stringify(name)}:${indent && " "}${write(each, indent, inner)}`);
  const [open, close] = isList ? ["[", "]"] : ["{", "}"];
  if (parts.length === 0) return open + close;
  return indent ? `${open}\n${inner}${parts.join(`,\n${inner}`)}\n${before}${close}` : open + parts.join(",") + close;
}

class Parser {
  private at = 0;

  constructor(
    private readonly text: string,
    private readonly names: readonly string[],
  ) {}

  whole(): unknown {
    const value = this.value(false);
    this.blanks();
    if (this.at < this.text.length) this.fail();
    return value;
  }

  private value(isExact: boolean): unknown {
    this.blanks();
    const first = this.text[this.at];
    if (first === "{") return this.object(isExact);
    if (first === "[") return this.list(isExact);
    const part = first === '"' ? this.string() : this.word();
    const value: unknown = JSON.parse(part);
    return isExact && typeof value === "number" && String(value) !== part ? new Written(part) : value;
  }

  private object(isExact: boolean): Record<string, unknown> {
    const result: Record<string, unknown> = {};
    this.members("}", () => {
      this.blanks();
      const name = JSON.parse(this.string()) as string;
      this.blanks();
      if (this.text[this.at++] !== ":") this.fail();
      const value = this.value(isExact || this.names.includes(name));
      // not `found[name] =`, which would not make a member of one that is called __proto__
      Object.defineProperty(result, name, { value, writable: true, enumerable: true, configurable: true });
    });
    return result;
  }

  private list(isExact: boolean): unknown[] {
    const result: unknown[] = [];
    this.members("]", () => result.push(this.value(isExact)));
    return result;
  }

  private members(end: string, take: () => unknown): void {
    this.at++;
    this.blanks();
    if (this.text[this.at] === end) {
      this.at++;
      return;
    }
    for (;;) {
      take();
      this.blanks();
      const next = this.text[this.at++];
      if (next === end) return;
      if (next !== ",") this.fail();
    }
  }

  private string(): string {
    const start = this.at;
    let end = start;
    do {
      end = this.text.indexOf('"', end + 1);
      if (end < 0) this.fail();
    } while (this.isEscaped(end));
    this.at = end + 1;
    return this.text.slice(start, this.at);
  }

  private isEscaped(quote: number): boolean {
    let slashes = 0;
    while (this.text[quote - 1 - slashes] === "\\") slashes++;
    return slashes % 2 === 1;
  }

  private word(): string {
    WORD.lastIndex = this.at;
    const result = WORD.exec(this.text)?.[0] ?? "";
    this.at += result.length;
    return result; // an empty one is refused by JSON.parse
  }

  private blanks(): void {
    BLANKS.lastIndex = this.at;
    this.at += BLANKS.exec(this.text)?.[0].length ?? 0;
  }

  private fail(): never {
    throw new SyntaxError(`this is no JSON at character ${this.at}`);
  }
}

const WORD = /[-+.\w]+/y;
const BLANKS = /[ \t\r\n]*/y;
