"""An ONC service on spyne, run by an interpreter that has it: prints its port; GET /dump is what it holds.

spyne writes the WSDL (GET /notify?wsdl) and has every request validated against its schema. The only argument is JSON:
campaign, expire (calls a session lives for), refuse (a pattern of destinations).
"""

import json
import re
import sys
import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from spyne import Application, Array, Boolean, ComplexModel, DateTime, Integer32, ServiceBase, Unicode, Uuid, rpc
from spyne.protocol.soap import Soap11
from spyne.server.wsgi import WsgiApplication

OPTIONS = json.loads(sys.argv[1])
SPACE = "org.example.herald.v7"
CHANNELS = ("SMSCommInfo", "VoiceCommInfo", "EmailCommInfo")


class Answer(ComplexModel):
    __namespace__ = SPACE + ".sessions"
    ErrorCode = Integer32
    Description = Unicode
    SessionId = Unicode


class Campaign(ComplexModel):
    __namespace__ = SPACE + ".campaigns"
    ID = Uuid
    ShortName = Unicode


class Way(ComplexModel):
    __namespace__ = SPACE + ".ways"
    _type_info = (
        ("RetryCount", Integer32(ge=0, le=255, min_occurs=1)),
        ("Destination", Unicode(min_occurs=1, nillable=False, min_len=1)),
        ("StatusCode", Integer32(min_occurs=1)),
        ("TextToSendOverwrite", Unicode),
        ("LastDeliveryErrorCode", Integer32),
    )


class Contact(ComplexModel):
    __namespace__ = SPACE + ".contacts"
    _type_info = (
        ("Language", Unicode(values=["en", "fr"], min_occurs=1, nillable=False)),
        ("EmailCommInfo", Way),
        ("Id", Uuid(min_occurs=1)),
        ("Opened", Boolean(min_occurs=1, nillable=False)),
        ("Since", DateTime(min_occurs=1, nillable=False)),
        ("VoiceCommInfo", Way),
        ("SMSCommInfo", Way),
        ("CampaignId", Uuid(min_occurs=1)),
    )


LOCK = threading.Lock()
SERVING = threading.Lock()  # one schema validates for all, and is not made for several threads
HELD: list[Contact] = []
OPEN: dict[str, int] = {}
COUNTS = {"opened": 0, "closed": 0, "expired": 0, "requests": 0}


def alive(session: str) -> bool:
    with LOCK:
        COUNTS["requests"] += 1
        if session not in OPEN:
            return False
        if OPTIONS["expire"] and OPEN[session] >= OPTIONS["expire"]:
            del OPEN[session]
            COUNTS["expired"] += 1
            return False
        OPEN[session] += 1
        return True


def ours(session: str, campaign: object) -> bool:
    return alive(session) and str(campaign) == OPTIONS["campaign"]


class Herald(ServiceBase):
    @rpc(Unicode, Unicode, Unicode, _returns=Answer)
    def OpenAPISession(ctx, accountId, username, password):  # noqa: N802, N803, N805 - documented names
        if (accountId, username, password) != ("acme", "ann", "p&<ss>"):
            return Answer(ErrorCode=1, Description="no such user")
        with LOCK:
            COUNTS["opened"] += 1
            session = f"s {COUNTS['opened']}<&>"
            OPEN[session] = 0
        return Answer(ErrorCode=0, SessionId=session)

    @rpc(Unicode, _returns=Answer)
    def CloseAPISession(ctx, sessionId):  # noqa: N802, N803, N805
        with LOCK:
            known = OPEN.pop(sessionId, None) is not None
            COUNTS["closed"] += known
        return Answer(ErrorCode=0 if known else 3)

    @rpc(Unicode, _returns=Array(Uuid))
    def GetCampaignListing(ctx, sessionId):  # noqa: N802, N803, N805
        return [OPTIONS["campaign"]] if alive(sessionId) else None

    @rpc(Unicode, Uuid, _returns=Campaign)
    def GetCampaign(ctx, sessionId, campaignId):  # noqa: N802, N803, N805
        return Campaign(ID=campaignId, ShortName="Autumn") if ours(sessionId, campaignId) else None

    @rpc(Unicode, Uuid, _returns=Array(Uuid))
    def GetCampaignContactsListing(ctx, sessionId, campaignId):  # noqa: N802, N803, N805
        return [one.Id for one in HELD] if ours(sessionId, campaignId) else None

    @rpc(Unicode, Uuid, _returns=Array(Contact))
    def GetCampaignContacts(ctx, sessionId, campaignId):  # noqa: N802, N803, N805
        return list(HELD) if ours(sessionId, campaignId) else None

    @rpc(Unicode, Contact, _returns=Integer32)
    def AddCampaignContact(ctx, sessionId, contact):  # noqa: N802, N803, N805
        if not alive(sessionId):
            return 3
        if str(contact.CampaignId) != OPTIONS["campaign"]:
            return 5
        for way in ways(contact).values():
            if OPTIONS["refuse"] and re.search(OPTIONS["refuse"], way.Destination):
                return 9
            way.StatusCode = 1
        HELD.append(contact)
        return 0

    @rpc(Unicode, Uuid, Uuid, _returns=Integer32)
    def DeleteCampaignContact(ctx, sessionId, campaignId, contactId):  # noqa: N802, N803, N805
        if not ours(sessionId, campaignId):
            return 3
        left = [one for one in HELD if one.Id != contactId]
        found = len(left) < len(HELD)
        HELD[:] = left
        return 0 if found else 6


def ways(contact: Contact) -> dict[str, Way]:
    return {name: getattr(contact, name) for name in CHANNELS if getattr(contact, name) is not None}


def dump() -> bytes:
    held = [
        {"Id": str(one.Id)}
        | {
            name: {
                "Destination": way.Destination,
                "TextToSendOverwrite": way.TextToSendOverwrite,
                "RetryCount": way.RetryCount,
            }
            for name, way in ways(one).items()
        }
        for one in HELD
    ]
    return json.dumps({"held": held, "open": len(OPEN), "counts": COUNTS}).encode()


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128  # of 5, its default, the kernel resets what does not fit


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    service = WsgiApplication(
        Application([Herald], SPACE, name="HeraldDesk", in_protocol=Soap11(validator="lxml"), out_protocol=Soap11())
    )

    def application(environ, start_response):
        if environ["PATH_INFO"] == "/dump":
            start_response("200 OK", [("Content-Type", "application/json")])
            return [dump()]
        with SERVING:
            return list(service(environ, start_response))

    with make_server("127.0.0.1", 0, application, Server, Quiet) as server:
        sys.stdout.write(f"{server.server_port}\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    main()
