"""An SMTP server that prints what it takes, one JSON object a line; aiosmtpd's.

Arguments: `off`, `starttls` or `implicit`, then a file with a certificate and one with its key. What it says of a
recipient is in the address: `no-such-user.550-5.1.1@example.com` is refused with 550 and 5.1.1.
"""

import asyncio
import email
import email.policy
import json
import re
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if found := re.search(r"\.(\d{3})-([\d.]+)@", address):
            return f"{found[1]} {found[2]} <{address}> is not taken"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 taken"

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        parts = [part for part in message.walk() if not part.is_multipart()]
        taken = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": (session.ssl or server.transport.get_extra_info("sslcontext")) is not None,
            "login": session.authenticated,
            "client": session.host_name,
            "headers": [[name, str(value)] for name, value in message.items()],
            "raw": envelope.content.decode("ascii", "replace"),
            "parts": [[part.get_content_type(), part.get_content()] for part in parts],
        }
        print(json.dumps(taken), flush=True)
        return "250 2.0.0 stored as 4711"


def login(server, session, envelope, mechanism, data):
    # Not handled: aiosmtpd says 535 by itself.
    return AuthResult(success=(data.login, data.password) == (b"ada", b"hunter2"), handled=False)


async def main():
    mode, *files = sys.argv[1:]
    context = None
    if mode != "off":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)

    def server():
        return SMTP(
            Handler(),
            enable_SMTPUTF8=True,
            tls_context=context if mode == "starttls" else None,
            require_starttls=mode == "starttls",
            authenticator=login,
            auth_require_tls=False,
            auth_required=mode != "off",
        )

    implicit = context if mode == "implicit" else None
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0, ssl=implicit)
    print("listening", listener.sockets[0].getsockname()[1], flush=True)
    await listener.serve_forever()


asyncio.run(main())
