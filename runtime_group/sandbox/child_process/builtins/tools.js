// The end of the tools: what they give to entry.js.
seedEntropy(given.entropy);

return {
  atob,
  btoa,
  crypto: {
    md5: (text) => toHex(digest(DIGESTS.md5, utf8Bytes(textOf(text)))),
    sha1: (text) => toHex(digest(DIGESTS.sha1, utf8Bytes(textOf(text)))),
    sha256: (text) => toHex(digest(DIGESTS.sha256, utf8Bytes(textOf(text)))),
    sha512: (text) => toHex(digest(DIGESTS.sha512, utf8Bytes(textOf(text)))),
    hmacSha256: (key, text) =>
      toHex(hmac(DIGESTS.sha256, utf8Bytes(textOf(key)), utf8Bytes(textOf(text)))),
    hmacSha512: (key, text) =>
      toHex(hmac(DIGESTS.sha512, utf8Bytes(textOf(key)), utf8Bytes(textOf(text)))),
    aesEncrypt,
    aesDecrypt,
  },
  datetime,
  random: { randomInt, randomFloat, randomBytes },
  randomBytes,
  randomFloat,
  randomInt,
  uuidv4,
  utf8Length,
};
