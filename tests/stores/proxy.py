"""A proxy between the program and a server: it delays answers, cuts them in the middle, and says 503, by turns; refuses all; holds some; and counts."""

import http.client
import http.server
import threading
import time
import urllib.parse


class Proxy:
    """Serves on a free port of this machine, in threads, until it is closed."""

    def __init__(self, target):
        self.target = urllib.parse.urlsplit(target).netloc
        self.lock = threading.Lock()
        self.under_way = 0
        self.reset()
        proxy = self

        class Handler(_Handler):
            settings = proxy

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def reset(self, *, delay=0.0, refuse_every=0, cut_every=0, refuse_all=None, hang=False, hold=None):
        """What becomes of requests from now on; every n-th of them where a number says so. `refuse_all` is the status and the code that all are refused with; what is written to a name that ends with `hold` waits."""
        with self.lock:
            self.delay, self.refuse_every, self.cut_every = delay, refuse_every, cut_every
            self.refuse_all, self.hang, self.hold = refuse_all, hang, hold
            self.requests, self.most_under_way, self.refused, self.cut = [], 0, 0, 0

    def translate(self, command, path, headers, body):
        """What the server is asked. The host is part of what is signed, and stays that of the proxy."""
        return command, path, headers, body

    def answered(self, command, status, content):
        """Headers that an answer has beside those of the server."""
        return []

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Without it the headers and the body of an answer wait for each other.
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def forward(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        settings = self.settings
        with settings.lock:
            settings.requests.append((self.command, self.path, self.headers.get("Range")))
            number = len(settings.requests)
            settings.under_way += 1
            settings.most_under_way = max(settings.most_under_way, settings.under_way)
        try:
            self.answer(body, number)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with settings.lock:
                settings.under_way -= 1

    def answer(self, body, number):
        settings = self.settings
        while settings.hang or settings.hold and self.command == "PUT" and urllib.parse.unquote(self.path).endswith(settings.hold):
            time.sleep(0.05)
        time.sleep(settings.delay)
        refused = (503, "SlowDown") if settings.refuse_every and number % settings.refuse_every == 0 else settings.refuse_all
        if refused:
            settings.refused += 1
            return self.refuse(*refused)
        server = http.client.HTTPConnection(settings.target, timeout=60)
        command, path, headers, body = settings.translate(self.command, self.path, self.headers.items(), body)
        server.putrequest(command, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            server.putheader(name, value)
        server.endheaders(body)
        answer = server.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length", "date", "server"):
                self.send_header(name, value)
        for name, value in settings.answered(self.command, answer.status, content):
            self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else len(content)
        self.send_header("Content-Length", str(length or 0))
        self.end_headers()
        if settings.cut_every and number % settings.cut_every == 0 and len(content) > 1:
            settings.cut += 1
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(2)
        else:
            self.wfile.write(content)
        server.close()

    def refuse(self, status, code):
        """Answers as S3 does."""
        said = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>no</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(said)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = forward
