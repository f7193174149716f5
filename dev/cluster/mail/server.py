"""A mail server for tests. It delivers nothing, and prints each message as a line of JSON.

The first argument is a JSON object: see MailServerOptions in src/mail_server.rs.
"""

import asyncio
import json
import logging
import ssl
import sys
import warnings

from aiosmtpd.smtp import SMTP, AuthResult

options = json.loads(sys.argv[1])
# About clients that refuse the certificate, and about signing in without STARTTLS where TLS comes first.
warnings.simplefilter("ignore")
logging.disable(logging.ERROR)


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        refusal = options["refuses"].get(address)
        if refusal:
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if options["refusesMessages"]:
            content = envelope.content.decode("utf-8", "replace")
            return options["refusesMessages"].replace("{message}", " ".join(content.split()))
        user = session.auth_data.login.decode() if session.authenticated else None
        mail = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "user": user,
            "encrypted": server.transport.get_extra_info("ssl_object") is not None,
            "content": envelope.content.decode("utf-8", "replace"),
        }
        print(json.dumps(mail), flush=True)
        return "250 taken"


def authenticate(server, session, envelope, mechanism, credentials):
    given = [credentials.login.decode(), credentials.password.decode()]
    is_known = given == options["credentials"]
    return AuthResult(success=is_known, handled=False, auth_data=credentials)


def conversation():
    starts_tls = options["security"] == "StartTLS"
    return SMTP(
        Handler(),
        hostname="mail.example.com",
        tls_context=context if starts_tls else None,
        require_starttls=starts_tls,
        authenticator=authenticate if options["credentials"] else None,
        auth_required=bool(options["credentials"]),
        auth_require_tls=starts_tls,
    )


async def main():
    encrypts = context if options["security"] == "TLS" else None
    loop = asyncio.get_running_loop()
    server = await loop.create_server(conversation, "127.0.0.1", 0, ssl=encrypts)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(options["certificate"], options["key"])
asyncio.run(main())
