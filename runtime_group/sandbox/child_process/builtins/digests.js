// MD5, SHA-1, SHA-256, SHA-512 and HMAC over bytes (RFC 1321, FIPS 180-4, RFC 2104).
const rotate = (word, by) => (word << by) | (word >>> (32 - by));

// The constants of the SHA-2 family: the first 64 bits of the fractional parts of the square
// roots (start values) and cube roots (round constants) of the primes; SHA-256 uses the high halves.
const primesUpTo = (limit) => {
  const primes = [];
  for (let n = 2; n <= limit; n++) if (primes.every((prime) => n % prime)) primes.push(n);
  return primes;
};

const fractionOfRoot = (prime, degree) => {
  const power = BigInt(degree);
  const target = BigInt(prime) << (64n * power);
  let root = 1n << 68n; // above every root, so Newton's steps fall until they reach it
  for (;;) {
    const next = ((power - 1n) * root + target / root ** (power - 1n)) / power;
    if (next >= root) return root & 0xffffffffffffffffn;
    root = next;
  }
};

const halves = (fractions) => ({
  high: Int32Array.from(fractions, (fraction) => Number(BigInt.asIntN(32, fraction >> 32n))),
  low: Int32Array.from(fractions, (fraction) => Number(BigInt.asIntN(32, fraction))),
});

let sha2Memo;
const sha2Constants = () =>
  (sha2Memo ??= {
    start: halves(primesUpTo(19).map((prime) => fractionOfRoot(prime, 2))),
    round: halves(primesUpTo(409).map((prime) => fractionOfRoot(prime, 3))),
  });

const MD5_SHIFTS = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21];
const MD5_SINES = Int32Array.from({ length: 64 }, (_, i) => Math.abs(Math.sin(i + 1)) * 2 ** 32);

const md5Block = (state, view, offset) => {
  let [a, b, c, d] = state;
  for (let i = 0; i < 64; i++) {
    const round = i >> 4;
    const mixed = [(b & c) | (~b & d), (d & b) | (~d & c), b ^ c ^ d, c ^ (b | ~d)][round];
    const word = [i, 5 * i + 1, 3 * i + 5, 7 * i][round] & 15;
    const sum = (a + mixed + MD5_SINES[i] + view.getInt32(offset + 4 * word, true)) | 0;
    [a, d, c, b] = [d, c, b, (b + rotate(sum, MD5_SHIFTS[4 * round + (i & 3)])) | 0];
  }
  [a, b, c, d].forEach((word, i) => (state[i] += word));
};

