"""Sessions from the Cloakroom session service, for WSGI and ASGI. Copy this file; its README shows how to use it.

Copyright (c) 2026 The Cloakroom developers. SPDX-License-Identifier: MIT OR Apache-2.0
"""

import asyncio
import collections
import concurrent.futures
import contextlib
import copy
import http.client
import json
import re
import selectors
import socket
import urllib.parse
import uuid
from http import HTTPStatus

STATUS = {"gone": 401, "signed-out": 401, "cross-site": 403, "conflict": 409, "limit": 409, "changed": 409,
          "too-large": 413, "invalid": 500}


class CloakroomError(Exception):
    """Says why a session was not read or changed. `code` is the service's; the middleware answers with `status`."""

    def __init__(self, code, detail):
        super().__init__(f"{code}: {detail}")
        self.code, self.status = code, STATUS.get(code, 503)


class Session:
    """The session of a request. It is read when it is first used."""

    def __init__(self, client, cookie, user_agent):
        self._client, self._shown, self._changes = client, None, {}
        self._headers = {name: value for name, value in (("Cookie", cookie), ("User-Agent", user_agent)) if value}
        self._cookies, self.error, self._has_left = {}, None, False

    def user(self):
        return self._read().get("user")

    def id(self):
        return self._read().get("id")

    def get(self, name, default=None):
        value = self._changes[name] if name in self._changes else self._read().get("fields", {}).get(name)
        return default if value is None else value

    def set(self, name, value):
        """Changes a field when the response begins. None removes it."""
        if self._has_left:
            raise RuntimeError("the head of the response has left: call set() earlier")
        self._read()
        self._changes[name] = value

    def remove(self, name):
        self.set(name, None)

    def save(self):
        """Makes the changes of `set` and `remove` now."""
        if self._changes:
            self._patch(set={name: value for name, value in self._changes.items() if value is not None},
                        remove=[name for name, value in self._changes.items() if value is None])
            self._changes = {}

    def reload(self):
        self._ask("GET", "?fresh=true")

    def increment(self, name, by=1):
        """Adds to a counter now, and returns what it is then."""
        self.save()
        self._patch(increment={name: by})
        return self.get(name)

    def update(self, name, change):
        """Stores `change(value)` now. If another request was faster, it begins anew with the new value."""
        self.save()
        for attempt in range(20):
            before = self.get(name)
            try:
                self._patch(set={name: change(copy.deepcopy(before))}, expect={name: before})
                return self.get(name)
            except CloakroomError as error:
                if error.code != "changed" or attempt == 19:
                    raise
            self.reload()

    def sign_in(self, user, **options):
        """Signs a user in, with the options of the API. An answer that was lost is asked for once more."""
        self.save()
        question = "POST", "/sign-in", {"user": user, **options}, {"Idempotency-Key": str(uuid.uuid4())}
        try:
            self._ask(*question)
        except CloakroomError as error:
            if error.code not in ("no-answer", "unknown-outcome"):
                raise
            self._ask(*question)

    def rotate(self):
        self.save()
        self._ask("POST", "/rotate")

    def elevate(self):
        self.save()
        self._ask("POST", "/elevate")

    def devices(self):
        return self._ask("GET", "/devices")["devices"]

    def sign_out(self):
        self._end("DELETE", "")

    def sign_out_device(self, id):
        ends_this = id == self.id()
        return self._end("DELETE", "/devices/" + urllib.parse.quote(id, safe=""), None, ends_this)["ended"]

    def sign_out_others(self):
        return self._end("POST", "/sign-out", {"scope": "others"}, False)["ended"]

    def sign_out_everywhere(self):
        return self._end("POST", "/sign-out", {"scope": "everywhere"})["ended"]

    def finish(self, status, headers=()):
        """Saves before the head of the response leaves, and returns the headers that it must have."""
        if self.error and status == 500:
            raise self.error  # the application did not expect it: 503 says more than 500
        if status < 500 and status != 408:
            self.save()
        self._has_left = True
        if self._cookies:
            headers = [header for header in headers if header[0].lower() != "cache-control"]
            headers += [("Cache-Control", "no-store"), *(("Set-Cookie", cookie) for cookie in self._cookies.values())]
        return [*headers, *[("Vary", "Cookie")] * bool(self._shown)]

    def _end(self, method, path, body=None, ends_this=True):
        answer = self._ask(method, path, body)
        if ends_this:
            self._shown, self._changes = {"state": "none"}, {}
        return answer

    def _read(self):
        if self._shown is None and "Cookie" in self._headers:
            self._ask("GET", "")
        self._shown = self._shown or {"state": "none"}
        return self._shown

    def _patch(self, **changes):
        # it names the session that was read: a late change must not bring back one that has ended
        self._ask("PATCH", "", {"session": self.id(), **changes})

    def _ask(self, method, path, body=None, headers={}):
        try:
            status, cookies, answer = self._client.ask(method, path, body, {**self._headers, **headers})
            for cookie in cookies:
                self._keep(cookie)
            if status >= 400:
                raise CloakroomError(answer.get("code", "no-answer"), answer.get("detail", ""))
        except CloakroomError as error:
            self.error = error
            raise
        self.error, self._shown = None, answer if "state" in answer else self._shown
        return answer

    def _keep(self, cookie):
        """Keeps a cookie for the browser, and for the next question of this request."""
        pair = cookie.split(";")[0]
        name = pair.split("=")[0]
        pairs = [other.strip() for other in self._headers.get("Cookie", "").split(";")]
        pairs = [other for other in pairs if other and other.split("=")[0] != name]
        if not re.search(r";\s*max-age=0\b", cookie, re.I):
            pairs.append(pair)
        self._headers["Cookie"] = "; ".join(pairs)
        self._cookies[name] = cookie


