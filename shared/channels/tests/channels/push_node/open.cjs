// Opens a push as a browser and its push service do: decrypts the body with the package http_ece, and verifies the token
// with Node's own cryptography. On the standard input: {"private", "auth", "body", "authorization"}, all in Base64 for URLs.
const crypto = require("node:crypto");
const ece = require("http_ece");

const input = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const decode = (text) => Buffer.from(text, "base64url");

const browser = crypto.createECDH("prime256v1");
browser.setPrivateKey(decode(input.private));
const text = ece.decrypt(decode(input.body), { version: "aes128gcm", privateKey: browser, authSecret: input.auth });

const [, token, key] = /^vapid t=([^,]+), k=(.+)$/.exec(input.authorization);
const [header, claims, signature] = token.split(".");
const point = decode(key);
const jwk = { kty: "EC", crv: "P-256", x: point.subarray(1, 33).toString("base64url"), y: point.subarray(33).toString("base64url") };
const publicKey = crypto.createPublicKey({ key: jwk, format: "jwk" });
const signed = Buffer.from(`${header}.${claims}`);
console.log(
  JSON.stringify({
    text: text.toString(),
    header: JSON.parse(decode(header)),
    claims: JSON.parse(decode(claims)),
    key,
    verified: crypto.verify("sha256", signed, { key: publicKey, dsaEncoding: "ieee-p1363" }, decode(signature)),
  }),
);
