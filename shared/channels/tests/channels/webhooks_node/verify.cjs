// Verifies a webhook with the package of Standard Webhooks. On the standard input: {"key", "headers", "body"}.
const { Webhook } = require("standardwebhooks");
const { key, headers, body } = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
try {
  console.log(`verified ${JSON.stringify(new Webhook(key).verify(body, headers))}`);
} catch (error) {
  console.log(`refused ${error.message}`);
}
