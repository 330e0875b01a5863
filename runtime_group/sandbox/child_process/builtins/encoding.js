// Bytes, text, hexadecimal and base64 (spec/runtime.md 2.4). Text that is no string counts as "".
const textOf = (value) => (typeof value === "string" ? value : "");

const utf8Bytes = (text) => {
  const bytes = [];
  for (const character of text) {
    let point = character.codePointAt(0);
    if (point >= 0xd800 && point <= 0xdfff) point = 0xfffd; // half of a pair has no UTF-8 form
    if (point < 0x80) bytes.push(point);
    else if (point < 0x800) bytes.push(0xc0 | (point >> 6), 0x80 | (point & 63));
    else if (point < 0x10000)
      bytes.push(0xe0 | (point >> 12), 0x80 | ((point >> 6) & 63), 0x80 | (point & 63));
    else
      bytes.push(
        0xf0 | (point >> 18), 0x80 | ((point >> 12) & 63),
        0x80 | ((point >> 6) & 63), 0x80 | (point & 63),
      );
  }
  return Uint8Array.from(bytes);
};

const utf8Length = (text) => {
  let length = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0xd800 && unit <= 0xdfff) length += 1; // a pair is 4 bytes in 2 units
    else if (unit > 0x7ff) length += 2;
    else if (unit > 0x7f) length += 1;
  }
  return length;
};

const utf8Text = (bytes, complaint) => {
  let escaped = "";
  for (const byte of bytes) escaped += "%" + (byte + 256).toString(16).slice(1);
  try {
    return decodeURIComponent(escaped);
  } catch {
    throw new TypeError(complaint);
  }
};

const toHex = (bytes) => {
  let text = "";
  for (const byte of bytes) text += (byte + 256).toString(16).slice(1);
  return text;
};

const fromHex = (text) =>
  Uint8Array.from({ length: text.length >> 1 }, (_, i) => parseInt(text.substr(2 * i, 2), 16));

const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

const toBase64 = (bytes) => {
  let text = "";
  for (let i = 0; i < bytes.length; i += 3) {
    const word = (bytes[i] << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    text += BASE64[word >> 18] + BASE64[(word >> 12) & 63];
    text += i + 1 < bytes.length ? BASE64[(word >> 6) & 63] : "=";
    text += i + 2 < bytes.length ? BASE64[word & 63] : "=";
  }
  return text;
};

const fromBase64 = (text, complaint) => {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) throw new TypeError(complaint);
  const digits = text.replace(/=+$/, "");
  const bytes = new Uint8Array((digits.length * 3) >> 2);
  let word = 0;
  let bits = 0;
  let end = 0;
  for (const digit of digits) {
    word = ((word << 6) | BASE64.indexOf(digit)) & 0xffffff;
    bits += 6;
    if (bits >= 8) bytes[end++] = (word >> (bits -= 8)) & 255;
  }
  return bytes;
};

const btoa = (value) => toBase64(utf8Bytes(textOf(value)));

const atob = (value) =>
  utf8Text(fromBase64(textOf(value), "atob: invalid base64"), "atob: the bytes are no UTF-8 text");