const sha1Block = (state, view, offset) => {
  const words = new Int32Array(80);
  for (let i = 0; i < 80; i++)
    words[i] = i < 16
      ? view.getInt32(offset + 4 * i)
      : rotate(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
  let [a, b, c, d, e] = state;
  for (let i = 0; i < 80; i++) {
    let mixed = (b ^ c ^ d) + (i < 40 ? 0x6ed9eba1 : 0xca62c1d6);
    if (i < 20) mixed = ((b & c) | (~b & d)) + 0x5a827999;
    else if (i >= 40 && i < 60) mixed = ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
    [e, d, c, b, a] = [d, c, rotate(b, 30), a, (rotate(a, 5) + mixed + e + words[i]) | 0];
  }
  [a, b, c, d, e].forEach((word, i) => (state[i] += word));
};

const sha256Block = (state, view, offset) => {
  const constants = sha2Constants().round.high;
  const words = new Int32Array(64);
  for (let i = 0; i < 16; i++) words[i] = view.getInt32(offset + 4 * i);
  for (let i = 16; i < 64; i++) {
    const x = words[i - 15];
    const y = words[i - 2];
    const small = rotate(x, 25) ^ rotate(x, 14) ^ (x >>> 3);
    words[i] = words[i - 16] + small + words[i - 7] + (rotate(y, 15) ^ rotate(y, 13) ^ (y >>> 10));
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let i = 0; i < 64; i++) {
    const choice = (e & f) ^ (~e & g);
    const first = (h + (rotate(e, 26) ^ rotate(e, 21) ^ rotate(e, 7)) + choice + constants[i] + words[i]) | 0;
    const majority = (a & b) ^ (a & c) ^ (b & c);
    const second = ((rotate(a, 30) ^ rotate(a, 19) ^ rotate(a, 10)) + majority) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + first) | 0, c, b, a, (first + second) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((word, i) => (state[i] += word));
};

// SHA-512 on 32-bit halves, high then low: 64-bit integers of the language are 20 times slower.
const high64 = (high, low, by) => (by < 32 ? (high >>> by) | (low << (32 - by)) : high64(low, high, by - 32));
const turned = (high, low, a, b, c) => [
  high64(high, low, a) ^ high64(high, low, b) ^ high64(high, low, c),
  high64(low, high, a) ^ high64(low, high, b) ^ high64(low, high, c),
];
const shifted = (high, low, a, b, shift) => [
  high64(high, low, a) ^ high64(high, low, b) ^ (high >>> shift),
  high64(low, high, a) ^ high64(low, high, b) ^ high64(low, high, shift),
];
const sum64 = (...pairs) => {
  let high = 0;
  let low = 0;
  for (const [h, l] of pairs) {
    high += h;
    low += l >>> 0;
  }
  return [(high + Math.floor(low / 2 ** 32)) | 0, low | 0];
};

const sha512Block = (state, view, offset) => {
  const { high, low } = sha2Constants().round;
  const words = [];
  for (let i = 0; i < 80; i++)
    words.push(
      i < 16
        ? [view.getInt32(offset + 8 * i), view.getInt32(offset + 8 * i + 4)]
        : sum64(
            words[i - 16], shifted(...words[i - 15], 1, 8, 7),
            words[i - 7], shifted(...words[i - 2], 19, 61, 6),
          ),
    );
  let [a, b, c, d, e, f, g, h] = Array.from({ length: 8 }, (_, i) => [state[2 * i], state[2 * i + 1]]);
  for (let i = 0; i < 80; i++) {
    const choice = [0, 1].map((half) => (e[half] & f[half]) ^ (~e[half] & g[half]));
    const majority = [0, 1].map((half) => (a[half] & b[half]) ^ (a[half] & c[half]) ^ (b[half] & c[half]));
    const first = sum64(h, turned(...e, 14, 18, 41), choice, [high[i], low[i]], words[i]);
    const second = sum64(turned(...a, 28, 34, 39), majority);
    [h, g, f, e, d, c, b, a] = [g, f, e, sum64(d, first), c, b, a, sum64(first, second)];
  }
  [a, b, c, d, e, f, g, h].forEach((word, i) => {
    const sum = sum64([state[2 * i], state[2 * i + 1]], word);
    [state[2 * i], state[2 * i + 1]] = sum;
  });
};

const START = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0];
const DIGESTS = {
  md5: { block: 64, little: true, start: () => Int32Array.from(START.slice(0, 4)), mix: md5Block },
  sha1: { block: 64, start: () => Int32Array.from(START), mix: sha1Block },
  sha256: { block: 64, start: () => Int32Array.from(sha2Constants().start.high), mix: sha256Block },
  sha512: {
    block: 128,
    start: () => {
      const { high, low } = sha2Constants().start;
      return Int32Array.from({ length: 16 }, (_, i) => (i % 2 ? low : high)[i >> 1]);
    },
    mix: sha512Block,
  },
};

const digest = ({ block, little = false, start, mix }, bytes) => {
  const size = Math.ceil((bytes.length + 1 + block / 8) / block) * block;
  const padded = new Uint8Array(size);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const view = new DataView(padded.buffer);
  const bits = [Math.floor(bytes.length / 2 ** 29), bytes.length << 3];
  if (little) bits.reverse();
  bits.forEach((word, i) => view.setInt32(size - 8 + 4 * i, word, little));
  const state = start();
  for (let offset = 0; offset < size; offset += block) mix(state, view, offset);
  const result = new DataView(new ArrayBuffer(state.length * 4));
  state.forEach((word, i) => result.setInt32(4 * i, word, little));
  return new Uint8Array(result.buffer);
};

const hmac = (kind, key, message) => {
  const short = key.length > kind.block ? digest(kind, key) : key;
  const padded = (mask) => {
    const bytes = new Uint8Array(kind.block).fill(mask);
    short.forEach((byte, i) => (bytes[i] ^= byte));
    return bytes;
  };
  const joined = (left, right) => {
    const bytes = new Uint8Array(left.length + right.length);
    bytes.set(left);
    bytes.set(right, left.length);
    return bytes;
  };
  return digest(kind, joined(padded(0x5c), digest(kind, joined(padded(0x36), message))));
};
