"""Verifies a webhook with the package of Standard Webhooks. On the standard input: {"key", "headers", "body"}."""

import json
import sys

from standardwebhooks import Webhook, WebhookVerificationError

request = json.load(sys.stdin)
try:
    verified = Webhook(request["key"]).verify(request["body"], request["headers"])
    print("verified", json.dumps(verified, separators=(",", ":")))
except WebhookVerificationError as error:
    print("refused", error)
