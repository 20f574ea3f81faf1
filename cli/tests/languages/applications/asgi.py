"""The application of the tests, with ASGI: on uvicorn."""

import asyncio
import json
import os
import pathlib
import socket
import sys
import urllib.parse

sys.path.insert(0, os.path.dirname(os.environ["CLIENT"]))
import cloakroom
import uvicorn


async def until(path):
    while not os.path.exists(path):
        await asyncio.sleep(0.01)


async def answer(session, path, query):
    match path:
        case "/show":
            fields = {name: await session.get(name) for name in ("a", "b", "count", "list")}
            return {"user": await session.user(), "fields": {name: value for name, value in fields.items() if value is not None}}
        case "/set": await session.set(query["name"], query["value"])
        case "/remove": await session.remove(query["name"])
        case "/count": return {"count": await session.increment("count")}
        case "/append": return {"list": await session.update("list", lambda values: [*(values or []), query["value"]])}
        case "/sign-in": await session.sign_in(query["user"])
        case "/rotate": await session.rotate()
        case "/elevate": await session.elevate()
        case "/sign-out": await session.sign_out()
        case "/devices": return {"devices": await session.devices()}
        case "/sign-out-device": return {"ended": await session.sign_out_device(query["id"])}
        case "/sign-out-others": return {"ended": await session.sign_out_others()}
        case "/sign-out-everywhere": return {"ended": await session.sign_out_everywhere()}
        case "/slow":
            await session.get("a")
            pathlib.Path(query["gate"] + ".read").touch()
            await until(query["gate"])
            await session.set("a", "late")
        case "/cached": await session.set("a", "cached")
        case "/fail": await session.set("a", "half")
    return {}


async def app(scope, receive, send):
    session, path = scope["cloakroom.session"], scope["path"]
    query = dict(urllib.parse.parse_qsl(scope["query_string"].decode()))
    status, body = 500 if path == "/fail" else 200, b"hello"
    head = {"type": "http.response.start", "headers": [(b"content-type", b"application/json")]}
    if path == "/stream":
        await session.set("a", "streamed")
        await send({**head, "status": 200})
        await send({"type": "http.response.body", "body": b"one\n", "more_body": True})
        await until(query["gate"])
        return await send({"type": "http.response.body", "body": b"two\n"})
    if path == "/caught":
        try:
            body = json.dumps({"count": await session.increment("count")}).encode()
        except cloakroom.CloakroomError as error:
            status, body = error.status, json.dumps({"caught": error.code}).encode()
    elif path != "/":
        body = json.dumps(await answer(session, path, query)).encode()
    cached = [(b"cache-control", b"public, max-age=60")] * (path == "/cached")
    await send({**head, "status": status, "headers": [*head["headers"], *cached]})
    await send({"type": "http.response.body", "body": body})


async def main():
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/", flush=True)
    wrapped = cloakroom.ASGI(app, url=os.environ["SERVICE"], key=os.environ.get("KEY"), secure=False)
    await uvicorn.Server(uvicorn.Config(wrapped, log_level="warning", lifespan="off")).serve([listener])


asyncio.run(main())
