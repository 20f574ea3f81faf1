"""An application with sessions as the Redis tutorials show them: a random token in a cookie, and a hash for each session.

    application.py REDIS_PORT      prints the port on which it listens
"""

import secrets
import sys
from datetime import datetime, timezone
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import redis

TTL = 1800


class SessionStore:
    """What the tutorials call a session store."""

    def __init__(self, port):
        self.redis = redis.Redis(port=port, decode_responses=True)

    def create(self, data):
        token = secrets.token_urlsafe(32)
        now = datetime.now(timezone.utc).isoformat()
        fields = {**data, "created_at": now, "last_accessed_at": now, "session_ttl": TTL}
        pipeline = self.redis.pipeline()
        pipeline.hset(f"session:{token}", mapping=fields)
        pipeline.expire(f"session:{token}", TTL)
        pipeline.execute()
        return token

    def get(self, token):
        fields = self.redis.hgetall(f"session:{token}")
        if fields:
            self.redis.hset(f"session:{token}", "last_accessed_at", datetime.now(timezone.utc).isoformat())
            self.redis.expire(f"session:{token}", TTL)
        return fields

    def set(self, token, name, value):
        self.redis.hset(f"session:{token}", name, value)

    def destroy(self, token):
        self.redis.delete(f"session:{token}")


class Handler(BaseHTTPRequestHandler):
    store = None

    def do_POST(self):
        route, _, argument = self.path.strip("/").partition("/")
        if route == "sign-in":
            token = self.store.create({"user": argument})
            self.answer(200, cookie=f"session_token={token}; Path=/; HttpOnly; SameSite=Lax")
        elif route == "cart" and self.store.get(self.token()):
            self.store.set(self.token(), "cart", argument)
            self.answer(200)
        elif route == "sign-out":
            self.store.destroy(self.token())
            self.answer(200, cookie="session_token=; Path=/; Max-Age=0")
        else:
            self.answer(401)

    def do_GET(self):
        session = self.store.get(self.token())
        if session:
            self.answer(200, f"{session['user']}: {session.get('cart', '')}")
        else:
            self.answer(401)

    def token(self):
        cookie = SimpleCookie(self.headers.get("Cookie", "")).get("session_token")
        return cookie.value if cookie else ""

    def answer(self, status, text="", cookie=None):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if cookie:
            self.send_header("Set-Cookie", cookie)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


Handler.store = SessionStore(int(sys.argv[1]))
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
