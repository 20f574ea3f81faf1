"""A second program with the sessions of the demo, in another language: it shows who is signed in, and counts page views.

    cargo run --release -- demo --service 127.0.0.1:8090
    python3 examples/second_program.py http://127.0.0.1:8090

Open http://127.0.0.1:8081/ in the browser that has a session of the demo.
"""

import html
import pathlib
import sys
import wsgiref.simple_server

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "clients" / "python"))
import cloakroom  # noqa: E402

PAGE = """<!doctype html><meta charset="utf-8"><title>A second program</title>
<h1>A second program</h1>
<p>Signed in: <strong id="user">{user}</strong></p>
<p>Page views: <strong id="page-views">{views}</strong></p>
<form method="post"><button id="count"{disabled}>One more</button></form>
"""


def application(environ, start_response):
    session = environ["cloakroom.session"]
    if environ["REQUEST_METHOD"] == "POST":
        if session.id():
            session.increment("page_views")
        start_response("303 See Other", [("Location", "/")])
        return []
    page = PAGE.format(user=html.escape(session.user() or "nobody"), views=session.get("page_views", 0),
                       disabled="" if session.id() else " disabled")
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store")])
    return [page.encode()]


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python3 examples/second_program.py URL [PORT]")
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 8081
    # the demo speaks plain http on this machine
    application = cloakroom.WSGI(application, url=sys.argv[1], secure=False)
    with wsgiref.simple_server.make_server("127.0.0.1", port, application) as server:
        print(f"A second program: http://127.0.0.1:{server.server_port}/", flush=True)
        server.serve_forever()
