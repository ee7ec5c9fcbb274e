"""Who may ask the server: DNS rebinding and other sites' pages are kept out, its own page and scripts are not."""

import http.client
import re
from dataclasses import replace

import pytest
from visitors import png

from pipelines.complete.cli import main
from pipelines.complete.server.hosts import LOOPBACK, Hosts, plain_name
from pipelines.complete.server.worker import Worker
from pipelines.errors import UsageError

EVERYWHERE = Hosts.of("0.0.0.0", "0.0.0.0", ())
PUBLIC = Hosts.of("127.0.0.1", "127.0.0.1", ("fixer.example", "Bücher.example"))


@pytest.mark.parametrize(
    ("hosts", "served", "refused"),
    [
        (
            LOOPBACK,
            ["localhost", "localhost:8000", "LOCALHOST.", "127.0.0.1", "127.3.2.1:80", "[::1]:8000", "app.localhost"],
            ["evil.example", "localhost.evil.example", "evil-localhost", "192.168.1.5", "[::2]", "127.0.0.1.evil.net"],
        ),
        (LOOPBACK, [], ["", "a b", "x@localhost", "localhost/x", "[localhost]", "::1", "localhost:", "localhost:x"]),
        (EVERYWHERE, ["192.168.1.5:8000", "[2001:DB8:0::5]", "localhost"], ["evil.example", "192.168.1.5.evil.net"]),
        (Hosts.of("192.168.1.5", "192.168.1.5", ()), ["192.168.1.5:8000", "127.0.0.1"], ["192.168.1.6"]),
        (Hosts.of("box.lan", "10.0.0.2", ()), ["box.lan", "10.0.0.2"], ["other.lan"]),
        (PUBLIC, ["fixer.example", "FIXER.example:443", "xn--bcher-kva.example"], ["evil.fixer.example", "fixer.exam"]),
        (Hosts.of("127.0.0.1", "127.0.0.1", ("any",)), ["evil.example", "localhost"], ["x@y"]),
    ],
)  # fmt: skip
def test_only_names_of_the_server_are_served(hosts, served, refused) -> None:
    assert [one for one in served if not hosts.serves(one)] == []
    assert [one for one in refused if hosts.serves(one)] == []


def test_a_server_at_all_addresses_answers_to_its_machines_name(monkeypatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "Box")
    hosts = Hosts.of("::", "::", ())
    assert hosts.serves("box:8000") and hosts.serves("box.local")
    assert hosts.described() == "localhost, box, box.local, any IP address"


@pytest.mark.parametrize(
    ("hosts", "host", "own", "foreign"),
    [
        (LOOPBACK, "localhost:8000", ["http://localhost:8000"], ["http://localhost:3000", "http://127.0.0.1:8000"]),
        (LOOPBACK, "127.0.0.1:80", ["http://127.0.0.1"], ["https://127.0.0.1", "null", "", "http://", "file://"]),
        (LOOPBACK, "[::1]:8000", ["http://[::1]:8000"], ["http://evil.example", "chrome-extension://abc", "http://[::1]"]),
        (PUBLIC, "fixer.example", ["https://fixer.example", "http://fixer.example", "https://fixer.example:8443"],
         ["https://evil.example", "https://evil.fixer.example", "https://fixer.example.evil.example"]),
        (PUBLIC, "127.0.0.1:8000", ["https://fixer.example"], ["https://evil.example"]),
        (Hosts(any_name=True), "name.example", ["https://name.example"], ["https://evil.example", "null"]),
    ],
)  # fmt: skip
def test_only_the_servers_own_page_may_send(hosts, host, own, foreign) -> None:
    assert [one for one in own if not hosts.sends(one, host)] == []
    assert [one for one in foreign if hosts.sends(one, host)] == []


@pytest.mark.parametrize("path", ["/", "/api/about", "/page/app.js", "/api/nothing"])
def test_a_foreign_name_reads_nothing(client, path) -> None:
    answer = client.get(path, headers={"host": "evil.example:8000"})
    assert answer.status_code == 421
    assert "--allow-host evil.example" in answer.json()["error"]
    assert "content-security-policy" in answer.headers


