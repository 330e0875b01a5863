// The end of what is read at its first use: what it gives to entry.js.
seedEntropy(HOST_ENTROPY);

return {
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
  random: { randomInt, randomFloat, randomBytes, uuidv4 },
};
