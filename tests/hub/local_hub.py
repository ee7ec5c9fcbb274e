"""A stand-in for the hub on this machine: the HTTP interface that huggingface_hub uses for one user's datasets.

Repositories, branches, small files in commits, large ones by LFS, reading in ranges. Everything is in memory.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

USER, TOKEN = "ada", "hf_secret"


class LocalHub(ThreadingHTTPServer):
    """repos: id to branch to file to content. received: (name or oid, bytes) of each large file that was sent.

    served_bytes: of files that were read. before_commit: called with the message of each commit, and may hold it up.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos: dict[str, dict[str, dict[str, bytes]]] = {}
        self.private: dict[str, bool] = {}
        self.large: dict[str, bytes] = {}
        self.received: list[tuple[str, int]] = []
        self.requests: list[str] = []
        self.served_bytes = 0
        self.before_commit: Callable[[str], None] = lambda message: None
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Refused(Exception):
    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        self.status, self.code, self.message = status, code, message


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: LocalHub

    ROUTES = (
        ("GET", r"/api/whoami-v2", "whoami"),
        ("POST", r"/api/repos/create", "create"),
        ("POST", r"/api/validate-yaml", "validate"),
        ("POST", r"/api/datasets/(?P<repo>[^/]+/[^/]+)/branch/(?P<rev>[^/]+)", "branch"),
        ("GET", r"/api/datasets/(?P<repo>[^/]+/[^/]+)/tree/(?P<rev>[^/]+)(?:/(?P<path>.*))?", "tree"),
        ("POST", r"/api/datasets/(?P<repo>[^/]+/[^/]+)/paths-info/(?P<rev>[^/]+)", "paths_info"),
        ("POST", r"/api/datasets/(?P<repo>[^/]+/[^/]+)/preupload/(?P<rev>[^/]+)", "preupload"),
        ("POST", r"/api/datasets/(?P<repo>[^/]+/[^/]+)/commit/(?P<rev>[^/]+)", "commit"),
        ("GET", r"/api/datasets/(?P<repo>[^/]+/[^/]+)(?:/revision/(?P<rev>[^/]+))?", "info"),
        ("POST", r"/datasets/(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/batch", "lfs_batch"),
        ("PUT", r"/lfs/(?P<oid>\w+)", "lfs_put"),
        ("HEAD", r"/datasets/(?P<repo>[^/]+/[^/]+)/resolve/(?P<rev>[^/]+)/(?P<path>.+)", "resolve"),
        ("GET", r"/datasets/(?P<repo>[^/]+/[^/]+)/resolve/(?P<rev>[^/]+)/(?P<path>.+)", "resolve"),
    )

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        url = urlsplit(self.path)
        self.query = parse_qs(url.query)
        self.server.requests.append(f"{self.command} {url.path}")
        try:
            for method, pattern, name in self.ROUTES:
                match = re.fullmatch(pattern, url.path)
                if method == self.command and match:
                    parts = {key: unquote(value) for key, value in match.groupdict().items() if value}
                    getattr(self, name)(**parts)
                    return
            raise _Refused(404, "", f"the stand-in has no {self.command} {url.path}")
        except _Refused as refused:
            headers = {"X-Error-Code": refused.code, "X-Error-Message": refused.message}
            self._send(refused.status, json.dumps({"error": refused.message}).encode(), headers)

    do_GET = do_POST = do_PUT = do_HEAD = _serve

    def log_message(self, *arguments: object) -> None:
        """Not on the terminal of the tests."""

    def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _json(self, value: object, status: int = 200) -> None:
        self._send(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _user(self) -> None:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise _Refused(401, "", "Invalid credentials in Authorization header")

    def _files(self, repo: str, rev: str = "main") -> dict[str, bytes]:
        signed_in = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if repo not in self.server.repos or (self.server.private[repo] and not signed_in):
            raise _Refused(401 if not signed_in else 404, "RepoNotFound", "Repository not found")
        branches = self.server.repos[repo]
        for branch, files in branches.items():
            if rev in (branch, self._sha(repo, branch)):
                return files
        raise _Refused(404, "RevisionNotFound", "Invalid rev id")

    def _own(self, repo: str) -> None:
        self._user()
        if not repo.startswith(f"{USER}/"):
            raise _Refused(403, "", "You don't have the rights to create a dataset under this namespace")

    def whoami(self) -> None:
        self._user()
        self._json({"type": "user", "name": USER, "auth": {"accessToken": {"role": "write"}}})

    def create(self) -> None:
        wanted = json.loads(self.body)
        repo = f"{wanted['organization']}/{wanted['name']}"
        self._own(repo)
        if repo in self.server.repos:
            self._json({"error": "You already created this dataset repo", "url": self._address(repo)}, 409)
            return
        self.server.private[repo] = bool(wanted.get("visibility") == "private" or wanted.get("private"))
        self.server.repos[repo] = {"main": {".gitattributes": b"*.parquet filter=lfs diff=lfs merge=lfs -text\n"}}
        self._json({"url": self._address(repo), "name": repo})

    def _address(self, repo: str) -> str:
        return f"{self.server.url}/datasets/{repo}"

    def branch(self, repo: str, rev: str) -> None:
        self._own(repo)
        if rev in self.server.repos[repo]:
            raise _Refused(409, "", "Reference already exists")
        self.server.repos[repo][rev] = dict(self.server.repos[repo]["main"])
        self._json({})

    def validate(self) -> None:
        self._json({"errors": [], "warnings": []})

    def info(self, repo: str, rev: str = "main") -> None:
        names = [{"rfilename": name} for name in sorted(self._files(repo, rev))]
        self._json({"id": repo, "sha": self._sha(repo, rev), "siblings": names, "tags": [], "private": False})

    def tree(self, repo: str, rev: str, path: str = "") -> None:
        start = f"{path}/" if path else ""
        inside = {name: content for name, content in self._files(repo, rev).items() if name.startswith(start)}
        if path and not inside:
            raise _Refused(404, "EntryNotFound", "no such folder")
        recursive = self.query.get("recursive", ["false"])[0].lower() in ("true", "1")
        folders = sorted(
            {start + name.removeprefix(start).split("/")[0] for name in inside if "/" in name[len(start) :]}
        )
        entries = [{"type": "directory", "path": name, "size": 0, "oid": "0" * 40} for name in folders]
        entries += [_entry(name, c) for name, c in sorted(inside.items()) if recursive or "/" not in name[len(start) :]]
        self._json(entries)

    def paths_info(self, repo: str, rev: str) -> None:
        files, wanted = self._files(repo, rev), parse_qs(self.body.decode())["paths"]
        self._json([_entry(name, files[name]) for name in wanted if name in files])

    def preupload(self, repo: str, rev: str) -> None:
        self._own(repo)
        asked = json.loads(self.body)["files"]
        modes = {f["path"]: "lfs" if f["path"].endswith(".parquet") else "regular" for f in asked}
        self._json({"files": [{"path": p, "uploadMode": mode, "shouldIgnore": False} for p, mode in modes.items()]})

    def lfs_batch(self, repo: str) -> None:
        self._own(repo)
        objects = []
        for wanted in json.loads(self.body)["objects"]:
            upload = {"upload": {"href": f"{self.server.url}/lfs/{wanted['oid']}"}}
            objects.append(wanted if wanted["oid"] in self.server.large else {**wanted, "actions": upload})
        self._json({"transfer": "basic", "objects": objects})

    def lfs_put(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            raise _Refused(400, "", "the content has another sha256")
        self.server.large[oid] = self.body
        self.server.received.append((oid, len(self.body)))
        self._send(200, b"")

    def commit(self, repo: str, rev: str) -> None:
        self._own(repo)
        header, *operations = (json.loads(line) for line in self.body.splitlines())
        self.server.before_commit(header["value"]["summary"])
        files = self._files(repo, rev)
        for operation in operations:
            value = operation["value"]
            if operation["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile":
                files[value["path"]] = self.server.large[value["oid"]]
            else:
                del files[value["path"]]
        oid = self._sha(repo, rev)
        address = f"{self.server.url}/datasets/{repo}/commit/{oid}"
        self._json({"success": True, "commitUrl": address, "commitOid": oid, "hookOutput": ""})

    def resolve(self, repo: str, rev: str, path: str) -> None:
        files = self._files(repo, rev)
        if path not in files:
            raise _Refused(404, "EntryNotFound", "Entry not found")
        content, status = files[path], 200
        headers = {"ETag": f'"{_entry(path, content)["oid"]}"', "X-Repo-Commit": self._sha(repo, rev)}
        headers["Accept-Ranges"] = "bytes"
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, last = int(asked[1]), int(asked[2] or len(content) - 1)
            headers["Content-Range"] = f"bytes {first}-{min(last, len(content) - 1)}/{len(content)}"
            content, status = content[first : last + 1], 206
        if self.command == "GET":
            self.server.served_bytes += len(content)
        self._send(status, content, headers)

    def _sha(self, repo: str, rev: str) -> str:
        """Of the newest commit, the only one that is kept."""
        if rev not in self.server.repos[repo]:
            return rev
        files = self.server.repos[repo][rev]
        return hashlib.sha1(repr(sorted((n, hashlib.sha1(c).digest()) for n, c in files.items())).encode()).hexdigest()


def _entry(name: str, content: bytes) -> dict:
    entry = {"type": "file", "path": name, "size": len(content)}
    entry["oid"] = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    if name.endswith(".parquet"):
        entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return entry