class Client:
    """Asks the service at `url`: `http://127.0.0.1:8090` or `unix:/run/cloakroom/cloakroom.sock`."""

    def __init__(self, url="http://127.0.0.1:8090", key=None, timeout=2.0):
        if not re.match("unix:|https?://", url):
            raise ValueError(f"{url}: begin the URL with unix:, http:// or https://")
        self.url, self.timeout, self.kept = urllib.parse.urlsplit(url), timeout, collections.deque()
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    def ask(self, method, path, body, headers):
        connection = self._connection()
        try:
            data = None if body is None else json.dumps(body)
            json_type = {} if body is None else {"Content-Type": "application/json"}
            connection.request(method, "/v1/session" + path, data, {**self.headers, **headers, **json_type})
            answer = connection.getresponse()
            text = answer.read()
            answer = answer.status, answer.headers.get_all("Set-Cookie", []), json.loads(text) if text else {}
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            raise CloakroomError("no-answer", f"the session service does not answer ({type(error).__name__})") from None
        self.kept.append(connection)
        return answer

    def _connection(self):
        with contextlib.suppress(IndexError):  # other threads take from it as well
            while True:
                connection = self.kept.pop()
                if connection.sock and not _is_readable(connection.sock):
                    return connection
                connection.close()  # the service has closed it
        if self.url.scheme == "unix":
            return UnixConnection(self.url.path, self.timeout)
        kind = http.client.HTTPSConnection if self.url.scheme == "https" else http.client.HTTPConnection
        return kind(self.url.hostname, self.url.port, timeout=self.timeout)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def _is_readable(sock):
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        return bool(selector.select(0))


