// The clock, always UTC; formats are strftime's. What is no directive is printed as it stands.
const { now } = given;
const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = [
  "January", "February", "March", "April", "May", "June",
  "July", "August", "September", "October", "November", "December",
];

const padded = (number, width = 2) => String(number).padStart(width, "0");
const dayOfYear = (date) => 1 + Math.floor((date - Date.UTC(date.getUTCFullYear(), 0, 1)) / 86400000);

const DIRECTIVES = {
  Y: (date) => padded(date.getUTCFullYear(), 4),
  y: (date) => padded(date.getUTCFullYear() % 100),
  m: (date) => padded(date.getUTCMonth() + 1),
  d: (date) => padded(date.getUTCDate()),
  e: (date) => String(date.getUTCDate()).padStart(2, " "),
  H: (date) => padded(date.getUTCHours()),
  I: (date) => padded(date.getUTCHours() % 12 || 12),
  M: (date) => padded(date.getUTCMinutes()),
  S: (date) => padded(date.getUTCSeconds()),
  f: (date) => padded(date.getUTCMilliseconds(), 3) + "000",
  p: (date) => (date.getUTCHours() < 12 ? "AM" : "PM"),
  A: (date) => DAYS[date.getUTCDay()],
  a: (date) => DAYS[date.getUTCDay()].slice(0, 3),
  B: (date) => MONTHS[date.getUTCMonth()],
  b: (date) => MONTHS[date.getUTCMonth()].slice(0, 3),
  h: (date) => MONTHS[date.getUTCMonth()].slice(0, 3),
  j: (date) => padded(dayOfYear(date), 3),
  u: (date) => String(date.getUTCDay() || 7),
  w: (date) => String(date.getUTCDay()),
  s: (date) => String(Math.floor(date / 1000)),
  F: (date) => strftime("%Y-%m-%d", date),
  T: (date) => strftime("%H:%M:%S", date),
  R: (date) => strftime("%H:%M", date),
  D: (date) => strftime("%m/%d/%y", date),
  c: (date) => strftime("%a %b %e %H:%M:%S %Y", date),
  x: (date) => strftime("%m/%d/%y", date),
  X: (date) => strftime("%H:%M:%S", date),
  Z: () => "UTC",
  z: () => "+0000",
  n: () => "\n",
  t: () => "\t",
  "%": () => "%",
};

const strftime = (format, date) =>
  format.replace(/%([A-Za-z%])/g, (whole, letter) => DIRECTIVES[letter]?.(date) ?? whole);

const datetime = {
  now: () => now(),
  timestamp: () => now(),
  format: (format = "%Y-%m-%d %H:%M:%S") => strftime(textOf(format), new Date(now())),
  isoString: () => new Date(now()).toISOString(),
};
