"""Reads a user's messages with the client of Durable Streams, and prints them one a line."""

import json, os

from durable_streams import stream

headers = {"Authorization": "Bearer " + os.environ["TOKEN"]}
with stream(os.environ["GATEWAY"], offset="-1", live="long-poll", headers=headers) as messages:
    for message in messages.iter_json():
        print(json.dumps(message), flush=True)
