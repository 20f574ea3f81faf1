"""The application of the tests, with WSGI."""

import json
import os
import pathlib
import socketserver
import sys
import time
import urllib.parse
import wsgiref.simple_server

sys.path.insert(0, os.path.dirname(os.environ["CLIENT"]))
import cloakroom


def until(path):
    while not os.path.exists(path):
        time.sleep(0.01)


def answer(session, path, query):
    match path:
        case "/show":
            fields = {name: session.get(name) for name in ("a", "b", "count", "list")}
            return {"user": session.user(), "fields": {name: value for name, value in fields.items() if value is not None}}
        case "/set": session.set(query["name"], query["value"])
        case "/remove": session.remove(query["name"])
        case "/count": return {"count": session.increment("count")}
        case "/append": return {"list": session.update("list", lambda values: [*(values or []), query["value"]])}
        case "/sign-in": session.sign_in(query["user"])
        case "/rotate": session.rotate()
        case "/elevate": session.elevate()
        case "/sign-out": session.sign_out()
        case "/devices": return {"devices": session.devices()}
        case "/sign-out-device": return {"ended": session.sign_out_device(query["id"])}
        case "/sign-out-others": return {"ended": session.sign_out_others()}
        case "/sign-out-everywhere": return {"ended": session.sign_out_everywhere()}
        case "/slow":
            session.get("a")
            pathlib.Path(query["gate"] + ".read").touch()
            until(query["gate"])
            session.set("a", "late")
        case "/cached": session.set("a", "cached")
        case "/fail": session.set("a", "half")
    return {}


def app(environ, start_response):
    session, path = environ["cloakroom.session"], environ["PATH_INFO"]
    query = dict(urllib.parse.parse_qsl(environ["QUERY_STRING"]))
    if path == "/stream":
        session.set("a", "streamed")
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"one\n"
        until(query["gate"])
        yield b"two\n"
        return
    status, kind, body = "500 Failed" if path == "/fail" else "200 OK", "application/json", b"hello"
    if path == "/caught":
        try:
            body = json.dumps({"count": session.increment("count")}).encode()
        except cloakroom.CloakroomError as error:
            status, body = f"{error.status} Caught", json.dumps({"caught": error.code}).encode()
    elif path != "/":
        body = json.dumps(answer(session, path, query)).encode()
    cached = [("Cache-Control", "public, max-age=60")] * (path == "/cached")
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body))), *cached])
    yield body


class Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True
    request_queue_size = 64


server = wsgiref.simple_server.make_server("127.0.0.1", 0, cloakroom.WSGI(app, url=os.environ["SERVICE"], key=os.environ.get("KEY"), secure=False), Server)
print(f"http://127.0.0.1:{server.server_port}/", flush=True)
server.serve_forever()
