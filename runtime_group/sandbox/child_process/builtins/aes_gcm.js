// AES-256-GCM (FIPS 197, SP 800-38D): a nonce of 12 bytes, a tag of 16 bytes after the ciphertext.
const TAG_BYTES = 16;
const NONCE_BYTES = 12;

const double8 = (byte) => ((byte << 1) ^ (byte & 0x80 ? 0x11b : 0)) & 255;

let aesMemo;
const aesBox = () => {
  if (aesMemo) return aesMemo;
  const box = new Uint8Array(256);
  let value = 1;
  let inverse = 1;
  do {
    value ^= double8(value); // times 3, a generator of the field
    inverse ^= inverse << 1; // divided by 3
    inverse ^= inverse << 2;
    inverse ^= inverse << 4;
    inverse &= 255;
    if (inverse & 0x80) inverse ^= 9;
    const spread = inverse * 0x101; // the byte twice, so that shifts of it are rotations
    box[value] = (inverse ^ (spread >> 7) ^ (spread >> 6) ^ (spread >> 5) ^ (spread >> 4) ^ 0x63) & 255;
  } while (value !== 1);
  box[0] = 0x63;
  return (aesMemo = box);
};

const AES_ROUNDS = 14;

const expandKey = (key) => {
  const box = aesBox();
  const schedule = new Uint8Array(16 * (AES_ROUNDS + 1));
  schedule.set(key);
  let factor = 1;
  for (let i = key.length; i < schedule.length; i += 4) {
    let word = Array.from(schedule.subarray(i - 4, i));
    if (i % key.length === 0) {
      word = [word[1], word[2], word[3], word[0]].map((byte) => box[byte]);
      word[0] ^= factor;
      factor = double8(factor);
    } else if (i % key.length === 16) word = word.map((byte) => box[byte]);
    for (let j = 0; j < 4; j++) schedule[i + j] = schedule[i + j - key.length] ^ word[j];
  }
  return schedule;
};

const encryptBlock = (schedule, input) => {
  const box = aesBox();
  let state = input.map((byte, i) => byte ^ schedule[i]);
  for (let round = 1; round <= AES_ROUNDS; round++) {
    const rows = Uint8Array.from(state, (_, i) => box[state[(i + 4 * (i % 4)) % 16]]);
    for (let column = 0; round < AES_ROUNDS && column < 16; column += 4) {
      const [a, b, c, d] = rows.subarray(column, column + 4);
      const all = a ^ b ^ c ^ d;
      rows[column] ^= all ^ double8(a ^ b);
      rows[column + 1] ^= all ^ double8(b ^ c);
      rows[column + 2] ^= all ^ double8(c ^ d);
      rows[column + 3] ^= all ^ double8(d ^ a);
    }
    state = rows.map((byte, i) => byte ^ schedule[16 * round + i]);
  }
  return state;
};

const wordsOf = (bytes) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16);
  return [0, 4, 8, 12].map((at) => view.getInt32(at));
};

const multiplyGf128 = (left, right) => {
  let [v0, v1, v2, v3] = right;
  let [z0, z1, z2, z3] = [0, 0, 0, 0];
  for (let i = 0; i < 128; i++) {
    if ((left[i >> 5] >>> (31 - (i & 31))) & 1) {
      z0 ^= v0;
      z1 ^= v1;
      z2 ^= v2;
      z3 ^= v3;
    }
    const carry = v3 & 1;
    v3 = (v3 >>> 1) | (v2 << 31);
    v2 = (v2 >>> 1) | (v1 << 31);
    v1 = (v1 >>> 1) | (v0 << 31);
    v0 = (v0 >>> 1) ^ (carry ? 0xe1000000 : 0);
  }
  return [z0, z1, z2, z3];
};

const counterBlock = (nonce, counter) => {
  const block = new Uint8Array(16);
  block.set(nonce);
  new DataView(block.buffer).setUint32(12, counter);
  return block;
};

const gcmTag = (schedule, nonce, ciphertext) => {
  const key = wordsOf(encryptBlock(schedule, new Uint8Array(16)));
  let sum = [0, 0, 0, 0];
  const absorb = (block) => {
    sum = multiplyGf128(sum.map((word, i) => word ^ wordsOf(block)[i]), key);
  };
  for (let at = 0; at < ciphertext.length; at += 16) {
    const block = new Uint8Array(16);
    block.set(ciphertext.subarray(at, at + 16));
    absorb(block);
  }
  const lengths = new Uint8Array(16);
  new DataView(lengths.buffer).setBigUint64(8, BigInt(ciphertext.length) * 8n);
  absorb(lengths);
  const tag = new Uint8Array(TAG_BYTES);
  const mask = wordsOf(encryptBlock(schedule, counterBlock(nonce, 1)));
  sum.forEach((word, i) => new DataView(tag.buffer).setInt32(4 * i, word ^ mask[i]));
  return tag;
};

const gcmStream = (schedule, nonce, bytes) => {
  const result = new Uint8Array(bytes.length);
  for (let at = 0; at < bytes.length; at += 16) {
    const pad = encryptBlock(schedule, counterBlock(nonce, 2 + at / 16));
    for (let i = at; i < Math.min(at + 16, bytes.length); i++) result[i] = bytes[i] ^ pad[i - at];
  }
  return result;
};

const aesKey = (keyHex) => {
  const text = textOf(keyHex);
  if (!/^[0-9a-fA-F]{64}$/.test(text)) throw new TypeError("the key must be 64 hexadecimal digits");
  return expandKey(fromHex(text));
};

const aesEncrypt = (plain, keyHex) => {
  const schedule = aesKey(keyHex);
  const nonce = entropy(NONCE_BYTES);
  const body = gcmStream(schedule, nonce, utf8Bytes(textOf(plain)));
  const sealed = new Uint8Array(body.length + TAG_BYTES);
  sealed.set(body);
  sealed.set(gcmTag(schedule, nonce, body), body.length);
  return { ciphertext: toBase64(sealed), iv: toBase64(nonce) };
};

const aesDecrypt = (ciphertext, keyHex, iv) => {
  const schedule = aesKey(keyHex);
  const nonce = fromBase64(textOf(iv), "the iv is no base64");
  if (nonce.length !== NONCE_BYTES) throw new TypeError("the iv must be 12 bytes");
  const sealed = fromBase64(textOf(ciphertext), "the ciphertext is no base64");
  if (sealed.length < TAG_BYTES) throw new TypeError("the ciphertext is shorter than its tag");
  const body = sealed.subarray(0, sealed.length - TAG_BYTES);
  const wanted = gcmTag(schedule, nonce, body);
  if (wanted.some((byte, i) => byte !== sealed[body.length + i]))
    throw new Error("decryption failed: wrong key, iv or ciphertext");
  return utf8Text(gcmStream(schedule, nonce, body), "the plain text is no UTF-8");
};
