// The last part: what scripts see, and the function through which the host runs one.
const ERROR_LIMIT = 2000;
const parse = JSON.parse;
const globalEval = eval;

// Most scripts use none of these, and reading them takes longer than all the rest: the first use
// does it. Their source comes as a text, which needs no parsing before.
const makeFunction = Function;
const { now } = Date;
const GIVEN = { now, textOf, utf8Bytes, utf8Text, toHex, fromHex, toBase64, fromBase64 };
let lateMemo;
const late = () =>
  (lateMemo ??= makeFunction(...GIVEN_NAMES, "HOST_ENTROPY", LATE_SOURCE)(...GIVEN_VALUES, HOST_ENTROPY));
const GIVEN_NAMES = Object.keys(GIVEN);
const GIVEN_VALUES = Object.values(GIVEN);

const lateMembers = (group, names) => {
  const members = {};
  for (const name of names) members[name] = (...values) => late()[group][name](...values);
  return members;
};

const crypto = lateMembers("crypto", [
  "md5", "sha1", "sha256", "sha512", "hmacSha256", "hmacSha512", "aesEncrypt", "aesDecrypt",
]);
const datetime = lateMembers("datetime", ["now", "timestamp", "format", "isoString"]);
const random = lateMembers("random", ["randomInt", "randomFloat", "randomBytes"]);
const { uuidv4 } = lateMembers("random", ["uuidv4"]);

const visible = {
  atob, btoa, clearTimeout, console, crypto, datetime, random, ...random, setTimeout, uuidv4,
};
for (const [name, value] of Object.entries(visible)) globalThis[name] = value;
for (const name of ["WebAssembly", "SharedArrayBuffer", "Atomics"]) delete globalThis[name];
globalThis.__timer_manager = undefined; // the engine's own timers; the property cannot be deleted

const failure = (code, text) => stringify({ error: code, text: text.slice(0, ERROR_LIMIT) });

const failed = (thrown) => {
  let text = "unknown error";
  try {
    text = thrown instanceof Error ? String(thrown) : printable(thrown);
  } catch {} // an error object may lie about its own text
  if (text === "RangeError: Array buffer allocation failed")
    return failure("sandbox_memory_limit", "Memory limit exceeded");
  return failure("sandbox_execution_error", "Execution error: " + text);
};

const finished = (value, limit, chunks) => {
  const text = stringify(value) ?? "null";
  const more = chunks === undefined ? "" : `,"chunks":${stringify(chunks)}`;
  const length = text.length + more.length;
  const size = length * 3 > limit ? utf8Length(text) + utf8Length(more) : 0;
  if (size > limit)
    return failure("sandbox_memory_limit", `Output too large (max ${limit} bytes, got ${size} bytes)`);
  return `{"value":${text},"stdout":${stringify(printed.slice(0, limit))}${more}}`;
};

const settled = async (promise, limit) => {
  try {
    return finished(await promise, limit);
  } catch (thrown) {
    return failed(thrown);
  }
};

// What stands for an input that came in pieces, while main runs.
const stream = () => {
  const callbacks = {};
  const handle = {};
  for (const name of ["on_chunk", "on_end", "on_error"])
    handle[name] = (callback) => {
      callbacks[name] = callback;
      return handle;
    };
  return { handle, callbacks };
};

// main says what it wants to hear; then one stream after another is played to it. No stream fails
// here: the node that makes it would have failed, so on_error is never called.
const streaming = async (main, inputs, limit, streams) => {
  const handles = Object.fromEntries(Object.keys(streams).map((name) => [name, stream()]));
  const handed = parse(inputs);
  for (const [name, { handle }] of Object.entries(handles)) handed[name] = handle;
  const value = await main(handed);
  const heard = Object.entries(handles).filter(([, { callbacks }]) => callbacks.on_chunk);
  if (heard.length === 0) {
    printed = "";
    return finished(await main(parse(inputs)), limit);
  }
  const chunks = [];
  const take = (chunk) => {
    if (chunk !== undefined && chunk !== null) chunks.push(chunk);
  };
  for (const [name, { callbacks }] of Object.entries(handles)) {
    if (callbacks.on_chunk) for (const piece of streams[name]) take(await callbacks.on_chunk(piece));
    if (callbacks.on_end) take(await callbacks.on_end(parse(inputs)[name]));
  }
  return finished(value, limit, chunks);
};

// The script has been evaluated as a program of its own, so its syntax cannot reach out of anything.
// An indirect eval sees the program's functions and its const and let alike.
const run = (inputs, limit, streams) => {
  try {
    const main = globalEval("typeof main === 'function' ? main : undefined");
    if (main === undefined)
      return failure("sandbox_execution_error", "Execution error: the code defines no function main");
    if (streams) return streaming(main, inputs, limit, parse(streams)).catch(failed);
    const result = main(parse(inputs));
    if (typeof result?.then === "function") return settled(result, limit);
    return finished(result, limit);
  } catch (thrown) {
    return failed(thrown);
  }
};

// Fixed and not enumerable. A script that calls it early only runs its own main early.
Object.defineProperty(globalThis, "__xworkflow_run", { value: run });
