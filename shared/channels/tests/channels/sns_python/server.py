"""Amazon SNS as moto has it, behind a check of signatures by botocore.

Prints the port and the ARNs of what is there, and then what was published, one JSON object a line.
"""

import json
from urllib.parse import parse_qsl

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.core import DEFAULT_ACCOUNT_ID
from moto.server import DomainDispatcherApplication, create_backend_app
from moto.sns.models import sns_backends
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

REGION, KEY_ID, SECRET = "eu-central-1", "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

moto = DomainDispatcherApplication(create_backend_app)
sns = sns_backends[DEFAULT_ACCOUNT_ID][REGION]
application = sns.create_platform_application("app", "GCM", {})
arns = {
    "topic": sns.create_topic("alerts").arn,
    "fifo": sns.create_topic("alerts.fifo", {"FifoTopic": "true"}).arn,
    "phone": sns.create_platform_endpoint(application, "ada", "token-1", {}).arn,
    "disabled": sns.create_platform_endpoint(application, "ada", "token-2", {"Enabled": "false"}).arn,
}


def expected(request, body):
    """The header Authorization of this request, as botocore computes it."""
    signed = request.headers["Authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    headers = {name: request.headers[name] for name in signed}
    copy = AWSRequest("POST", request.base_url, headers=headers, data=body)
    copy.context["timestamp"] = request.headers["X-Amz-Date"]
    auth = SigV4Auth(Credentials(KEY_ID, SECRET), "sns", REGION)
    text = auth.string_to_sign(copy, auth.canonical_request(copy))
    signature = auth.signature(text, copy)
    return f"AWS4-HMAC-SHA256 Credential={auth.scope(copy)}, SignedHeaders={';'.join(signed)}, Signature={signature}"


def state():
    return {
        "topics": [message for topic in sns.topics.values() for message in topic.sent_notifications],
        "phones": list(sns.sms_messages.values()),
        "devices": [list(device.messages.values()) for device in sns.platform_endpoints.values()],
    }


def application_of(environ, start_response):
    request = Request(environ)
    body = request.get_data(cache=True, parse_form_data=False)
    if request.headers.get("Authorization") != expected(request, body):
        text = "<ErrorResponse><Error><Type>Sender</Type><Code>SignatureDoesNotMatch</Code></Error></ErrorResponse>"
        return Response(text, 403, content_type="text/xml")(environ, start_response)
    base, headers = f"https://sns.{REGION}.amazonaws.com/", dict(request.headers)
    inner = Request.from_values("/", method="POST", base_url=base, headers=headers, data=body)
    response = Response.from_app(moto, inner.environ)
    form = dict(parse_qsl(body.decode()))
    print(json.dumps({"form": form, "status": response.status_code, "state": state()}), flush=True)
    return response(environ, start_response)


class Silent(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, *_):
        pass


server = make_server("127.0.0.1", 0, application_of, request_handler=Silent)
print(json.dumps({"listening": server.port, **arns}), flush=True)
server.serve_forever()
