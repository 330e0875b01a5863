// What a script prints: arguments joined by spaces, calls by newlines. The host cuts it
// further, at the limit of its call.
const { stdout, stringify } = given;
const PRINT_LIMIT = 1 << 20;

const printable = (value) => {
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null) return String(value);
  if (value instanceof Error) return String(value);
  try {
    return stringify(value) ?? String(value);
  } catch {
    return "[object]"; // a cycle, or a getter that throws: printing must not fail the script
  }
};

const print = (...values) => {
  const printed = stdout.text;
  if (printed.length >= PRINT_LIMIT) return;
  const line = values.map(printable).join(" ");
  stdout.text = (printed === "" ? line : printed + "\n" + line).slice(0, PRINT_LIMIT);
};

const console = { log: print, info: print, debug: print, warn: print, error: print };
return { console, printable };