def test_a_foreign_name_changes_nothing(visitor, client, scene) -> None:
    job = visitor.ready((1,))
    for method, path in _CHANGES:
        answer = client.request(method, path.format(job=job), headers={"host": "evil.example"}, content=b"{}")
        assert answer.status_code == 421, path
    assert client.get(f"/api/jobs/{job}").json()["state"] == "draft"


_CHANGES = [
    ("POST", "/api/jobs"),
    ("POST", "/api/examples/0"),
    ("PUT", "/api/jobs/{job}/masks"),
    ("PUT", "/api/jobs/{job}/depth"),
    ("POST", "/api/jobs/{job}/click"),
    ("POST", "/api/jobs/{job}/complete"),
    ("POST", "/api/jobs/{job}/cancel"),
    ("DELETE", "/api/jobs/{job}"),
]


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:3000"},
        {"origin": "https://evil.example", "sec-fetch-site": "same-origin"},
        {"origin": "http://localhost", "sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_another_sites_page_changes_nothing(visitor, client, headers) -> None:
    job = visitor.ready((1,))
    for method, path in _CHANGES:
        answer = client.request(method, path.format(job=job), headers=headers, content=b"{}")
        assert (answer.status_code, "other sites" in answer.json()["error"]) == (403, True), path
    assert client.get(f"/api/jobs/{job}").json()["state"] == "draft"


def test_every_address_that_changes_something_is_among_these(service) -> None:
    from pipelines.complete.server.app import application

    routes = application(service).routes
    changing = {(method, re.sub(r"\{job_id\}", "{job}", re.sub(r"\{number:int\}", "0", route.path)))
                for route in routes for method in route.methods - {"GET", "HEAD"}}  # fmt: skip
    assert changing == set(_CHANGES)


@pytest.mark.parametrize("headers", [{}, {"origin": "http://localhost", "sec-fetch-site": "same-origin"}])
def test_scripts_and_the_page_itself_are_served(client, scene, headers) -> None:
    assert client.post("/api/jobs", content=png(scene.rgb_HW3), headers=headers).status_code == 201


@pytest.mark.parametrize("host", ["fixer.example", "127.0.0.1:8000"])  # as proxies keep or change it
def test_a_page_behind_a_proxy_with_tls_is_served_once_its_name_is_allowed(service, scene, host) -> None:
    from starlette.testclient import TestClient

    from pipelines.complete.server.app import application

    headers = {"host": host, "origin": "https://fixer.example"}
    for hosts, status in ((LOOPBACK, (403, 421)), (PUBLIC, (201,))):
        with TestClient(application(service, hosts)) as client:
            answer = client.post("/api/jobs", content=png(scene.rgb_HW3), headers=headers)
        assert answer.status_code in status
        assert hosts is PUBLIC or "--allow-host fixer.example" in answer.json()["error"]
        service = _again(service)


def _again(service):
    """A worker is a thread, which starts once."""
    return replace(service, worker=Worker(service.worker.pipe, None, service.store, service.limits))


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([], 400),
        (["Host: localhost", "Host: evil.example"], 400),
        (["Host: evil.example", "X-Forwarded-Host: localhost", "Forwarded: host=localhost"], 421),
        (["Host: LocalHost"], 200),
    ],
)
def test_raw_requests_are_answered_by_their_one_host_header(address, lines, status) -> None:
    connection = http.client.HTTPConnection(address.split("//")[1])
    connection.putrequest("GET", "/api/about", skip_host=True)
    for line in lines:
        connection.putheader(*line.split(": "))
    connection.endheaders()
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status == status


@pytest.mark.parametrize("given", ["https://fixer.example", "fixer.example:80", "*", "*.example", "a b", "", "user@x"])
def test_what_is_no_name_is_told_how_to_write_one(given, capsys) -> None:
    with pytest.raises(UsageError, match=r"as fixer\.example, or any"):
        plain_name(given)
    assert main(["--serve", "--checkpoint", "/nowhere", "--port=0", "--allow-host", given]) == 2
    assert "--allow-host takes" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["Fixer.Example", "fixer.example.", "[::1]", "::1", "10.0.0.1"])
def test_names_are_taken_as_people_write_them(given) -> None:
    assert Hosts(allowed=frozenset({plain_name(given)})).serves(f"[{given}]" if given == "::1" else given)
