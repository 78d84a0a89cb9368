"""The page at the root path."""

from __future__ import annotations

from perdure.host.http.exchange import Response

_TEXT = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>perdure</title>
<style>body{font:16px/1.5 system-ui,sans-serif;margin:15vh auto;max-width:36em;padding:0 1em}</style></head>
<body>
<h1>Your Functions app is up and running</h1>
<p>perdure serves it. The functions and their addresses are listed where <code>perdure start</code> runs, and at
<a href="/admin/functions">/admin/functions</a>.</p>
</body>
</html>
"""

HOMEPAGE = Response(200, _TEXT.encode("utf-8"), [(b"content-type", b"text/html; charset=utf-8")])
