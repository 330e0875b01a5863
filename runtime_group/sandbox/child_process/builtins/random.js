// Random numbers: SHA-256 in counter mode over the 32 bytes that the host gives each isolate.
let entropySeed;
let entropyBlock = 0;
let entropyLeft = new Uint8Array(0);

const seedEntropy = (hex) => {
  entropySeed = fromHex(hex);
};

const entropy = (count) => {
  const bytes = new Uint8Array(count);
  for (let filled = 0; filled < count; ) {
    if (entropyLeft.length === 0) {
      const block = new Uint8Array(entropySeed.length + 8);
      block.set(entropySeed);
      new DataView(block.buffer).setBigUint64(entropySeed.length, BigInt(entropyBlock++));
      entropyLeft = digest(DIGESTS.sha256, block);
    }
    const taken = entropyLeft.subarray(0, count - filled);
    bytes.set(taken, filled);
    filled += taken.length;
    entropyLeft = entropyLeft.subarray(taken.length);
  }
  return bytes;
};

const random53 = () => {
  const view = new DataView(entropy(8).buffer);
  return (view.getUint32(0) >>> 11) * 2 ** 32 + view.getUint32(4);
};

const randomFloat = () => random53() / 2 ** 53;

const randomInt = (min = 0, max = 100) => {
  const low = Math.ceil(Number(min));
  const high = Math.floor(Number(max));
  if (!(low <= high)) throw new RangeError("randomInt: min must not exceed max");
  const span = high - low + 1;
  if (span > 2 ** 53) throw new RangeError("randomInt: the range is too wide");
  const fair = 2 ** 53 - (2 ** 53 % span); // values above it would favour the low numbers
  for (;;) {
    const drawn = random53();
    if (drawn < fair) return low + (drawn % span);
  }
};

const randomBytes = (length = 16) => {
  const count = Number(length);
  if (!Number.isInteger(count) || count < 0)
    throw new RangeError("randomBytes: the length must be a whole number, 0 or more");
  return toHex(entropy(count));
};

const uuidv4 = () => {
  const bytes = entropy(16);
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return toHex(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
};
