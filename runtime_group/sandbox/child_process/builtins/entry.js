// The only part that runs in every isolate: what scripts see, and the function through which the host
// runs one. A tenth of a millisecond counts here, so all else is read at its first use: LATE_SOURCES
// holds it as texts, which need no parsing before.
const ERROR_LIMIT = 2000;
const { parse, stringify } = JSON;
const { defineProperty } = Object;
const makeFunction = Function;
const globalEval = eval;
const stdout = { text: "" };

// What the late parts need and scripts may have changed or lost by then.
const given = {
  __proto__: null, entropy: HOST_ENTROPY, now: Date.now, parse, SharedBytes: SharedArrayBuffer, stdout,
  stringify, waitAsync: Atomics.waitAsync,
};
const memo = { __proto__: null };
const late = (source) => (memo[source] ??= makeFunction("given", LATE_SOURCES[source])(given));

// Plain properties as far as a script can tell, made when it first looks at one.
const visible = (source, name) => {
  const become = (value) =>
    defineProperty(globalThis, name, {
      __proto__: null, value, writable: true, enumerable: true, configurable: true,
    });
  defineProperty(globalThis, name, {
    get: () => late(source)[name], set: become, enumerable: true, configurable: true,
  });
};
visible("console", "console");
visible("timers", "setTimeout");
visible("timers", "clearTimeout");
for (const name of [
  "atob", "btoa", "crypto", "datetime", "random", "randomBytes", "randomFloat", "randomInt", "uuidv4",
]) visible("tools", name);
for (const name of ["WebAssembly", "SharedArrayBuffer", "Atomics"]) delete globalThis[name];

const failure = (code, text) => stringify({ error: code, text: text.slice(0, ERROR_LIMIT) });

const failed = (thrown) => {
  let text = "unknown error";
  try {
    text = thrown instanceof Error ? String(thrown) : late("console").printable(thrown);
  } catch {} // an error object may lie about its own text
  if (text === "RangeError: Array buffer allocation failed")
    return failure("sandbox_memory_limit", "Memory limit exceeded");
  return failure("sandbox_execution_error", "Execution error: " + text);
};

const finished = (value, limit, chunks) => {
  const text = stringify(value) ?? "null";
  const more = chunks === undefined ? "" : `,"chunks":${stringify(chunks)}`;
  const length = text.length + more.length;
  const size = length * 3 > limit ? late("tools").utf8Length(text + more) : 0;
  if (size > limit)
    return failure("sandbox_memory_limit", `Output too large (max ${limit} bytes, got ${size} bytes)`);
  return `{"value":${text},"stdout":${stringify(stdout.text.slice(0, limit))}${more}}`;
};

const settled = async (promise, limit) => {
  try {
    return finished(await promise, limit);
  } catch (thrown) {
    return failed(thrown);
  }
};

// The script has been evaluated as a program of its own, so its syntax cannot reach out of anything.
// An indirect eval sees the program's functions and its const and let alike.
const run = (inputs, limit, streams) => {
  try {
    const main = globalEval("typeof main === 'function' ? main : undefined");
    if (main === undefined)
      return failure("sandbox_execution_error", "Execution error: the code defines no function main");
    if (streams) {
      const finish = (value, chunks) => finished(value, limit, chunks);
      return late("streams")(main, inputs, parse(streams), finish).catch(failed);
    }
    const result = main(parse(inputs));
    if (typeof result?.then === "function") return settled(result, limit);
    return finished(result, limit);
  } catch (thrown) {
    return failed(thrown);
  }
};

// Fixed and not enumerable. A script that calls it early only runs its own main early.
Object.defineProperty(globalThis, "__xworkflow_run", { value: run });
