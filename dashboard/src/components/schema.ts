/* A payload's JSON Schema as fields of a form, and what was typed as a payload.  Pure.

   - What has no field of its own kind is a field for JSON.
   - An empty field that is not needed is left out: the function's default counts.
   - A payload is JSON, made of what was typed: no number passes through JavaScript on its way. */

import { Written, write } from "../json";

export type Kind = "text" | "integer" | "number" | "boolean" | "choice" | "json";

export interface FormField {
  name: string;
  kind: Kind;
  needed: boolean;
  nullable: boolean;
  hint: string;
  choices: readonly unknown[];
  initial: string;
  limits: Limits;
}

interface Limits {
  minimum?: number | undefined;
  maximum?: number | undefined;
  minLength?: number | undefined;
  maxLength?: number | undefined;
  pattern?: string | undefined;
}

export type Schema = Record<string, unknown>;

export interface Read {
  payload: Record<string, Written>;
  problems: Record<string, string>;
}

export function fieldsOf(schema: Schema): FormField[] {
  const whole = resolved(schema, schema);
  const properties = (whole["properties"] ?? {}) as Record<string, Schema>;
  const needed = new Set((whole["required"] ?? []) as string[]);
  return Object.entries(properties).map(([name, property]) => fieldOf(name, property, needed.has(name), schema));
}

function fieldOf(name: string, property: Schema, needed: boolean, root: Schema): FormField {
  const options = ((property["anyOf"] ?? property["oneOf"]) as Schema[] | undefined)?.map((each) => resolved(each, root));
  const real = options?.filter((each) => each["type"] !== "null");
  const one = real === undefined ? resolved(property, root) : real.length === 1 ? (real[0] ?? {}) : {};
  const choices = one["enum"] as unknown[] | undefined;
  const fallback = property["default"] ?? one["default"];
  const kind = choices ? "choice" : kindOf(one);
  return {
    name,
    kind,
    needed,
    nullable: options !== undefined && real !== undefined && real.length < options.length,
    hint: [property["description"] ?? one["description"], formatOf(one), boundsOf(one)].filter(Boolean).join(", "),
    choices: choices ?? [],
    initial: fallback === undefined || fallback === null ? "" : kind === "text" ? String(fallback) : write(fallback),
    limits: {
      minimum: one["minimum"] as number | undefined,
      maximum: one["maximum"] as number | undefined,
      minLength: one["minLength"] as number | undefined,
      maxLength: one["maxLength"] as number | undefined,
      pattern: one["pattern"] as string | undefined,
    },
  };
}

function resolved(schema: Schema, root: Schema): Schema {
  const ref = schema["$ref"];
  if (typeof ref !== "string") return schema;
  const result = ref
    .replace(/^#\//, "")
    .split("/")
    .reduce<unknown>((at, part) => (at as Schema | undefined)?.[part], root);
  return { ...((result as Schema | undefined) ?? {}), ...Object.fromEntries(Object.entries(schema).filter(([key]) => key !== "$ref")) };
}

function kindOf(schema: Schema): Kind {
  switch (schema["type"]) {
    case "string":
      return "text";
    case "integer":
      return "integer";
    case "number":
      return "number";
    case "boolean":
      return "boolean";
    default:
      return "json";
  }
}

function formatOf(schema: Schema): string {
  const format = schema["format"] as string | undefined;
  if (format === "date-time") return "a time such as 2026-11-24T15:00:00Z";
  if (format === "date") return "a day such as 2026-11-24";
  if (schema["contentEncoding"] === "base64") return "bytes as base64";
  if (schema["type"] === "array") return "a list, as JSON";
  if (schema["type"] === "object") return "an object, as JSON";
  return format ?? "";
}

function boundsOf(schema: Schema): string {
  const { minimum: low, maximum: high, maxLength } = schema as { minimum?: number; maximum?: number; maxLength?: number };
  if (low !== undefined && high !== undefined) return `${low} to ${high}`;
  if (low !== undefined) return `from ${low}`;
  if (high !== undefined) return `up to ${high}`;
  return maxLength === undefined ? "" : `at most ${maxLength} characters`;
}

export function read(fields: readonly FormField[], typed: Readonly<Record<string, string>>): Read {
  const result: Read = { payload: {}, problems: {} };
  for (const field of fields) {
    const text = typed[field.name] ?? field.initial;
    if (text === "" && !(field.kind === "text" && field.needed && field.limits.minLength === 0)) {
      if (field.needed && field.nullable) result.payload[field.name] = new Written("null");
      else if (field.needed) result.problems[field.name] = "Required.";
      continue;
    }
    const value = valueOf(field, text);
    if (value instanceof Written) result.payload[field.name] = value;
    else result.problems[field.name] = value.problem;
  }
  return result;
}

type Value = Written | { problem: string };

function valueOf(field: FormField, text: string): Value {
  switch (field.kind) {
    case "text":
      return within(field, text);
    case "integer":
      return /^[+-]?\d+$/.test(text.trim()) ? bounded(field, text.trim()) : { problem: "This must be a whole number." };
    case "number":
      return text.trim() !== "" && Number.isFinite(Number(text)) ? bounded(field, text.trim()) : { problem: "This must be a number." };
    default:
      return json(text);
  }
}

function within({ limits }: FormField, text: string): Value {
  if (limits.minLength !== undefined && text.length < limits.minLength) return { problem: `At least ${limits.minLength} characters.` };
  if (limits.maxLength !== undefined && text.length > limits.maxLength) return { problem: `At most ${limits.maxLength} characters.` };
  if (limits.pattern !== undefined && !matches(limits.pattern, text)) return { problem: `This must match ${limits.pattern}` };
  return new Written(JSON.stringify(text));
}

function matches(pattern: string, text: string): boolean {
  try {
    return new RegExp(pattern, "u").test(text);
  } catch {
    return true; // another dialect: the server will say
  }
}

function bounded({ limits }: FormField, text: string): Value {
  const value = Number(text);
  if (limits.minimum !== undefined && value < limits.minimum) return { problem: `At least ${limits.minimum}.` };
  if (limits.maximum !== undefined && value > limits.maximum) return { problem: `At most ${limits.maximum}.` };
  return new Written(numberOf(text, value));
}

/** As it was typed, if JSON has it so; else what it says. */
function numberOf(text: string, value: number): string {
  const plain = text.replace(/^\+/, "").replace(/^(-?)0+(?=\d)/, "$1");
  return /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(plain) ? plain : String(value);
}

function json(text: string): Value {
  try {
    JSON.parse(text);
    return new Written(text.trim());
  } catch (error) {
    return { problem: `Not valid JSON: ${(error as Error).message}` };
  }
}

/** "90", "1h30m", "500ms" → seconds; null when it is none. */
export function seconds(text: string): number | null {
  const it = text.trim().replaceAll(" ", "");
  if (/^\d+(\.\d+)?$/.test(it)) return Number(it);
  const UNITS: Record<string, number> = { ms: 0.001, s: 1, m: 60, min: 60, h: 3600, d: 86_400 };
  let rest = it;
  let sum = 0;
  while (rest !== "") {
    const part = /^(\d+(?:\.\d+)?)(ms|min|s|m|h|d)/.exec(rest);
    if (part === null) return null;
    sum += Number(part[1]) * (UNITS[part[2] ?? ""] ?? 0);
    rest = rest.slice(part[0].length);
  }
  return it === "" ? null : sum;
}