def check_site(method, headers, secure, trusted_origins):
    """Judges as the library does: a request that changes something, or opens a WebSocket, must come from this site."""
    opens_socket = re.search(r"(^|,)\s*websocket\s*(,|/|$)", headers.get("upgrade", ""), re.I)
    if method in ("GET", "HEAD", "OPTIONS") and not opens_socket:
        return
    site, origin, host = (headers.get(name, "") for name in ("sec-fetch-site", "origin", "host"))
    scheme, port = ("https://", ":443") if secure else ("http://", ":80")
    is_own = host and origin.lower().removesuffix(port) == scheme + host.lower().removesuffix(port)
    if origin not in trusted_origins and (site not in ("same-origin", "none") if site else origin and not is_own):
        raise CloakroomError("cross-site", "another site has sent this request")


class WSGI:
    """Puts the session of each request into `environ["cloakroom.session"]`."""

    def __init__(self, app, secure=True, trusted_origins=(), **client):
        self.app, self.site, self.client = app, (secure, trusted_origins), Client(**client)

    def __call__(self, environ, start_response):
        headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name[:5] == "HTTP_"}
        session = Session(self.client, headers.get("cookie"), headers.get("user-agent"))
        environ["cloakroom.session"] = session
        body, started = None, False

        def start(status, headers, exc_info=None):
            nonlocal started
            headers = session.finish(int(status[:3]), headers)
            started = True
            return start_response(status, headers, exc_info)

        try:
            check_site(environ["REQUEST_METHOD"], headers, *self.site)
            body = self.app(environ, start)
            yield from body
        except CloakroomError as error:
            if started:
                raise
            status = HTTPStatus(error.status)
            headers = session.finish(503, [("Content-Type", "text/plain")])
            start_response(f"{status.value} {status.phrase}", headers)
            yield status.phrase.encode()
        finally:
            if hasattr(body, "close"):
                body.close()


class AsyncSession:
    """Has the methods of `Session`, to be awaited. They run in threads, one after the other, and block nothing."""

    def __init__(self, session, threads):
        self._session, self._threads, self._turn = session, threads, asyncio.Lock()

    def __getattr__(self, name):
        async def call(*values, **named):
            async with self._turn:
                work = lambda: getattr(self._session, name)(*values, **named)
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        return call


class ASGI:
    """Puts the session of each request into `scope["cloakroom.session"]`."""

    def __init__(self, app, secure=True, trusted_origins=(), threads=32, **client):
        self.app, self.site, self.client = app, (secure, trusted_origins), Client(**client)
        self.threads = concurrent.futures.ThreadPoolExecutor(threads, "cloakroom")

    async def __call__(self, scope, receive, send):
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        headers = collections.defaultdict(list)
        for name, value in scope["headers"]:
            headers[name.decode("latin-1")].append(value.decode("latin-1"))
        headers = {name: ("; " if name == "cookie" else ", ").join(values) for name, values in headers.items()}
        session = AsyncSession(Session(self.client, headers.get("cookie"), headers.get("user-agent")), self.threads)
        state = "waiting"

        async def refuse(error):
            nonlocal state
            state = "refused"
            if scope["type"] == "websocket":
                return await send({"type": "websocket.close", "code": 1008 if error.status < 500 else 1013})
            headers = encoded(await session.finish(503, [("content-type", "text/plain")]))
            await send({"type": "http.response.start", "status": error.status, "headers": headers})
            await send({"type": "http.response.body", "body": HTTPStatus(error.status).phrase.encode()})

        async def finish(message):
            nonlocal state
            if state == "waiting" and message["type"] in ("http.response.start", "websocket.accept"):
                try:
                    given = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message.get("headers", ())]
                    headers = encoded(await session.finish(message.get("status", 101), given))
                except CloakroomError as error:
                    return await refuse(error)
                state = "started"
                message = {**message, "headers": headers}
            if state != "refused":
                await send(message)

        try:
            method = scope["method"] if scope["type"] == "http" else "CONNECT"
            check_site(method, headers, *self.site)
            await self.app({**scope, "cloakroom.session": session}, receive, finish)
        except CloakroomError as error:
            if state == "started":
                raise
            if state == "waiting":
                await refuse(error)


def encoded(headers):
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
